/**
 * The messages that are here. They stand beside Apollo's cache, because that takes time and memory for all messages of a
 * list whenever one is added.
 *
 * @module
 */
import type { HistoryQueryVariables, MessagePageFragment, MessageTextFragment } from '../gql/graphql';
import { spread } from '../spread';
import { createStore, type Store } from '../store';
import { passing } from '../ui/action';

/**
 * Messages of one conversation that follow each other, by `seq`: a page, and what has grown at either end of it. Those
 * after a gap arrived before others, which are on their way.
 */
export type Stretch = MessagePageFragment;

/** Which page: the newest or the first one, or the one before or after what is here. */
export type Way = 'newest' | 'oldest' | 'older' | 'newer';

/** How many messages a page has. */
const page = 50;
/** More messages than this are not kept; then they are cut to so many. */
const most = 6_000;
const kept = 5_000;
/** So many are kept of a conversation that nobody looks at. */
const unwatched = 200;
/** How long messages may be missing before they are asked for, in milliseconds since the last one came. */
const patience = 5_000;

interface Shelf {
  stretch: Store<Stretch | null>;
  watchers: number;
  /** Its first half is being read. */
  above: boolean;
  /** By the `seq` of a message, its place for `before` and `after`: known of the first and the last one of each page. */
  places: Map<number, string>;
  /** Grows when what is here is dropped: an answer to what was asked before is not heeded. */
  turn: number;
  timer: ReturnType<typeof setTimeout> | undefined; // defined while something is missing, and waited for
  failures: number; // since when nothing was missing
  asking: boolean;
}

/** What is here of all conversations. */
export class History {
  readonly #ask: (variables: HistoryQueryVariables) => Promise<Stretch | undefined>;
  readonly #shelves = new Map<string, Shelf>();

  /** @param ask fetches one page */
  constructor(ask: (variables: HistoryQueryVariables) => Promise<Stretch | undefined>) {
    this.#ask = ask;
  }

  /** What is here of a conversation; null when nothing is, and whoever looks at it has to `load`. */
  of(id: string): Store<Stretch | null> {
    return this.#shelf(id).stretch;
  }

  /**
   * Fetches a page.
   *
   * @throws what the query throws
   */
  async load(id: string, way: Way): Promise<void> {
    const shelf = this.#shelf(id);
    const { turn } = shelf;
    const { startCursor, endCursor } = shelf.stretch.get()?.pageInfo ?? {};
    const where = { newest: { last: page }, oldest: { first: page }, older: { last: page, before: startCursor ?? null }, newer: { first: page, after: endCursor ?? null } }[way];
    const incoming = await this.#ask({ id, ...where });
    if (!incoming) return;
    if (turn !== shelf.turn) return way === 'newest' && !shelf.stretch.get() ? this.load(id, way) : undefined;
    const { nodes, pageInfo } = incoming;
    const [first, last] = [nodes[0], nodes.at(-1)];
    if (first && pageInfo.startCursor !== null) shelf.places.set(first.seq, pageInfo.startCursor);
    if (last && pageInfo.endCursor !== null) shelf.places.set(last.seq, pageInfo.endCursor);
    const before = shelf.stretch.get();
    if (before && (way === 'older' || way === 'newer') && !touch(before, incoming)) return; // of what is not here any more
    shelf.stretch.set(before ? join(before, incoming) : incoming);
    this.#mend(id, shelf);
    this.#trim(id, shelf, way === 'older' ? 'end' : 'start');
  }

  /** A message has arrived. */
  add(id: string, message: MessageTextFragment): void {
    const shelf = this.#shelves.get(id);
    const before = shelf?.stretch.get();
    if (!shelf || !before || before.pageInfo.hasNextPage) return; // it comes with its page
    const { nodes, pageInfo } = before;
    const at = nodes.findLastIndex(({ seq }) => seq <= message.seq);
    if (nodes[at]?.seq === message.seq || (at < 0 && pageInfo.hasPreviousPage)) return; // it is here, or further up
    shelf.stretch.set({ ...before, nodes: nodes.toSpliced(at + 1, 0, message) });
    this.#mend(id, shelf);
    this.#trim(id, shelf, shelf.above ? 'end' : 'start');
  }

  /** Which half of what is here is being read: when messages become too many, the other one is cut. */
  reads(id: string, half: 'first' | 'second'): void {
    this.#shelf(id).above = half === 'first';
  }

  /** Somebody is called otherwise now. */
  rename(user: MessageTextFragment['sender']): void {
    for (const { stretch } of this.#shelves.values()) {
      const before = stretch.get();
      if (!before?.nodes.some(({ sender }) => sender.id === user.id)) continue;
      stretch.set({ ...before, nodes: before.nodes.map((message) => (message.sender.id === user.id ? { ...message, sender: { ...message.sender, ...user } } : message)) });
    }
  }

  /** Forgets a conversation's messages, or everybody's: whoever looks at them loads them anew. */
  drop(id?: string): void {
    for (const [other, shelf] of this.#shelves) {
      if (id !== undefined && id !== other) continue;
      this.#rest(shelf);
      shelf.turn++;
      shelf.places.clear();
      shelf.stretch.set(null);
    }
  }

  #shelf(id: string): Shelf {
    const known = this.#shelves.get(id);
    if (known) return known;
    const store = createStore<Stretch | null>(null);
    const shelf: Shelf = {
      stretch: {
        ...store,
        subscribe: (listener) => {
          const end = store.subscribe(listener);
          shelf.watchers++;
          return () => {
            end();
            if (--shelf.watchers > 0) return;
            if (store.get()?.pageInfo.hasNextPage) this.drop(id); // whoever comes back wants to see the newest
            else this.#trim(id, shelf, 'start');
          };
        },
      },
      watchers: 0, above: false, places: new Map(), turn: 0, timer: undefined, failures: 0, asking: false,
    };
    this.#shelves.set(id, shelf);
    return shelf;
  }

  /** What is missing between the messages that are here comes by itself; if it does not, the newest page brings it. */
  #mend(id: string, shelf: Shelf): void {
    if (!holed(shelf.stretch.get())) return this.#rest(shelf);
    const { failures } = shelf;
    shelf.timer ??= setTimeout(() => {
      shelf.timer = undefined;
      this.load(id, 'newest').catch((cause: unknown) => {
        shelf.failures++;
        if (passing(cause)) this.#mend(id, shelf);
      });
    }, failures === 0 ? patience : spread(failures, patience));
  }

  /** Nothing is missing. */
  #rest(shelf: Shelf): void {
    clearTimeout(shelf.timer);
    shelf.timer = undefined;
    shelf.failures = 0;
  }

  /** Cuts what became too long, at an end where a page can be fetched again. */
  #trim(id: string, shelf: Shelf, end: 'start' | 'end'): void {
    const length = shelf.stretch.get()?.nodes.length ?? 0;
    if (shelf.watchers === 0 && length > unwatched) return this.drop(id);
    if (length <= most) return;
    // Not at once: a list on the screen has to see apart what is added at one end and what is cut off at the other.
    setTimeout(() => {
      const now = shelf.stretch.get();
      if (!now || now.nodes.length <= most) return;
      const cut = shorten(now, shelf.places, end);
      if (!cut) return void this.#place(id, shelf);
      shelf.stretch.set(cut);
      const [first, last] = ends(cut);
      for (const seq of shelf.places.keys()) if (seq < first || seq > last) shelf.places.delete(seq);
    });
  }

  /** All that is here has come as events, which have no places: the newest page has. */
  async #place(id: string, shelf: Shelf): Promise<void> {
    if (shelf.asking) return;
    shelf.asking = true;
    await this.load(id, 'newest').catch(() => {}); // the next message tries again
    shelf.asking = false;
  }
}

function ends({ nodes }: Stretch): [first: number, last: number] {
  return [nodes[0]?.seq ?? 0, nodes.at(-1)?.seq ?? 0];
}

function holed(stretch: Stretch | null): boolean {
  if (!stretch) return false;
  const [first, last] = ends(stretch);
  const from = stretch.pageInfo.startCursor === null ? 1 : first; // what began empty has no place, and may lack its first messages
  return stretch.nodes.length > 0 && last - from >= stretch.nodes.length;
}

function touch(a: Stretch, b: Stretch): boolean {
  const [[first, last], [from, to]] = [ends(a), ends(b)];
  return first <= to + 1 && last >= from - 1;
}

/** Puts a page in its place; what it neither continues nor overlaps goes, and what is before it with a gap: no later page fills that. */
function join(before: Stretch, incoming: Stretch): Stretch {
  const [first, last] = ends(incoming);
  if (first === 0) return incoming;
  const front = before.nodes.filter(({ seq }) => seq < first);
  const back = before.nodes.filter(({ seq }) => seq > last);
  const continued = front.at(-1)?.seq === first - 1 && !holed({ ...before, nodes: front });
  const [head, tail] = [continued ? before : incoming, back[0]?.seq === last + 1 ? before : incoming];
  return {
    nodes: [...(head === before ? front : []), ...incoming.nodes, ...(tail === before ? back : [])],
    pageInfo: {
      ...incoming.pageInfo,
      hasPreviousPage: head.pageInfo.hasPreviousPage, startCursor: head.pageInfo.startCursor,
      hasNextPage: tail.pageInfo.hasNextPage, endCursor: tail.pageInfo.endCursor,
    },
  };
}

/** Cuts one end off, at a message whose place is known. */
function shorten({ nodes, pageInfo }: Stretch, places: ReadonlyMap<number, string>, end: 'start' | 'end'): Stretch | undefined {
  if (end === 'start') {
    const from = nodes.findIndex(({ seq }, index) => index >= nodes.length - kept && places.has(seq));
    const startCursor = places.get(nodes[from]?.seq ?? 0);
    return startCursor === undefined ? undefined : { nodes: nodes.slice(from), pageInfo: { ...pageInfo, hasPreviousPage: true, startCursor } };
  }
  const to = nodes.findLastIndex(({ seq }, index) => index < kept && places.has(seq));
  const endCursor = places.get(nodes[to]?.seq ?? 0);
  return endCursor === undefined ? undefined : { nodes: nodes.slice(0, to + 1), pageInfo: { ...pageInfo, hasNextPage: true, endCursor } };
}
