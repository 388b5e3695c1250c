import { ParleyError } from './failure.ts';
import type { Session } from './session.ts';

/** An operation, as it travels. */
export interface Request {
  query: string;
  variables?: Record<string, unknown>;
  operationName?: string;
  extensions?: Record<string, unknown>;
}

/** One error of a GraphQL answer. */
export interface Problem {
  readonly message: string;
  readonly extensions?: { readonly [name: string]: unknown };
}

/** A GraphQL answer, or one of the many that a subscription brings. */
export interface Result {
  data?: { readonly [field: string]: unknown } | null;
  errors?: readonly Problem[];
}

/** Takes what a subscription brings: any number of results, then one error or the completion. */
export interface Sink {
  next(result: Result): void;
  error(cause: unknown): void;
  complete(): void;
}

/**
 * What carries subscriptions. The clients of graphql-ws and graphql-sse are transports as they are; `webSocket` and `sse`
 * make transports that also notice when a connection has died silently.
 */
export interface Transport {
  /** Begins a subscription and returns what ends it. The request stays the caller's, and may change while it runs. */
  subscribe(request: Request, sink: Sink): () => void;
  /** Whose tokens it sends, if it knows. */
  readonly session?: Session | undefined;
}

/** Reads an HTTP answer that has to be JSON. What is not throws a ParleyError with its status. */
export async function json(response: Response): Promise<Result> {
  const type = response.headers.get('content-type') ?? '';
  if (!/\bjson\b/.test(type)) throw new ParleyError(`the server answered ${response.status}`, { response });
  const result: unknown = await response.json();
  if (typeof result !== 'object' || result === null) throw new ParleyError('the answer is not an object', { response });
  return result; // the fields of a Result are all optional, and looked at with care
}
