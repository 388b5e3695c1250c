import type { Session } from './session.ts';
import type { Request, Sink, Transport } from './transport.ts';

/** What is used of a client of graphql-ws. */
export interface SocketClient {
  subscribe(request: Request, sink: Sink): () => void;
  terminate(): void;
  dispose(): void | Promise<void>;
}

/** What makes sockets: `WebSocket` of browsers and of `ws`. */
export type SocketClass = new (url: string, protocols?: string | string[]) => {
  addEventListener(type: 'error', listener: () => void): void;
};

/** What is asked of `createClient` of graphql-ws. */
export interface SocketClientOptions {
  url: string;
  connectionParams(): Promise<Record<string, unknown> | undefined>;
  retryAttempts: number;
  keepAlive: number;
  lazyCloseTimeout: number;
  webSocketImpl?: unknown;
  on: {
    connecting(): void;
    connected(): void;
    closed(): void;
    message(): void;
    ping(received: boolean): void;
    pong(received: boolean): void;
  };
}

export interface SocketOptions {
  /** Milliseconds between pings; 10,000 if left out. */
  keepAlive?: number;
  /** Milliseconds without any message after a ping, or without a connection, after which the socket is given up; 5,000 if left out. */
  silence?: number;
  /** For Node.js before 22: the class of `ws`. */
  webSocketImpl?: SocketClass;
}

/**
 * A transport over one WebSocket, by the client of graphql-ws: opened by the first subscription, closed a moment after the
 * last. It sends the session's token, and gives up a socket on which nothing comes although it should.
 *
 * @param createClient that of graphql-ws
 * @param url `wss://…/graphql`
 * @param session left out: nobody is signed in
 */
export function webSocket(
  createClient: (options: SocketClientOptions) => SocketClient,
  url: string,
  session?: Session,
  options: SocketOptions = {},
): Transport & Pick<SocketClient, 'dispose' | 'terminate'> {
  const silence = options.silence ?? 5_000;
  const Base: SocketClass | undefined = options.webSocketImpl ?? (typeof WebSocket === 'function' ? WebSocket : undefined);
  // graphql-ws stops listening to a socket that it gives up, and `ws` then throws what goes wrong where nobody can catch it.
  const webSocketImpl = Base && class extends Base {
    constructor(url: string, protocols?: string | string[]) {
      super(url, protocols);
      this.addEventListener('error', () => {});
    }
  };
  let whose: string | undefined; // the socket
  let watch: ReturnType<typeof setTimeout> | undefined;
  const calm = () => {
    clearTimeout(watch);
    watch = undefined;
  };
  const hurry = (ms: number) => {
    calm();
    watch = setTimeout(() => client.terminate(), ms);
  };
  const client = createClient({
    url,
    async connectionParams() {
      const authorization = await session?.authorization();
      whose = session?.id;
      return authorization === undefined ? undefined : { authorization };
    },
    retryAttempts: 0, // `resume` comes back
    keepAlive: options.keepAlive ?? 10_000,
    lazyCloseTimeout: 1_000, // so that a page that leaves one subscription for another keeps the socket
    webSocketImpl,
    on: {
      connecting: () => hurry(2 * silence),
      connected: calm,
      closed() {
        calm();
        whose = undefined;
      },
      message() {
        if (watch !== undefined) hurry(silence); // a pong may queue behind a long replay
      },
      ping(received) {
        if (!received) hurry(silence);
      },
      pong(received) {
        if (received) calm();
      },
    },
  });
  return {
    session,
    subscribe(request, sink) {
      if (whose !== undefined && whose !== session?.id) client.terminate(); // somebody else has signed in since
      return client.subscribe(request, sink);
    },
    terminate: () => client.terminate(),
    dispose: () => client.dispose(),
  };
}
