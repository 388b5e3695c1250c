import { ApolloClient, ApolloLink, CombinedGraphQLErrors, HttpLink, Observable } from '@apollo/client';
import { print } from '@apollo/client/utilities';
import { OperationTypeNode } from 'graphql';
import { createClient } from 'graphql-ws';
import { createSession, type Ending, type Session, type SessionOptions, type Tokens, type Transport, webSocket } from 'parley-client';
import { authLink, resumeLink } from 'parley-client/apollo';
import { createCache } from './cache';
import { SignInDocument, type SignInMutationVariables, SignUpDocument, type SignUpMutationVariables } from './gql/graphql';
import { Live } from './live/live';
import { memory, Outbox, type Storage } from './outbox';
import { createStore, type Store } from './store';

/** How a person is signed in, and what else may differ between several people on one page. */
export interface ParleyOptions {
  /** True: HttpOnly cookies, and so one person for each browser. False: tokens in `store`, or in memory. */
  cookie: boolean;
  /** Where bearer tokens are kept, and under which name; see `SessionOptions`. */
  store?: SessionOptions['store'];
  key?: string;
  /** Takes the place of the browser's: sees everything that goes over HTTP. */
  fetch?: typeof fetch;
  /** Stands around the transport of subscriptions: sees every event as it arrives, and may let go of the socket. */
  transport?(transport: Transport & { terminate(): void }): Transport;
}

/** Everything one signed-in person has: session, Apollo client, live updates, messages on their way. `App` takes it. */
export interface Parley {
  readonly session: Session;
  readonly client: ApolloClient;
  readonly live: Live;
  readonly outbox: Outbox;
  /** The conversation that shall be shown from its first message on, if it is open. */
  readonly fromTheStart: Store<{ id: string } | null>;
  /** What was begun to be written, by conversation: kept while the page is. */
  readonly drafts: Map<string, string>;
  /** Tells the sign-in apart from all others; null while nobody is signed in. */
  readonly signedIn: Store<string | null>;
  /** Nobody is signed in as far as this page knows, and the server is being asked. */
  readonly looking: Store<boolean>;
  /** Why the last session ended; null while none did. */
  readonly ended: Store<Ending | null>;
  signIn(username: string, password: string): Promise<void>;
  signUp(input: Omit<SignUpMutationVariables['input'], 'cookie'>): Promise<void>;
  signOut(): Promise<void>;
  /**
   * Uploads a picture.
   *
   * @returns its id, for `setAvatar` and `setGroupAvatar`
   * @throws CombinedGraphQLErrors when the server does not take it
   */
  upload(picture: Blob): Promise<string>;
  /** Lets go of sockets and timers, and keeps the session. */
  close(): void;
}

/** How long an answer may take, in milliseconds: over a connection that is dead none comes, and a browser waits for ever. */
const patience = 20_000;

export function createParley(options: ParleyOptions): Parley {
  const url = new URL('/graphql', location.href);
  const credentials = options.cookie ? 'same-origin' : 'omit';
  const session = createSession({
    url: url.href,
    cookie: options.cookie,
    ...(options.store && { store: options.store }),
    ...(options.key !== undefined && { key: options.key }),
    ...(options.fetch && { fetch: options.fetch }),
    signedOut(why) {
      ended.set(why);
      outbox.leave(why === 'signedOut');
      leave();
    },
    signedIn: () => signedIn.set(session.id ?? null),
  });
  const signedIn = createStore(session.id ?? null);
  const ended = createStore<Ending | null>(null);

  const socket = new URL(url);
  socket.protocol = url.protocol.replace('http', 'ws');
  const direct = webSocket(createClient, socket.href, session);
  const transport = options.transport?.(direct) ?? direct;
  const ask = options.fetch ?? fetch;
  const patient: typeof fetch = (input, init) => {
    const late = AbortSignal.timeout(patience);
    return ask(input, { ...init, signal: init?.signal ? AbortSignal.any([init.signal, late]) : late });
  };
  const apollo = { ApolloLink, Observable, print };
  const live = new Live();
  const client = new ApolloClient({
    cache: createCache(),
    link: ApolloLink.from([
      live.link,
      ApolloLink.split(
        ({ operationType }) => operationType === OperationTypeNode.SUBSCRIPTION,
        resumeLink(apollo, transport, { session }),
        authLink(apollo, session).concat(new HttpLink({ uri: url.href, credentials, fetch: patient })),
      ),
    ]),
  });
  const outbox = new Outbox(client, live, storage());
  const fromTheStart = createStore<{ id: string } | null>(null);
  const drafts = new Map<string, string>();
  live.attach(client, outbox, () => session.renew());

  // The browser may have forgotten what the page has stored, and have the cookies still.
  const looking = createStore(options.cookie && !session.signedIn);
  if (looking.get()) {
    const done = () => looking.set(false);
    session.restore().then((found) => {
      if (found) signedIn.set(session.id ?? null);
    }).catch(() => {}).finally(done); // who cannot be asked is told so by the sign-in page
    setTimeout(done, 5_000);
  }

  function leave(): void {
    live.stop(client.clearStore().catch(() => {})); // what was asked before is given up meanwhile
    signedIn.set(null);
    drafts.clear();
  }

  function enter(tokens: Tokens): void {
    ended.set(null);
    session.begin(tokens);
    signedIn.set(session.id ?? null);
  }

  async function upload(picture: Blob, again = true): Promise<string> {
    const authorization = await session.authorization();
    const version = session.version;
    const headers = { ...(authorization !== undefined && { authorization }) };
    const response = await (options.fetch ?? fetch)(new URL('/files', url).href, { method: 'POST', body: picture, headers, credentials });
    if (response.status === 401 && again && (await session.renew(version))) return upload(picture, false);
    const answer: { id?: string; errors?: { message: string }[] } = await response.json();
    if (answer.id === undefined) throw new CombinedGraphQLErrors({ errors: answer.errors ?? [{ message: 'the picture could not be uploaded' }] });
    return answer.id;
  }

  const { cookie } = options;
  return {
    session, client, live, outbox, fromTheStart, drafts, signedIn, looking, ended,
    async signIn(username, password) {
      const input: SignInMutationVariables['input'] = { username, password, cookie };
      const { data } = await client.mutate({ mutation: SignInDocument, variables: { input } });
      if (data) enter(data.signIn);
    },
    async signUp(input) {
      const { data } = await client.mutate({ mutation: SignUpDocument, variables: { input: { ...input, cookie } } });
      if (data) enter(data.signUp);
    },
    signOut: () => session.signOut(),
    upload: (picture) => upload(picture),
    close() {
      live.stop();
      outbox.close();
      session.close();
      void direct.dispose();
    },
  };
}

/** Where messages wait for the network; memory where the browser forbids to keep any. */
function storage(): Storage {
  try {
    return localStorage;
  } catch {
    return memory();
  }
}
