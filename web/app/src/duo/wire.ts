import type { Request, Sink, Transport } from 'parley-client';
import { createStore } from '../store';
import type { Log } from './log';

/** The wire of one person: writes down what goes over it, and can be cut. */
export class Wire {
  /** Nothing goes through, as without a network. */
  readonly isCut = createStore(false);

  readonly #who: string;
  readonly #log: Log;
  #terminate = () => {};

  constructor(who: string, log: Log) {
    this.#who = who;
    this.#log = log;
  }

  /** Takes the place of the browser's `fetch`. */
  readonly fetch: typeof fetch = async (input, init) => {
    const request = requestOf(init?.body);
    const id = request && this.#log.add({ kind: 'operation', who: this.#who, ...describe(request), state: 'running', ms: null });
    const from = performance.now();
    const lost = (): never => {
      if (id !== undefined) this.#log.update(id, { state: 'failed', ms: performance.now() - from, result: 'The connection is cut.' });
      throw new TypeError('Failed to fetch');
    };
    if (this.isCut.get()) return lost();
    const response = await fetch(input, init).catch(lost);
    if (this.isCut.get()) return lost(); // the answer was on its way
    if (id !== undefined) {
      const text = await response.clone().text();
      const result = parse(text);
      const failed = !response.ok || (typeof result === 'object' && result !== null && 'errors' in result);
      this.#log.update(id, { state: failed ? 'failed' : 'done', ms: performance.now() - from, result });
    }
    return response;
  };

  /** Stands around the transport of subscriptions. */
  transport(direct: Transport & { terminate(): void }): Transport {
    this.#terminate = () => direct.terminate();
    return { session: direct.session, subscribe: (request, sink) => (this.isCut.get() ? refuse(sink) : this.#subscribe(direct, request, sink)) };
  }

  cut(): void {
    if (this.isCut.get()) return;
    this.#log.add({ kind: 'note', who: this.#who, text: 'The connection is cut', good: false });
    this.isCut.set(true);
    this.#terminate();
  }

  restore(): void {
    if (!this.isCut.get()) return;
    this.#log.add({ kind: 'note', who: this.#who, text: 'The connection is back', good: true });
    this.isCut.set(false);
    dispatchEvent(new Event('online')); // what a browser says then: whoever waits to try again tries now
  }

  #subscribe(direct: Transport, request: Request, sink: Sink): () => void {
    const [who, log] = [this.#who, this.#log];
    const about = describe(request);
    const id = log.add({ kind: 'operation', who, ...about, state: 'running', ms: null });
    const from = performance.now();
    let running = true;
    const over = (state: 'done' | 'failed', result?: unknown) => {
      if (running) log.update(id, { state, ms: performance.now() - from, ...(result !== undefined && { result }) });
      running = false;
    };
    let live = about.variables['after'] == null; // without a cursor there is nothing to make up for
    const end = direct.subscribe(request, {
      next(result) {
        const [field = '', data] = Object.entries(result.data ?? {})[0] ?? [];
        const event: { __typename?: unknown; cursor?: unknown } = typeof data === 'object' && data !== null ? data : {};
        const cursor = typeof event.cursor === 'string' ? event.cursor : null;
        const name = cursor !== null && typeof event.__typename === 'string' ? event.__typename : field;
        if (name === 'CaughtUp') live = true;
        if (result.data) log.add({ kind: 'arrival', who, of: id, subscription: about.name, name, cursor, replayed: !live, data });
        else over('failed', result);
        sink.next(result);
      },
      error(cause) {
        over('failed', explain(cause));
        sink.error(cause);
      },
      complete() {
        over('done');
        sink.complete();
      },
    });
    return () => {
      over('done');
      end();
    };
  }
}

/** Answers a subscription as a network does that is not there. */
function refuse(sink: Sink): () => void {
  const timer = setTimeout(() => sink.error(new Error('the connection is cut')));
  return () => clearTimeout(timer);
}

/** The operation in the body of an HTTP request; undefined for what is none, such as a picture. */
function requestOf(body: unknown): Request | undefined {
  const request = typeof body === 'string' ? parse(body) : undefined;
  return typeof request === 'object' && request !== null && 'query' in request ? (request as Request) : undefined; // what the app sends has this shape
}

function describe({ query, variables, operationName }: Request) {
  const [, word, name] = /^\s*(query|mutation|subscription)?\s*(\w+)?/.exec(query) ?? [];
  const [, field] = /\{\s*(\w+)/.exec(query) ?? [];
  const type = word === 'mutation' || word === 'subscription' ? word : 'query';
  return { type, name: operationName ?? name ?? field ?? type, query, variables: variables ?? {} } as const;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** An error, a close event, or GraphQL errors, as something to show. */
function explain(cause: unknown): unknown {
  if (Array.isArray(cause)) return { errors: cause };
  if (typeof cause === 'object' && cause !== null && 'code' in cause && 'reason' in cause) return `The socket was closed: ${cause.code} ${cause.reason}`;
  return cause instanceof Error ? cause.message : cause;
}
