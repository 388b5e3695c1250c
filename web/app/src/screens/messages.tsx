import { memo, type ReactNode, useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from 'react';
import { Virtualizer, type VirtualizerHandle } from 'virtua';
import { type ConversationQuery, MarkReadDocument } from '../gql/graphql';
import type { Stretch } from '../live/history';
import { useStore } from '../store';
import { Avatar } from '../ui/avatar';
import { useMe, useParley } from '../ui/context';
import { Icon } from '../ui/icons';
import { clock, dayName, full, useNow } from '../ui/time';
import { nameOf } from './conversation-list';
import { Reading } from './reading';
import { type MessageRow, type Reader, rowsOf } from './rows';
import { tell, type Told } from './told';

interface Props {
  conversation: ConversationQuery['conversation'];
  stretch: Stretch;
  /** It begins with the first message, and not where reading ended. */
  fromTheStart: boolean;
  /** Fetch a page further up, further down, or the newest instead. */
  older(): Promise<boolean>;
  newer(): Promise<boolean>;
  newest(): Promise<boolean>;
}

/** So close to an end, in pixels, the next page is fetched. */
const near = 800;
/** Whoever is not further away from the end than this stays there when something comes. */
const atEnd = 90;

/** What was said. Only what is in view is in the page, however much there is. */
export function Messages({ conversation, stretch, fromTheStart, older, newer, newest }: Props) {
  const { nodes, pageInfo } = stretch;
  const { id, receipts, unreadCount, lastMessage } = conversation;
  const me = useMe();
  const { outbox, live: { history } } = useParley();
  const items = useStore(outbox.items);
  const outgoing = useMemo(() => items.filter((item) => item.conversationId === id), [items, id]);
  const [unreadAfter] = useState(() => (unreadCount > 0 ? (lastMessage?.seq ?? 0) - unreadCount : null));
  const rows = useMemo(
    () => rowsOf(nodes, outgoing, receipts.nodes, me, unreadAfter, !pageInfo.hasPreviousPage),
    [nodes, outgoing, receipts, me, unreadAfter, pageInfo.hasPreviousPage],
  );

  const list = useRef<VirtualizerHandle>(null);
  const scroller = useRef<HTMLDivElement>(null);
  const [begin] = useState(() => (fromTheStart || pageInfo.hasNextPage ? 0 : rows.findIndex((row) => row.kind === 'unread'))); // where the list begins; -1: at its end
  const [end, setEnd] = useState(begin < 0);
  const atTheEnd = useRef(begin < 0);
  const settled = useRef(false); // it has been put where it begins
  const fetching = useRef(false);

  // What was put in front since the last time, or cut off there, leaves what is in view where it is.
  const firstSeq = nodes[0]?.seq ?? 0;
  const lastFirst = useRef(firstSeq);
  const shift = firstSeq !== lastFirst.current;
  const lastTop = useRef(0); // where it was scrolled to when somebody looked last
  useLayoutEffect(() => {
    if (lastFirst.current !== firstSeq) lastTop.current = 0; // it moves without anybody
    lastFirst.current = firstSeq;
  });

  const toEnd = useCallback((smooth = false) => {
    list.current?.scrollToIndex(Number.MAX_SAFE_INTEGER, { align: 'end', smooth });
  }, []);

  // It begins with the first message that is not read, or at the end; an older stretch of history begins at its start.
  useLayoutEffect(() => {
    if (begin >= 0) list.current?.scrollToIndex(begin, { align: 'start', offset: -40 });
    else toEnd();
    settled.current = true;
  }, [begin, toEnd]);

  // Whoever is at the end stays there.
  const length = rows.length;
  const mine = outgoing.at(-1)?.clientKey;
  const lastMine = useRef(mine);
  useLayoutEffect(() => {
    const sent = mine !== undefined && mine !== lastMine.current;
    lastMine.current = mine;
    if (sent || atTheEnd.current) toEnd();
  }, [length, mine, toEnd]);

  const [fetched, setFetched] = useState(0);
  const fetchMore = useCallback(async (fetch: () => Promise<boolean>) => {
    if (fetching.current) return;
    fetching.current = true;
    if (await fetch()) setFetched((n) => n + 1);
    else fetching.current = false; // it has been told; the next scrolling tries again
  }, []);

  const look = useCallback(() => {
    const element = scroller.current;
    if (!element || !settled.current) return;
    const scrollOffset = element.scrollTop;
    const rest = element.scrollHeight - element.clientHeight - scrollOffset;
    // What comes makes the rest grow before it is scrolled past: only who goes up leaves the end.
    if (pageInfo.hasNextPage || scrollOffset < lastTop.current || rest < atEnd) atTheEnd.current = rest < atEnd && !pageInfo.hasNextPage;
    lastTop.current = scrollOffset;
    setEnd(atTheEnd.current);
    history.reads(id, scrollOffset < rest ? 'first' : 'second');
    if (scrollOffset < near && pageInfo.hasPreviousPage) void fetchMore(older);
    else if (rest < near && pageInfo.hasNextPage) void fetchMore(newer);
  }, [history, id, pageInfo.hasNextPage, pageInfo.hasPreviousPage, older, newer, fetchMore]);
  useEffect(() => {
    fetching.current = false; // what came is here now
  }, [fetched]);
  useEffect(look, [look, length, fetched]); // a page may be shorter than what is in view

  // The pane grows and shrinks with the keyboard and the composer, and rows once they are measured.
  const resized = useCallback(() => {
    if (atTheEnd.current) toEnd();
  }, [toEnd]);

  useMarkRead(conversation, end);
  const below = pageInfo.hasNextPage || !end;

  return (
    <div className="messages">
      <div className="messages-scroller" ref={scroller} onScroll={look} tabIndex={0} role="region" aria-label="Messages">
        <div className="messages-space" />
        <Virtualizer ref={list} scrollRef={scroller} shift={shift} onResize={resized} data={rows} bufferSize={600} as="ol" item="li">
          {(row) => <Row key={row.key} row={row} conversation={conversation} />}
        </Virtualizer>
      </div>
      {below && (
        <button type="button" className="to-end" onClick={() => (pageInfo.hasNextPage ? void newest() : toEnd())}>
          <Icon name="down" />
          {unreadCount > 0 ? `${unreadCount} new` : 'Newest'}
        </button>
      )}
      <Announcer stretch={stretch} me={me} />
    </div>
  );
}

/** What somebody looks at, at its end, is read. */
function useMarkRead({ id, unreadCount, lastMessage }: ConversationQuery['conversation'], end: boolean): void {
  const { client, live } = useParley();
  const me = useMe(); // what is marked before that is known is not applied here
  const [reading] = useState(
    () =>
      new Reading(async (seq) => {
        const { data } = await client.mutate({ mutation: MarkReadDocument, variables: { conversationId: id, seq }, fetchPolicy: 'no-cache' });
        if (!data) return;
        const { cursor, receipt } = data.markRead;
        live.apply({ __typename: 'ReceiptUpdated', cursor, at: receipt.readAt ?? '', conversationId: id, receipt });
      }),
  );
  const [looking, setLooking] = useState(isLooking);
  useEffect(() => {
    const look = () => setLooking(isLooking());
    const events = ['focus', 'blur'] as const;
    for (const event of events) addEventListener(event, look);
    document.addEventListener('visibilitychange', look);
    return () => {
      for (const event of events) removeEventListener(event, look);
      document.removeEventListener('visibilitychange', look);
    };
  }, []);
  const upTo = me !== '' && looking && end && unreadCount > 0 ? (lastMessage?.seq ?? 0) : null;
  useEffect(() => reading.reads(upTo), [reading, upTo]);
  useEffect(() => () => reading.reads(null), [reading]);
  useEffect(() => live.connection.subscribe(() => {
    if (live.connection.get().status === 'live') reading.wake();
  }), [live, reading]);
}

function isLooking(): boolean {
  return document.visibilityState === 'visible' && document.hasFocus();
}

/** Reads out what others say while the conversation is open, each message once; of much that comes at once the end. */
function Announcer({ stretch, me }: { stretch: Stretch; me: string }) {
  const [told, setTold] = useState<Told>({ stretch, messages: [], more: 0 });
  if (stretch !== told.stretch) setTold(tell(told, stretch, me));
  return (
    <div className="hidden" role="log" aria-live="polite">
      {told.more > 0 && <p>{told.more} more messages</p>}
      {told.messages.map(({ id, sender, body }) => (
        <p key={id}>
          {sender.displayName}: {body}
        </p>
      ))}
    </div>
  );
}

const Row = memo(function Row({ row, conversation }: { row: MessageRow; conversation: ConversationQuery['conversation'] }) {
  switch (row.kind) {
    case 'start':
      return <Start conversation={conversation} />;
    case 'day':
      return <Day day={row.day} />;
    case 'unread':
      return (
        <p className="line unread">
          <span>New</span>
        </p>
      );
    case 'end':
      return <div className="messages-end" />;
    case 'outgoing':
      return <OutgoingMessage row={row} />;
    case 'message':
      return <Message row={row} group={conversation.kind === 'GROUP'} />;
  }
}, same);

/** A row is drawn anew only when what it shows has changed: rows are laid out anew with every message. */
function same(a: { row: MessageRow; conversation: ConversationQuery['conversation'] }, b: typeof a): boolean {
  if (a.row.kind === 'message' && b.row.kind === 'message') {
    const [x, y] = [a.row, b.row];
    return x.message === y.message && x.first === y.first && x.last === y.last && x.mine === y.mine && sameReaders(x.readers, y.readers);
  }
  if (a.row.kind === 'day' && b.row.kind === 'day') return a.row.day === b.row.day;
  return false;
}

function sameReaders(a: readonly Reader[], b: readonly Reader[]): boolean {
  return a.length === b.length && a.every((reader, index) => reader === b[index]);
}

function Day({ day }: { day: number }) {
  const now = useNow();
  return (
    <h2 className="line">
      <span>{dayName(day, now)}</span>
    </h2>
  );
}

function Start({ conversation }: { conversation: ConversationQuery['conversation'] }) {
  const { id, kind, peer } = conversation;
  const name = nameOf(conversation);
  return (
    <div className="start">
      <Avatar id={peer?.id ?? id} name={name} url={peer ? peer.avatarUrl : conversation.avatarUrl} group={kind === 'GROUP'} size="4.5rem" />
      <p className="start-name">{name}</p>
      <p>{kind === 'GROUP' ? 'This is where the group begins.' : `This is where you and ${name} begin.`}</p>
    </div>
  );
}

function Message({ row: { message, mine, first, last, readers }, group }: { row: Extract<MessageRow, { kind: 'message' }>; group: boolean }) {
  const { sender, body, createdAt } = message;
  return (
    <article className={classes('message', mine && 'mine', first && 'first', last && 'last')} aria-label={`${mine ? 'You' : sender.displayName}, ${clock(createdAt)}`}>
      {!mine && group && <span className="message-face">{last && <Avatar id={sender.id} name={sender.displayName} url={sender.avatarUrl} size="2rem" />}</span>}
      <div className="bubble">
        {first && !mine && group && <p className="message-sender">{sender.displayName}{sender.bot && <span className="tag">bot</span>}</p>}
        <p className="message-body">
          {linked(body)}
          <time className="message-time" dateTime={createdAt} title={full(createdAt)}>
            {clock(createdAt)}
          </time>
        </p>
      </div>
      {readers.length > 0 && <Readers readers={readers} group={group} />}
    </article>
  );
}

function Readers({ readers, group }: { readers: readonly Reader[]; group: boolean }) {
  const names = readers.map((reader) => reader.user.displayName).join(', ');
  const shown = readers.slice(0, 5);
  return (
    <p className="readers" title={`Read by ${names}`}>
      <span className="hidden">Read by {names}</span>
      {group ? (
        shown.map(({ user }) => <Avatar key={user.id} id={user.id} name={user.displayName} url={user.avatarUrl} size="1.05rem" />)
      ) : (
        <span aria-hidden="true">Read</span>
      )}
      {readers.length > shown.length && <span aria-hidden="true">+{readers.length - shown.length}</span>}
    </p>
  );
}

function OutgoingMessage({ row: { item, first } }: { row: Extract<MessageRow, { kind: 'outgoing' }> }) {
  const { outbox } = useParley();
  const failed = item.error !== undefined;
  return (
    <article className={classes('message mine last', first && 'first', failed ? 'failed' : 'pending')} aria-label={failed ? 'You, not sent' : 'You, being sent'}>
      <div className="bubble">
        <p className="message-body">
          {linked(item.body)}
          <span className="message-time">
            <Icon name={failed ? 'alert' : 'clock'} />
          </span>
        </p>
      </div>
      {failed && (
        <p className="failure" role="alert">
          <span>Not sent: {item.error}</span>
          <button type="button" className="button small" onClick={() => outbox.retry(item.clientKey)}>
            Try again
          </button>
          <button type="button" className="button small" onClick={() => outbox.discard(item.clientKey)}>
            Discard
          </button>
        </p>
      )}
    </article>
  );
}

const special = /(https?:\/\/[^\s<>"']*[^\s<>"'.,;:!?)\]])|(?<![\p{L}\p{N}_@])(@[a-z0-9][a-z0-9_.-]{1,30}[a-z0-9_])/giu;

/** Text in which addresses are links, and names stand out. */
function linked(text: string): ReactNode[] {
  const parts: ReactNode[] = [];
  let from = 0;
  for (const match of text.matchAll(special)) {
    parts.push(text.slice(from, match.index));
    from = match.index + match[0].length;
    parts.push(
      match[1] ? (
        <a key={match.index} href={match[1]} target="_blank" rel="noopener noreferrer nofollow">
          {match[1]}
        </a>
      ) : (
        <strong key={match.index} className="mention">
          {match[0]}
        </strong>
      ),
    );
  }
  parts.push(text.slice(from));
  return parts;
}

function classes(...names: (string | false)[]): string {
  return names.filter(Boolean).join(' ');
}
