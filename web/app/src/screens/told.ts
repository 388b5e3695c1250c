import type { MessageTextFragment } from '../gql/graphql';
import type { Stretch } from '../live/history';

/** What is read out of a conversation. */
export interface Told {
  /** What was shown by then. */
  stretch: Stretch;
  messages: readonly MessageTextFragment[];
  /** So many more came with the last of them, and are not read out. */
  more: number;
}

/** So many messages are read out at once, and stay while others are: what is gone before a screen reader has seen it is not. */
const most = 10;

/**
 * Adds what others have said since: not what is paged through, and also what came later than what follows it.
 *
 * @param stretch what is shown now
 */
export function tell(told: Told, stretch: Stretch, me: string): Told {
  const fresh = arrivals(told.stretch, stretch, me);
  if (fresh.length === 0) return { ...told, stretch };
  return { stretch, messages: [...told.messages.slice(-most), ...fresh.slice(-most)], more: Math.max(0, fresh.length - most) };
}

function arrivals(before: Stretch, now: Stretch, me: string): MessageTextFragment[] {
  if (before.pageInfo.hasNextPage || now.pageInfo.hasNextPage) return []; // what comes is not shown, or was there before
  const shown = new Set(before.nodes.map(({ seq }) => seq));
  const above = before.pageInfo.hasPreviousPage ? (before.nodes[0]?.seq ?? 0) : 0;
  return now.nodes.filter(({ seq, sender }) => seq > above && !shown.has(seq) && sender.id !== me);
}
