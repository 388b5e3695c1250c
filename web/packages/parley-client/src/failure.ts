import type { Problem } from './transport.ts';

/** Why something failed for good, or what is being waited for. */
export class ParleyError extends Error {
  override readonly name = 'ParleyError';
  /**
   * `extensions.code` of the first error: `NOT_FOUND`, `FORBIDDEN`, …; `UNAUTHENTICATED` also for a socket that was closed
   * for it; undefined when nothing of the kind came.
   */
  readonly code: string | undefined;
  /** The errors of the answer. */
  readonly errors: readonly Problem[];
  /** The HTTP answer that was not one of GraphQL. */
  readonly response: Response | undefined;

  constructor(message: string, from: { code?: string; errors?: readonly Problem[]; response?: Response; cause?: unknown } = {}) {
    super(message, from.cause === undefined ? undefined : { cause: from.cause });
    this.errors = from.errors ?? [];
    this.response = from.response;
    const code = this.errors[0]?.extensions?.['code'];
    this.code = typeof code === 'string' ? code : from.code;
  }
}

/**
 * What to do about a failure.
 *
 * - `retry`: the way to the server was lost, or it asked for time. Come back.
 * - `fault`: the server failed. Come back, but not for ever.
 * - `expired`: the cursor is of no use. Query anew.
 * - `unauthenticated`: the token is of no use. Refresh it.
 * - `fatal`: it would fail again.
 */
export interface Failure {
  kind: 'retry' | 'fault' | 'expired' | 'unauthenticated' | 'fatal';
  /** Milliseconds that the server asked for. */
  after: number;
  /** Milliseconds over which to spread who comes back, because many were sent away at once. */
  spread: number;
  error: ParleyError;
}

const kinds: { readonly [code: string]: Failure['kind'] } = {
  CURSOR_EXPIRED: 'expired',
  INVALID_CURSOR: 'expired',
  UNAUTHENTICATED: 'unauthenticated',
  RATE_LIMITED: 'retry',
  UNAVAILABLE: 'retry',
  INTERNAL: 'fault',
};

/**
 * Tells apart what a transport hands to `Sink.error`: errors of GraphQL (bare, in a list, or in an `Error`), the close event
 * of a socket, an answer of HTTP, or whatever else, which is taken for a lost network.
 */
export function failureOf(cause: unknown): Failure {
  const inside = property(cause, 'errors');
  const list: readonly unknown[] = Array.isArray(cause) ? cause : Array.isArray(inside) ? inside : [cause];
  const errors = list.filter(isProblem);
  const response = property(cause, 'response');
  const header = response instanceof Response ? Number(response.headers.get('retry-after')) || 0 : 0; // seconds; a date is none
  if (errors.length > 0 || Array.isArray(cause)) {
    const error = cause instanceof ParleyError ? cause : new ParleyError(errors[0]?.message ?? 'refused', { errors, cause });
    const retryAfter = errors[0]?.extensions?.['retryAfter'];
    const kind = isInput(errors[0]) ? 'fatal' : (kinds[error.code ?? ''] ?? 'fatal');
    return failure(kind, error, 1_000 * (typeof retryAfter === 'number' ? retryAfter : header));
  }
  const code = property(cause, 'code');
  const reason = property(cause, 'reason');
  if (typeof code === 'number' && typeof reason === 'string') return closed(code, reason, cause); // a DOMException has a code, too
  const status = response instanceof Response ? response.status : property(cause, 'statusCode');
  const message = cause instanceof Error ? cause.message : 'the connection was lost';
  if (status === 401) return failure('unauthenticated', new ParleyError(message, { code: 'UNAUTHENTICATED', cause }));
  const error = cause instanceof ParleyError ? cause : new ParleyError(message, { cause });
  if (typeof status !== 'number' || status < 400) return failure('retry', error);
  const passing = status >= 500 || status === 408 || status === 425 || status === 429;
  return failure(passing ? 'retry' : 'fatal', error, 1_000 * header);
}

/** What a socket's close code asks for. */
function closed(code: number, reason: string, cause: unknown): Failure {
  const message = `the socket was closed: ${code} ${reason}`.trimEnd();
  const error = new ParleyError(message, { cause });
  switch (code) {
    case 1001: // the server goes away,
    case 1012: // or restarts: everybody it had comes back at once
      return failure('retry', error, 0, 2_000);
    case 1013: // it has more than it can do
      return failure('retry', error, 1_000, 5_000);
    case 4401: // the session was ended
    case 4403: // the token has expired, or was refused
      return failure('unauthenticated', new ParleyError(message, { code: 'UNAUTHENTICATED', cause }));
    case 4408: // the init came too late
    case 4499: // we gave up the socket because nothing came
    case 4504: // the server did not acknowledge in time
      return failure('retry', error);
    case 4500:
      return failure('fault', error);
    case 1009: // the request is too large
      return failure('fatal', error);
  }
  return failure(code >= 4000 ? 'fatal' : 'retry', error);
}

function failure(kind: Failure['kind'], error: ParleyError, after = 0, spread = 0): Failure {
  return { kind, after, spread, error };
}

/** Says whether it is about what was given: a wrong password is UNAUTHENTICATED, too. */
function isInput(problem: Problem | undefined): boolean {
  return problem?.extensions?.['inputPath'] !== undefined;
}

function isProblem(x: unknown): x is Problem {
  return typeof property(x, 'message') === 'string' && typeof property(x, 'extensions') === 'object';
}

/** Reads a property of what may have any or none: those of events and errors are not own ones. */
function property(x: unknown, name: string): unknown {
  return typeof x === 'object' && x !== null && name in x ? (x as { [name: string]: unknown })[name] : undefined; // `in` has just said so
}
