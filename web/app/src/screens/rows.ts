import type { ConversationQuery, MessageTextFragment } from '../gql/graphql';
import type { Outgoing } from '../outbox';
import { dayOf } from '../ui/time';

/** What stands in a list of messages. */
export type MessageRow =
  | { kind: 'start'; key: string }
  | { kind: 'day'; key: string; day: number }
  | { kind: 'unread'; key: string }
  | { kind: 'message'; key: string; message: MessageTextFragment; mine: boolean; first: boolean; last: boolean; readers: readonly Reader[] }
  | { kind: 'outgoing'; key: string; item: Outgoing; first: boolean }
  | { kind: 'end'; key: string };

export type Reader = ConversationQuery['conversation']['receipts']['nodes'][number];

/** Messages of one person that follow within this time stand together, in milliseconds. */
const together = 5 * 60_000;

/** When messages were sent, and on which day: rows are made of all messages whenever one comes, and dates take longest. */
const times = new WeakMap<MessageTextFragment, { at: number; day: number }>();

function timeOf(message: MessageTextFragment): { at: number; day: number } {
  const known = times.get(message);
  if (known) return known;
  const time = { at: Date.parse(message.createdAt), day: dayOf(message.createdAt) };
  times.set(message, time);
  return time;
}

/**
 * Lays messages out: lines between days and before what is not read, groups of what one person says at a time, who has
 * read how far, and last what is on its way.
 *
 * @param unreadAfter the `seq` up to which was read when the conversation was opened; null when all was
 */
export function rowsOf(
  messages: readonly MessageTextFragment[],
  outgoing: readonly Outgoing[],
  receipts: readonly Reader[],
  me: string,
  unreadAfter: number | null,
  complete: boolean,
): MessageRow[] {
  const rows: MessageRow[] = complete ? [{ kind: 'start', key: 'start' }] : [];
  const readers = new Map<number, Reader[]>();
  for (const receipt of receipts) {
    if (receipt.seq > 0) readers.set(receipt.seq, [...(readers.get(receipt.seq) ?? []), receipt]);
  }
  let day = 0;
  let before: MessageTextFragment | undefined;
  for (const [index, message] of messages.entries()) {
    const time = timeOf(message);
    const newDay = time.day !== day;
    if (newDay) rows.push({ kind: 'day', key: `day-${time.day}`, day: (day = time.day) });
    const unread = unreadAfter !== null && message.seq === unreadAfter + 1;
    if (unread) rows.push({ kind: 'unread', key: 'unread' });
    const next = messages[index + 1];
    rows.push({
      kind: 'message',
      key: message.id,
      message,
      mine: message.sender.id === me,
      first: newDay || unread || !belongs(before, message),
      last: !next || !belongs(message, next) || timeOf(next).day !== day || (unreadAfter !== null && next.seq === unreadAfter + 1),
      readers: (readers.get(message.seq) ?? []).filter((reader) => reader.user.id !== message.sender.id),
    });
    before = message;
  }
  let first = before?.sender.id !== me;
  for (const item of outgoing) {
    if (item.seen) continue;
    rows.push({ kind: 'outgoing', key: item.clientKey, item, first });
    first = false;
  }
  rows.push({ kind: 'end', key: 'end' }); // a little room before what is below
  return rows;
}

function belongs(before: MessageTextFragment | undefined, message: MessageTextFragment): boolean {
  return before?.sender.id === message.sender.id && timeOf(message).at - timeOf(before).at < together;
}
