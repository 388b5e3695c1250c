import { type Failure, failureOf, ParleyError } from './failure.ts';
import type { Session } from './session.ts';
import type { Request, Result, Transport } from './transport.ts';
import { backoff, type Retry, sleep } from './wait.ts';

/**
 * How a subscription stands, for people to see.
 *
 * - `connecting`: it has been asked for, and nothing has come yet.
 * - `replaying`: what was missed is coming.
 * - `live`: everything up to `cursor` is here, and what happens comes as it happens.
 * - `waiting`: it was lost, and will be asked for again.
 * - `closed`: it is over.
 */
export type Status = 'connecting' | 'replaying' | 'live' | 'waiting' | 'closed';

/** What belongs to a status. */
export interface Detail {
  /** `waiting`: when the next attempt comes, in milliseconds since 1970; waking up may bring it forward. */
  retryAt?: number;
  /** `waiting`, and `closed` after an error: why. */
  cause?: ParleyError;
}

/** What every event of the log has, and every subscription to it has to select. */
export interface Event {
  readonly __typename: string;
  readonly cursor: string;
}

/**
 * Who is told what. None is called before `resume` has returned; what one of them throws is reported as unhandled and
 * changes nothing.
 */
export interface Handlers<E = Event> {
  /** One event, in order, each once. `result` is the whole answer that it came in. `CaughtUp` does not come here. */
  next(event: E, result: Result): void;
  /** The replay is over: everything up to `cursor` has been handed over. Comes again after each reconnect. */
  caughtUp?(cursor: string, result: Result): void;
  /**
   * The log does not reach back to the cursor (`CURSOR_EXPIRED`), or it is of another log (`INVALID_CURSOR`): query anew
   * everything that is shown, and return the cursor of that query, from which the events go on; null goes on from now.
   * What it rejects with is treated like a failure of the subscription: lost networks are tried again. Without this
   * handler the subscription ends with the error.
   */
  expired?(error: ParleyError): Promise<string | null>;
  status?(status: Status, detail: Detail): void;
  /** It has ended, and will not be tried again. */
  error?(error: ParleyError): void;
  /** The server has completed it: the viewer is no longer a member, say. */
  complete?(): void;
}

export interface Options {
  /** Whose tokens to refresh when the server refuses them; the transport's if left out. */
  session?: Session;
  retry?: Retry;
}

/** A subscription that goes on. */
export interface Subscription {
  /** Everything up to here has been handed over; null before the first event or `CaughtUp`. */
  readonly cursor: string | null;
  readonly status: Status;
  /** Ends it. Nothing is called any more, not even `status`. */
  close(): void;
}

/** How many events are remembered, to drop those that a transport delivers again. */
const remembered = 1_000;

/** How many times in a row something may fail that is not the network's fault. */
const patience = 5;

/**
 * Subscribes, and comes back with the last cursor whenever the subscription is lost, so that the handlers see every event
 * once and in order. Begins after `request.variables.after`.
 *
 * A durable subscription takes `$after` and selects `__typename cursor`; one of typing or presence takes no `$after`, and
 * begins anew with its snapshot.
 *
 * The transport may reconnect by itself, with the request it was given: its `after` is kept up to date. It is better not
 * to (`retryAttempts: 0`), so that `status` tells the truth.
 */
export function resume<E = Event>(transport: Transport, request: Request, handlers: Handlers<E>, options: Options = {}): Subscription {
  const durable = /\$after\b/.test(request.query);
  const session = options.session ?? transport.session;
  const variables: Record<string, unknown> = { ...request.variables };
  const after = variables['after'];
  const seen = new Set<string>();
  let cursor = typeof after === 'string' ? after : null;
  let status: Status = 'connecting';
  let told = false; // the first status
  let attempt = 0; // whose sink is listened to; nobody's once it is closed
  let failures = 0; // since anything came
  let faults = 0; // of those, the ones that are not for ever
  let stop = () => {}; // the subscription or the wait

  const call = (callback: () => void) => {
    try {
      callback();
    } catch (cause) {
      // Thrown into the transport it would end the other subscriptions, too.
      setTimeout(() => {
        throw cause;
      });
    }
  };

  function set(next: Status, detail: Detail = {}): void {
    if (told && next === status && next !== 'waiting') return;
    told = true;
    status = next;
    call(() => handlers.status?.(next, detail));
  }

  function at(position: string): void {
    cursor = position;
    variables['after'] = position;
  }

  function connect(): void {
    const mine = ++attempt;
    const version = session?.version;
    set('connecting');
    if (mine !== attempt) return; // closed by a handler
    const end = transport.subscribe({ ...request, variables }, {
      next(result) {
        if (mine === attempt) take(result, version);
      },
      error(cause) {
        if (mine === attempt) fail(failureOf(cause), version);
      },
      complete() {
        if (mine === attempt) finish();
      },
    });
    if (mine === attempt) stop = end;
    else end();
  }

  function take(result: Result, version: number | undefined): void {
    const event: unknown = Object.values(result.data ?? {})[0];
    if (event === undefined || event === null) {
      fail(failureOf(result.errors ?? []), version);
      return;
    }
    failures = faults = 0;
    const { cursor: position, __typename: type } = event as Partial<Event>; // what is not there is undefined, and looked at next
    if (!durable && position === undefined) {
      set('live');
      call(() => handlers.next(event as E, result)); // the caller says what the query selects
      return;
    }
    if (!durable || typeof position !== 'string' || typeof type !== 'string') {
      finish(new ParleyError('a subscription to the log has to take $after and select `__typename cursor`'));
      return;
    }
    const mine = attempt;
    if (type === 'CaughtUp') {
      at(position);
      set('live');
      if (mine === attempt) call(() => handlers.caughtUp?.(position, result));
      return;
    }
    if (seen.has(position)) return;
    seen.add(position);
    for (const oldest of seen) {
      if (seen.size <= remembered) break;
      seen.delete(oldest);
    }
    at(position);
    if (status === 'connecting') set('replaying');
    if (mine === attempt) call(() => handlers.next(event as E, result)); // the caller says what the query selects
  }

  function fail(failure: Failure, version?: number): void {
    const mine = ++attempt;
    stop();
    stop = () => {};
    const { kind, error } = failure;
    const first = failures++ === 0;
    const hopeless = kind === 'fatal' || (kind === 'expired' && !handlers.expired) || (kind === 'unauthenticated' && !session);
    if (hopeless || (kind !== 'retry' && ++faults > patience)) {
      finish(error);
      return;
    }
    const go = (): void => {
      switch (kind) {
        case 'expired':
          set('connecting');
          return settle(mine, () => handlers.expired?.(error), (position = null) => {
            seen.clear();
            cursor = position;
            variables['after'] = position;
            connect();
          });
        case 'unauthenticated':
          set('connecting');
          return settle(mine, () => session?.renew(version), (renewed) => (renewed ? connect() : finish(error)));
        default:
          return connect();
      }
    };
    if (first && (kind === 'expired' || kind === 'unauthenticated')) {
      go();
      return;
    }
    const ms = failure.after + backoff(options.retry, failures - 1, failure.spread);
    stop = sleep(ms, failure.after, go);
    set('waiting', { retryAt: Date.now() + ms, cause: error });
  }

  /** Goes on with what a call brings, unless it was closed meanwhile. */
  function settle<T>(mine: number, ask: () => Promise<T> | undefined, then: (value: T | undefined) => void): void {
    void (async () => ask())().then(
      (value) => {
        if (mine === attempt) then(value);
      },
      (cause: unknown) => {
        if (mine === attempt) fail(failureOf(cause));
      },
    );
  }

  /** Ends it with an error, or without one because the server has completed it. */
  function finish(error?: ParleyError): void {
    close();
    const mine = attempt;
    call(() => handlers.status?.('closed', error ? { cause: error } : {}));
    if (mine === attempt) call(() => (error ? handlers.error?.(error) : handlers.complete?.()));
  }

  function close(): void {
    attempt++;
    status = 'closed';
    stop();
    stop = () => {};
  }

  queueMicrotask(() => {
    if (attempt === 0) connect();
  });
  return {
    get cursor() {
      return cursor;
    },
    get status() {
      return status;
    },
    close,
  };
}
