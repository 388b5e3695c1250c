import { spread } from './spread';
import type { Store } from './store';
import { passing } from './ui/action';

/**
 * Does something, and again for as long as it fails for a reason that may pass: after a while, and whenever the connection
 * is live again.
 *
 * @param failed is told why it has failed
 * @returns what ends it
 */
export function insist(work: () => Promise<unknown>, connection: Pick<Store<{ status: string }>, 'get' | 'subscribe'>, failed: (cause: unknown) => void): () => void {
  let failures = 0;
  let timer: ReturnType<typeof setTimeout> | undefined; // defined while it waits
  let woken = false; // while it was under way: it may have waited for an answer that was lost
  let over = false;
  const unsubscribe = connection.subscribe(() => {
    if (connection.get().status !== 'live') return;
    if (timer === undefined) woken = true;
    else attempt();
  });
  const end = () => {
    over = true;
    unsubscribe();
    clearTimeout(timer);
  };
  const attempt = () => {
    clearTimeout(timer);
    timer = undefined;
    woken = false;
    work().then(end, (cause: unknown) => {
      if (over) return;
      failed(cause);
      if (!passing(cause)) end();
      else if (woken) attempt();
      else timer = setTimeout(attempt, spread(failures++));
    });
  };
  attempt();
  return end;
}
