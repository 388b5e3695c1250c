import { type ApolloClient, ApolloLink, type InMemoryCache } from '@apollo/client';
import { OperationTypeNode } from 'graphql';
import type { Status } from 'parley-client';
import { tap } from 'rxjs';
import { tidy } from '../cache';
import { EventsDocument, HistoryDocument, OneConversationDocument, PresenceChangedDocument, StartDocument } from '../gql/graphql';
import { insist } from '../insist';
import type { Outbox } from '../outbox';
import { spread } from '../spread';
import { createStore } from '../store';
import { passing } from '../ui/action';
import { apply, applyPresence, enter, type Event, forget } from './apply';
import { History } from './history';

/** How the app stands to its server. */
export interface Connection {
  status: Status | 'starting';
  /** When the next attempt comes, in milliseconds since 1970. */
  retryAt?: number;
}

/** How many events are kept to be applied again to answers that overtook them. */
const remembered = 500;
/** When more conversations than this have messages and are not here, the list is asked for instead of each. */
const many = 10;
/** After so many events the cache is tidied: each may leave something behind there. */
const untidy = 200;

/**
 * Keeps the cache of one person as new as the server's log: asks for what the app begins with, then listens to everything
 * that happens after the cursor of that answer, and hands it to `apply`.
 */
export class Live {
  readonly connection = createStore<Connection>({ status: 'starting' });
  /** The viewer's id; null before the first answer. */
  readonly me = createStore<string | null>(null);
  /** Why it could not begin; null while it can. */
  readonly failure = createStore<Error | null>(null);
  /** The messages of the conversations that were looked at. */
  readonly history = new History(async (variables) => {
    const { data } = await this.#the().query({ query: HistoryDocument, variables, fetchPolicy: 'no-cache' });
    return data?.conversation.messages;
  });

  #client: ApolloClient | undefined;
  #outbox: Outbox | undefined;
  #renew: () => Promise<boolean> = async () => false;
  #events: { unsubscribe(): void } | undefined;
  #presence: { unsubscribe(): void } | undefined;
  #cleared: Promise<unknown> = Promise.resolve();
  #restart: ReturnType<typeof setTimeout> | undefined;
  #endings = 0; // how often in a row the events have ended for good
  #since = Infinity; // when they were live last
  #lost = false; // the way to the server, since then
  readonly #unknown = new Map<string, () => void>(); // conversations that have messages and are not here, and what ends the fetching
  #run = 0; // grows with each start and stop: what belongs to an older one is not heeded
  #waiting: Event[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;
  #applied: Event[] = [];
  #untidy = 0; // events since the cache was tidied
  #count = 0; // events applied since the start; the last of them are in #applied

  /**
   * A query or a mutation may be answered as of before an event that the cache shows already. So the events that were applied
   * since it was asked are applied once more when its answer is in the cache: they say what is so, and never harm.
   */
  readonly link = new ApolloLink((operation, forward) => {
    if (operation.operationType === OperationTypeNode.SUBSCRIPTION) return forward(operation);
    const asked = this.#count;
    return forward(operation).pipe(
      tap(() => {
        if (this.#count > asked || this.#waiting.length > 0) setTimeout(() => this.#again(asked));
      }),
    );
  });

  /** @param renew refreshes the session; false when nobody is signed in any more */
  attach(client: ApolloClient, outbox: Outbox, renew: () => Promise<boolean>): void {
    this.#client = client;
    this.#outbox = outbox;
    this.#renew = renew;
  }

  /** Begins, or begins again after a failure. */
  start(): void {
    this.stop();
    const run = this.#run;
    this.#begin().then(
      (cursor) => {
        if (run === this.#run) this.#listen(cursor);
      },
      (cause: unknown) => this.#failed(run, cause),
    );
  }

  /** @param cleared until then it does not begin again */
  stop(cleared = this.#cleared): void {
    this.#run++;
    this.#cleared = cleared;
    this.#events?.unsubscribe();
    this.#events = undefined;
    this.#watchPresence(false);
    clearTimeout(this.#timer);
    clearTimeout(this.#restart);
    this.#timer = undefined;
    this.#endings = 0;
    this.#since = Infinity;
    this.#lost = false;
    this.#waiting = [];
    this.#applied = [];
    for (const end of this.#unknown.values()) end();
    this.#unknown.clear();
    this.history.drop();
    this.me.set(null);
    this.failure.set(null);
    this.connection.set({ status: 'starting' });
  }

  /** Applies what a mutation has answered, as if its event were here already. It comes, too, and changes nothing. */
  apply(event: Event): void {
    this.#flush(); // what came before it
    const [client, me] = [this.#client, this.me.get()];
    if (client && me) apply(client.cache, this.history, me, event);
  }

  /** Asks for what the app begins with. */
  async #begin(): Promise<string> {
    const run = this.#run;
    await this.#cleared;
    const ask = () => this.#the().query({ query: StartDocument, fetchPolicy: 'network-only' });
    let { data } = await ask();
    if (!data?.me && (await this.#renew())) ({ data } = await ask()); // the cookie with the access token may be gone
    if (run !== this.#run) throw new Error('It was stopped meanwhile.');
    if (!data?.me) throw new Error('Nobody is signed in.');
    this.me.set(data.me.id);
    this.failure.set(null);
    this.#outbox?.open(data.me.id);
    return data.cursor;
  }

  #listen(after: string): void {
    const events = this.#the().subscribe({
      query: EventsDocument,
      variables: { after },
      fetchPolicy: 'no-cache', // `apply` says what goes into the cache
      context: {
        resume: {
          status: (status, { retryAt }) => {
            this.connection.set({ status, ...(retryAt !== undefined && { retryAt }) });
            this.#watchPresence(status === 'live');
            if (status === 'waiting') this.#lost = true;
            if (status !== 'live') return;
            this.#since = Date.now();
            if (this.#lost) this.#outbox?.wake();
            this.#lost = false;
          },
          expired: () => this.#refetch(),
        },
      },
    });
    this.#events = events.subscribe({
      next: ({ data }) => {
        if (data) this.#take(data.events);
      },
      error: () => this.#over(),
      complete: () => this.#over(),
    });
  }

  /** There are no events, and none will come by themselves: after a while all is asked for anew, and they begin again. */
  #over(): void {
    const run = this.#run;
    if (Date.now() - this.#since > 60_000) this.#endings = 0; // they went on for long
    this.#since = Infinity;
    this.#lost = true;
    const wait = spread(this.#endings++);
    this.#watchPresence(false);
    this.connection.set({ status: 'waiting', retryAt: Date.now() + wait });
    this.#restart = setTimeout(() => {
      this.#refetch().then(
        (cursor) => {
          if (run === this.#run) this.#listen(cursor);
        },
        (cause: unknown) => this.#failed(run, cause),
      );
    }, wait);
  }

  /** All is asked for again, unless there is nothing to show and never will be. */
  #failed(run: number, cause: unknown): void {
    if (run !== this.#run) return;
    if (!this.me.get()) {
      this.failure.set(cause instanceof Error ? cause : new Error(String(cause)));
      if (!passing(cause)) return;
    }
    this.#over();
  }

  /** Signals have nothing to resume: while the way to the server is lost, the subscription to the events looks for it alone. */
  #watchPresence(watch: boolean): void {
    const client = this.#the();
    if (!watch) {
      this.#presence?.unsubscribe();
      this.#presence = undefined;
    }
    if (watch && !this.#presence) {
      this.#presence = client.subscribe({ query: PresenceChangedDocument, fetchPolicy: 'no-cache' }).subscribe(({ data }) => {
        if (data) applyPresence(client.cache, data.presenceChanged);
      });
    }
  }

  /** Events that arrive together, as in a replay, are shown together. */
  #take(event: Event): void {
    this.#waiting.push(event);
    this.#timer ??= setTimeout(() => this.#flush());
  }

  #flush(): void {
    const events = this.#waiting;
    this.#waiting = [];
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#count += events.length;
    this.#untidy += events.length;
    this.#applied = [...this.#applied, ...events].slice(-remembered);
    this.#show(events);
    if (this.#untidy < untidy) return;
    this.#untidy = 0;
    tidy(this.#the().cache as InMemoryCache); // createCache makes no other
  }

  #again(asked: number): void {
    this.#flush();
    const since = this.#count - asked;
    if (since > 0) this.#show(this.#applied.slice(-since));
  }

  #show(events: readonly Event[]): void {
    const client = this.#the();
    const me = this.me.get();
    if (me === null || events.length === 0) return;
    const missing = new Set<string>();
    client.cache.batch({
      update: (cache) => {
        for (const event of events) {
          const id = apply(cache, this.history, me, event);
          if (id) missing.add(id);
        }
      },
    });
    for (const event of events) if (event.__typename === 'MessageAdded') this.#outbox?.saw(event);
    this.#look(missing);
  }

  /** Conversations further down than the list reaches have new messages: a few are fetched, instead of many the list. */
  #look(missing: ReadonlySet<string>): void {
    const news = [...missing].filter((id) => !this.#unknown.has(id));
    const all = [...this.#unknown.keys(), ...news];
    if (all.length <= many) for (const id of news) this.#insist([id], () => this.#fetch(id));
    else if (news.length > 0) this.#insist(all, () => this.#the().query({ query: StartDocument, fetchPolicy: 'network-only' }));
  }

  /** Fetches what is not here, in place of what else was doing so, until it comes or turns out to be no more for the viewer. */
  #insist(ids: readonly string[], fetch: () => Promise<unknown>): void {
    const done = () => {
      for (const id of ids) if (this.#unknown.get(id) === end) this.#unknown.delete(id);
    };
    const end = insist(() => fetch().then(done), this.connection, (cause) => {
      if (!passing(cause)) done();
    });
    for (const id of ids) {
      this.#unknown.get(id)?.();
      this.#unknown.set(id, end);
    }
  }

  async #fetch(id: string): Promise<void> {
    const client = this.#the();
    const { data } = await client.query({ query: OneConversationDocument, variables: { id }, fetchPolicy: 'network-only' });
    if (data) enter(client.cache, data.conversation);
  }

  /** The log does not reach back to where we were: everything that is shown is asked for anew. */
  async #refetch(): Promise<string> {
    const client = this.#the();
    const cursor = await this.#begin();
    const { cache } = client;
    const listed = new Set(client.readQuery({ query: StartDocument })?.conversations.nodes.map(({ id }) => id));
    for (const key of Object.keys(cache.extract() as object)) {
      if (!key.startsWith('Conversation:')) continue;
      const id = key.slice('Conversation:'.length);
      forget(cache, this.history, id);
      if (!listed.has(id)) cache.evict({ id: key }); // only those of the list have just come
    }
    const others = ['friends', 'blockedUsers', 'users', 'notifications', 'sessions', 'account', 'notificationPreferences', 'export'];
    for (const fieldName of others) cache.evict({ id: 'ROOT_QUERY', fieldName });
    cache.evict({ id: 'ROOT_QUERY', fieldName: 'friendRequests', args: { direction: 'OUTGOING' } }); // those who ask have just come
    await Promise.allSettled(client.refetchQueries({ include: 'active' }).results); // who shows what is gone says so
    return cursor;
  }

  #the(): ApolloClient {
    if (!this.#client) throw new Error('attach comes first');
    return this.#client;
  }
}
