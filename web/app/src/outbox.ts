import { type ApolloClient, CombinedGraphQLErrors } from '@apollo/client';
import { type MessageTextFragment, SendMessageDocument } from './gql/graphql';
import { randomKey } from './key';
import type { Live } from './live/live';
import { spread } from './spread';
import { createStore } from './store';

/** A message on its way. It is kept until the server has acknowledged it, also when the page is closed meanwhile. */
export interface Outgoing {
  /** Chosen once; the server stores what comes with it once, however often it is sent. */
  clientKey: string;
  conversationId: string;
  body: string;
  /** When it was written, in milliseconds since 1970. */
  at: number;
  /** Why the server does not want it; it is tried again only when somebody says so. */
  error?: string;
  /** An attempt was made whose answer never came: it may be stored. */
  tried?: boolean;
  /** A message has arrived that must be this one: it is not shown twice while the acknowledgement is under way. */
  seen?: boolean;
}

/** Where they are kept, each under its own key: other tabs keep theirs beside them. */
export type Storage = Pick<globalThis.Storage, 'getItem' | 'setItem' | 'removeItem' | 'key' | 'length'>;

/** Keeps them as long as the page is there. */
export function memory(kept = new Map<string, string>()): Storage {
  return {
    getItem: (key) => kept.get(key) ?? null,
    setItem: (key, value) => void kept.set(key, value),
    removeItem: (key) => void kept.delete(key),
    key: (index) => [...kept.keys()][index] ?? null,
    get length() {
      return kept.size;
    },
  };
}

/** Codes that another attempt does not change. */
const final = new Set(['BAD_USER_INPUT', 'FORBIDDEN', 'NOT_FOUND', 'CONFLICT', 'GRAPHQL_VALIDATION_FAILED']);

/** How many messages that went well are remembered: their events come soon after. */
const remembered = 500;

/**
 * Sends messages: those of a conversation one after the other, so that they arrive in the order in which they were written,
 * and each again with the same key until the server has answered.
 */
export class Outbox {
  readonly items = createStore<readonly Outgoing[]>([]);

  readonly #client: Pick<ApolloClient, 'mutate'>;
  readonly #live: Pick<Live, 'apply'>;
  readonly #storage: Storage;
  #owner: string | null = null;
  readonly #attempts = new Map<string, AbortController>(); // by the conversation that a message is being sent to
  /** Ids of the viewer's messages that were acknowledged, or taken for one that is on its way. */
  readonly #known = new Set<string>();
  /** By conversation, after attempts that may go well another time: how many, and until when it waits, and has to, as `performance.now` counts. */
  readonly #holds = new Map<string, { failures: number; until: number; least: number }>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  readonly #online = () => this.wake();

  constructor(client: Pick<ApolloClient, 'mutate'>, live: Pick<Live, 'apply'>, storage: Storage) {
    this.#client = client;
    this.#live = live;
    this.#storage = storage;
    globalThis.addEventListener?.('online', this.#online);
  }

  /** Goes on with what a user has not sent yet, and begins with what they have written since the last one left. */
  open(owner: string): void {
    if (this.#owner === owner) return;
    if (this.#owner !== null) this.leave(false);
    const written = this.items.get();
    this.#owner = owner;
    const kept = this.#keys().flatMap((key) => parse(this.#storage.getItem(key))).sort((a, b) => a.at - b.at);
    this.items.set(kept);
    this.#keep([...kept, ...written]);
    this.#pump();
  }

  /** Before `open` it waits, in this page only: nobody knows yet whose it is. */
  send(conversationId: string, body: string): void {
    this.#keep([...this.items.get(), { clientKey: randomKey(), conversationId, body, at: Date.now() }]);
    this.#pump();
  }

  /**
   * The server can be reached again: what waits goes at once, unless the server asked it to wait, and what was under way when
   * it was lost goes again, because its answer may never come.
   */
  wake(): void {
    for (const [id, { least }] of this.#holds) if (least <= performance.now()) this.#holds.delete(id);
    for (const attempt of this.#attempts.values()) attempt.abort();
    this.#pump();
  }

  /** Tries again what the server did not want. */
  retry(clientKey: string): void {
    const item = this.items.get().find((item) => item.clientKey === clientKey);
    if (item) this.#holds.delete(item.conversationId);
    this.#change(clientKey, ({ error: _, ...item }) => item);
    this.#pump();
  }

  discard(clientKey: string): void {
    this.#keep(this.items.get().filter((item) => item.clientKey !== clientKey));
  }

  /** A message has arrived: if it is one of ours, it is shown already. */
  saw({ conversationId, message }: { conversationId: string; message: MessageTextFragment }): void {
    if (message.sender.id !== this.#owner || this.#known.has(message.id)) return;
    const ours = (item: Outgoing) => item.conversationId === conversationId && item.body === message.body && Date.parse(message.createdAt) > item.at - 60_000;
    const item = this.items.get().find((item) => !item.seen && item.tried && ours(item));
    if (!item) return;
    this.#know(message.id);
    this.#change(item.clientKey, (item) => ({ ...item, seen: true }));
  }

  /**
   * The user is gone from here. What waits is kept until they are back.
   *
   * @param forget not even that: they have signed out
   */
  leave(forget: boolean): void {
    if (forget && this.#owner) for (const key of this.#keys()) this.#storage.removeItem(key);
    clearTimeout(this.#timer);
    for (const attempt of this.#attempts.values()) attempt.abort();
    this.#attempts.clear(); // whoever comes next does not wait for them
    this.#holds.clear();
    this.#owner = null;
    this.items.set([]);
  }

  close(): void {
    clearTimeout(this.#timer);
    globalThis.removeEventListener?.('online', this.#online);
  }

  #pump(): void {
    clearTimeout(this.#timer);
    if (this.#owner === null) return;
    const now = performance.now();
    let next = Infinity;
    for (const item of this.items.get()) {
      if (item.error !== undefined || this.#attempts.has(item.conversationId)) continue;
      const until = this.#holds.get(item.conversationId)?.until ?? now;
      if (until <= now) void this.#attempt(item);
      else next = Math.min(next, until);
    }
    if (next < Infinity) this.#timer = setTimeout(() => this.#pump(), next - now);
  }

  async #attempt({ clientKey, conversationId, body }: Outgoing): Promise<void> {
    const owner = this.#owner;
    const attempt = new AbortController();
    this.#attempts.set(conversationId, attempt);
    this.#change(clientKey, (item) => ({ ...item, tried: true }));
    try {
      const { data } = await this.#client.mutate({
        mutation: SendMessageDocument, variables: { clientKey, conversationId, body }, fetchPolicy: 'no-cache',
        context: { fetchOptions: { signal: attempt.signal } },
      });
      if (owner !== this.#owner) return;
      if (data) {
        const { cursor, message } = data.sendMessage;
        this.#know(message.id);
        this.#live.apply({ __typename: 'MessageAdded', cursor, at: message.createdAt, conversationId, message });
      }
      this.discard(clientKey);
      this.#holds.delete(conversationId);
    } catch (cause) {
      if (owner !== this.#owner) return;
      const { code, retryAfter, message } = reason(cause);
      if (code !== undefined && final.has(code)) {
        this.#change(clientKey, ({ seen: _, ...item }) => ({ ...item, error: message })); // what was seen was another one of the same text
      } else if (!attempt.signal.aborted) {
        const failures = this.#holds.get(conversationId)?.failures ?? 0;
        const least = performance.now() + retryAfter * 1000;
        this.#holds.set(conversationId, { failures: failures + 1, until: least + spread(failures, 500), least });
      }
    } finally {
      if (this.#attempts.get(conversationId) === attempt) this.#attempts.delete(conversationId);
    }
    this.#pump();
  }

  #know(id: string): void {
    this.#known.add(id);
    for (const oldest of this.#known) if (this.#known.size > remembered) this.#known.delete(oldest);
  }

  #change(clientKey: string, change: (item: Outgoing) => Outgoing): void {
    this.#keep(this.items.get().map((item) => (item.clientKey === clientKey ? change(item) : item)));
  }

  #keep(items: readonly Outgoing[]): void {
    const before = new Set(this.items.get());
    this.items.set(items);
    if (this.#owner === null) return;
    for (const item of items) {
      if (before.delete(item)) continue;
      try {
        this.#storage.setItem(this.#key(item.clientKey), JSON.stringify(item));
      } catch {
        // Full, or forbidden: it waits as long as the page is open.
      }
    }
    const here = new Set(items.map(({ clientKey }) => clientKey));
    for (const { clientKey } of before) if (!here.has(clientKey)) this.#storage.removeItem(this.#key(clientKey));
  }

  /** The keys of all that is kept for this user, by any tab. */
  #keys(): string[] {
    const all = Array.from({ length: this.#storage.length }, (_, index) => this.#storage.key(index) ?? '');
    return all.filter((key) => key.startsWith(this.#key('')));
  }

  #key(clientKey: string): string {
    return `parley.outbox.${this.#owner}.${clientKey}`;
  }
}

function reason(cause: unknown): { code: string | undefined; retryAfter: number; message: string } {
  const [first] = CombinedGraphQLErrors.is(cause) ? cause.errors : [];
  const { code, retryAfter } = first?.extensions ?? {};
  return {
    code: typeof code === 'string' ? code : undefined,
    retryAfter: typeof retryAfter === 'number' ? retryAfter : 0,
    message: first?.message ?? 'It could not be sent.',
  };
}

/** Reads what `#keep` wrote; whatever else stands there is nothing. */
function parse(text: string | null): Outgoing[] {
  try {
    const item: Partial<Outgoing> | null = JSON.parse(text ?? 'null');
    return typeof item?.clientKey === 'string' && typeof item.body === 'string' ? [item as Outgoing] : [];
  } catch {
    return [];
  }
}
