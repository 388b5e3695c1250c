// People who write, and listeners of every kind.
import { ApolloClient, ApolloLink, gql, InMemoryCache, Observable } from '@apollo/client';
import { print } from '@apollo/client/utilities';
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import type { TestContext } from 'node:test';
import { createClient as createStreams } from 'graphql-sse';
import { createClient } from 'graphql-ws';
import {
  createSession, type Event, type Handlers, type ParleyError, type Result, resume, type Session, type SessionOptions, sse, type Status,
  type Subscription, type Tokens, type Transport, webSocket,
} from 'parley-client';
import { resumeLink } from 'parley-client/apollo';
import WebSocket from 'ws';
import type { Server } from './server.ts';

export { Server, Wire } from './server.ts';

/** How soon to come back in tests. */
export const retry = { first: 50, most: 400 };

const TOKENS = '{ accessToken accessTokenExpiresAt refreshToken session { id lastUsedAt } user { id username } }';

export const password = 'correct horse battery';

/** Somebody who is signed in. */
export class Person {
  readonly session: Session;
  readonly username: string;
  readonly endings: string[] = [];

  /** @param url how their session reaches the server */
  static async signUp(t: TestContext, server: Server, options: Partial<SessionOptions> = {}, username = `u-${randomUUID().slice(0, 12)}`): Promise<Person> {
    const person = new Person(server, username, options);
    t.after(() => person.session.close());
    const { signUp } = await person.session.request<{ signUp: Tokens }>(
      `mutation ($input: SignUpInput!) { signUp(input: $input) ${TOKENS} }`, { input: { username: person.username, password } },
    );
    person.session.begin(signUp);
    return person;
  }

  private constructor(server: Server, username: string, options: Partial<SessionOptions>) {
    this.username = username;
    this.session = createSession({ url: server.url, signedOut: (why) => this.endings.push(why), ...options });
  }

  /** Signs in on another device. */
  signIn(): Promise<{ signIn: Tokens & { session: { id: string } } }> {
    return this.session.request(`mutation ($input: SignInInput!) { signIn(input: $input) ${TOKENS} }`, { input: { username: this.username, password } });
  }

  async cursor(): Promise<string> {
    return (await this.session.request<{ cursor: string }>('{ cursor }')).cursor;
  }

  async group(): Promise<string> {
    const made = await this.session.request<{ createGroup: { conversation: { id: string } } }>(
      'mutation { createGroup(input: { title: "a group" }) { conversation { id } } }',
    );
    return made.createGroup.conversation.id;
  }

  /** Sends a message, as often as it takes, and returns its place in the conversation. */
  async send(conversationId: string, body: string): Promise<number> {
    const input = { conversationId, body, clientKey: randomUUID() };
    for (let left = 400; ; left--) {
      try {
        const { sendMessage } = await this.session.request<{ sendMessage: { message: { seq: number } } }>(
          'mutation ($input: SendMessageInput!) { sendMessage(input: $input) { message { seq } } }', { input },
        );
        return sendMessage.message.seq;
      } catch (cause) {
        if (left === 0) throw cause;
        await pause(25);
      }
    }
  }
}

export const EVENTS = `subscription Events($after: Cursor, $types: [EventType!]) {
  events(after: $after, types: $types) { __typename cursor ... on MessageAdded { message { seq body } } }
}`;

export interface Message extends Event {
  message?: { seq: number; body: string };
}

/** What a listener was told. */
export class Record {
  readonly bodies: string[] = [];
  readonly cursors: string[] = [];
  readonly statuses: Status[] = [];
  readonly causes: string[] = [];
  readonly errors: ParleyError[] = [];
  caughtUp = 0;
  completed = 0;
  expired = 0;

  /** The handlers that write it. */
  handlers(refetch?: () => Promise<string | null>): Required<Omit<Handlers<Message>, 'expired'>> & Pick<Handlers<Message>, 'expired'> {
    return {
      next: (event) => {
        this.cursors.push(event.cursor);
        this.bodies.push(event.message?.body ?? event.__typename);
      },
      caughtUp: () => this.caughtUp++,
      status: (status, detail) => {
        this.statuses.push(status);
        if (detail.cause) this.causes.push(detail.cause.message);
      },
      error: (error) => this.errors.push(error),
      complete: () => this.completed++,
      ...(refetch && {
        expired: () => {
          this.expired++;
          return refetch();
        },
      }),
    };
  }

  get status(): Status | undefined {
    return this.statuses.at(-1);
  }
}

/** Waits until something is so. */
export async function until(what: string, so: () => boolean, ms = 40_000): Promise<void> {
  const late = Date.now() + ms;
  while (!so()) {
    if (Date.now() > late) assert.fail(`waited for ${what}`);
    await pause(10);
  }
}

/** Where a listener connects, and as whom. */
export interface Place {
  url: string;
  session: Session;
}

type Listen = (place: Place, handlers: Handlers<Message>, query: string, variables: { [name: string]: unknown }) => Subscription;

const socketUrl = (url: string) => url.replace('http', 'ws');

/** The transport of each library, set up as the README says. */
export const transports: { readonly [kind: string]: (place: Place) => Transport } = {
  'webSocket()': ({ url, session }) =>
    webSocket(createClient, socketUrl(url), session, { webSocketImpl: WebSocket, keepAlive: 500, silence: 1_000 }),
  'graphql-ws': ({ url, session }) => ({
    session,
    subscribe: createClient({
      url: socketUrl(url),
      webSocketImpl: WebSocket,
      connectionParams: async () => ({ authorization: await session.authorization() }),
      retryAttempts: Infinity,
      shouldRetry: () => true,
      retryWait: () => pause(50),
    }).subscribe,
  }),
  'sse()': ({ url, session }) => sse(url, session, { silence: 1_600 }),
  'graphql-sse': ({ url, session }) => ({
    session,
    subscribe: createStreams({
      url,
      headers: async (): Promise<{ [name: string]: string }> => {
        const authorization = await session.authorization();
        return authorization === undefined ? {} : { authorization };
      },
      retryAttempts: 0,
    }).subscribe,
  }),
};

function apollo(place: Place, handlers: Handlers<Message>, query: string, variables: { [name: string]: unknown }): Subscription {
  const transport = transports['webSocket()']?.(place);
  assert(transport);
  const client = new ApolloClient({
    cache: new InMemoryCache(),
    link: resumeLink({ ApolloLink, Observable, print }, transport, { retry }),
  });
  let status: Status = 'connecting';
  let cursor: string | null = null;
  let caughtUp: string | null = null;
  let failed = false;
  const { expired } = handlers;
  const subscription = client
    .subscribe<{ [field: string]: Message }>({
      query: gql(query),
      variables,
      errorPolicy: 'all',
      context: {
        resume: {
          caughtUp: (at) => (caughtUp = at),
          status: (now, detail) => handlers.status?.((status = now), detail),
          ...(expired && { expired }),
        },
      },
    })
    .subscribe({
      next({ data, error }) {
        const [event] = Object.values(data ?? {});
        // Apollo Client makes results of the errors of subscriptions, and completes them.
        if (error) {
          failed = true;
          handlers.error?.(error as ParleyError);
        } else if (event) {
          cursor = event.cursor;
          if (event.__typename !== 'CaughtUp') handlers.next(event, { data } as Result);
          else if (caughtUp === cursor) handlers.caughtUp?.(cursor, { data } as Result); // told in both ways
        }
      },
      error: (error) => handlers.error?.(error),
      complete() {
        if (!failed) handlers.complete?.();
      },
    });
  return {
    get status() {
      return status;
    },
    get cursor() {
      return cursor;
    },
    close: () => subscription.unsubscribe(),
  };
}

/** Every way to listen. */
export const kinds: { readonly [kind: string]: Listen } = {
  ...Object.fromEntries(
    Object.entries(transports).map(([kind, make]): [string, Listen] => [
      kind,
      (place, handlers, query, variables) => resume<Message>(make(place), { query, variables }, handlers, { retry }),
    ]),
  ),
  'Apollo Client': apollo,
};

/** Listens in every way at once. */
export function listenAll(
  t: TestContext, place: Place, variables: { [name: string]: unknown }, refetch?: () => Promise<string | null>, query = EVENTS, only = Object.keys(kinds),
): Map<string, Record> {
  return new Map(
    Object.entries(kinds).filter(([kind]) => only.includes(kind)).map(([kind, listen]) => {
      const record = new Record();
      const subscription = listen(place, record.handlers(refetch), query, variables);
      t.after(() => subscription.close());
      return [kind, record];
    }),
  );
}

/** Waits until every listener has heard of as much as was said, and holds each to it: once and in order. */
export async function judge(records: Map<string, Record>, want: readonly string[]): Promise<void> {
  for (const [kind, record] of records) {
    await until(
      `${want.length} events by ${kind}, which has ${record.bodies.length} and is ${record.statuses.slice(-5).join(', ')}: ${record.causes.at(-1)}`,
      () => record.bodies.length >= want.length && record.status === 'live',
    );
  }
  await pause(100); // for what comes twice
  for (const [kind, record] of records) {
    assert.deepEqual(record.bodies, want, kind);
    assert.equal(new Set(record.cursors).size, want.length, kind);
    assert.deepEqual(record.errors, [], kind);
  }
}
