import { CombinedGraphQLErrors } from '@apollo/client';
import { useCallback, useRef, useState } from 'react';
import { useToast } from './toasts';

/** What to tell a person of an error. */
export function explain(cause: unknown): string {
  const [first] = CombinedGraphQLErrors.is(cause) ? cause.errors : [];
  if (!first) return 'The server cannot be reached.';
  if (first.extensions?.['code'] === 'INTERNAL') return 'Something went wrong on the server.';
  const text = first.message;
  return text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? '' : '.');
}

/** The `extensions.code` of an error. */
export function codeOf(cause: unknown): string | undefined {
  const code = CombinedGraphQLErrors.is(cause) ? cause.errors[0]?.extensions?.['code'] : undefined;
  return typeof code === 'string' ? code : undefined;
}

/** Whether the same may go well another time. */
export function passing(cause: unknown): boolean {
  const code = codeOf(cause);
  return code === undefined || code === 'UNAVAILABLE' || code === 'RATE_LIMITED' || code === 'INTERNAL';
}

/**
 * Something that a button does: once at a time; what goes wrong is told, with a button to try again where that may help.
 *
 * @returns what does it, and whether it is under way
 */
export function useAction<Args extends unknown[]>(work: (...args: Args) => Promise<unknown>): [run: (...args: Args) => Promise<boolean>, busy: boolean] {
  const toast = useToast();
  const [busy, setBusy] = useState(false);
  const latest = useRef(work);
  latest.current = work;
  const running = useRef(false);
  const run = useCallback(
    async (...args: Args): Promise<boolean> => {
      if (running.current) return false;
      running.current = true;
      setBusy(true);
      try {
        await latest.current(...args);
        return true;
      } catch (cause) {
        toast(explain(cause), passing(cause) ? () => void run(...args) : undefined);
        return false;
      } finally {
        running.current = false;
        setBusy(false);
      }
    },
    [toast],
  );
  return [run, busy];
}
