/**
 * Links for Apollo Client 4. What they need of it is handed in, so that this package depends on nothing.
 *
 * @module
 */
import type { ApolloLink, Observable } from '@apollo/client';
import type { print } from '@apollo/client/utilities';
import { failureOf, type ParleyError } from './failure.ts';
import { type Detail, type Options, resume, type Status } from './resume.ts';
import type { Session } from './session.ts';
import type { Transport } from './transport.ts';

/** What is handed in: `ApolloLink` and `Observable` of `@apollo/client`, `print` of `@apollo/client/utilities`. */
export interface Apollo {
  ApolloLink: typeof ApolloLink;
  Observable: typeof Observable;
  print: typeof print;
}

/** What a subscription may want to be told, besides its results: as `context: { resume: … }` of the operation, or for all of them. */
export interface LinkHandlers {
  caughtUp?(cursor: string, operation: ApolloLink.Operation): void;
  status?(status: Status, detail: Detail, operation: ApolloLink.Operation): void;
  /** See `Handlers.expired`: refetches, and returns the new cursor. */
  expired?(error: ParleyError, operation: ApolloLink.Operation): Promise<string | null>;
}

declare module '@apollo/client' {
  interface DefaultContext {
    resume?: LinkHandlers;
  }
}

/**
 * The last link for subscriptions: they resume as `resume` says. `CaughtUp` events are results like all others, and come
 * again after each reconnect; the error of a subscription that ends is a `ParleyError`.
 */
export function resumeLink(apollo: Apollo, transport: Transport, options: Options & LinkHandlers = {}): ApolloLink {
  return new apollo.ApolloLink(
    (operation) =>
      new apollo.Observable<ApolloLink.Result>((observer) => {
        const { resume: own = {} } = operation.getContext();
        const expired = own.expired ?? options.expired;
        const subscription = resume(
          transport,
          {
            query: apollo.print(operation.query),
            variables: operation.variables,
            ...(operation.operationName === undefined ? {} : { operationName: operation.operationName }),
          },
          {
            next: (_, result) => observer.next(result as ApolloLink.Result), // both are what GraphQL over HTTP calls a result
            caughtUp(cursor, result) {
              (own.caughtUp ?? options.caughtUp)?.(cursor, operation);
              observer.next(result as ApolloLink.Result);
            },
            ...(expired && { expired: (error) => expired(error, operation) }),
            status: (status, detail) => (own.status ?? options.status)?.(status, detail, operation),
            error: (error) => observer.error(error),
            complete: () => observer.complete(),
          },
          options,
        );
        return () => subscription.close();
      }),
  );
}

/**
 * A link for queries and mutations, before `HttpLink`: it sends the session's token and, when the server takes that for worn
 * out, refreshes and tries once more. A wrong password is `UNAUTHENTICATED`, too, but with `inputPath`, and is handed on.
 */
export function authLink(apollo: Pick<Apollo, 'ApolloLink' | 'Observable'>, session: Session): ApolloLink {
  return new apollo.ApolloLink(
    (operation, forward) =>
      new apollo.Observable<ApolloLink.Result>((observer) => {
        let running: { unsubscribe(): void } | undefined;
        let over = false;
        const send = async (again: boolean): Promise<void> => {
          const authorization = await session.authorization();
          const { version, id } = session;
          if (over) return;
          if (authorization !== undefined) {
            operation.setContext(({ headers }) => ({ headers: { ...headers, authorization } }));
          }
          const refused = (cause: unknown) => again && session.signedIn && failureOf(cause).kind === 'unauthenticated';
          const renew = (pass: () => void) => {
            session.renew(version).then((renewed) => {
              if (over) return;
              if (renewed && session.id === id) send(false).catch((cause: unknown) => observer.error(cause));
              else pass();
            }, (cause: unknown) => observer.error(cause));
          };
          let renewing = false;
          running = forward(operation).subscribe({
            next(result) {
              if (result.errors?.length && refused(result.errors)) {
                renewing = true;
                renew(() => {
                  observer.next(result);
                  observer.complete();
                });
              } else observer.next(result);
            },
            error(cause) {
              if (refused(cause)) renew(() => observer.error(cause));
              else observer.error(cause);
            },
            complete() {
              if (!renewing) observer.complete();
            },
          });
        };
        send(true).catch((cause: unknown) => observer.error(cause));
        return () => {
          over = true;
          running?.unsubscribe();
        };
      }),
  );
}
