/** How soon to come back. Both are milliseconds. */
export interface Retry {
  /** The first attempt comes within this; each one after it may take twice as long. 1,000 if left out. */
  first?: number;
  /** No attempt waits longer, unless the server asks for it. 30,000 if left out. */
  most?: number;
}

/**
 * How long to wait before an attempt: anything from nothing to a bound that doubles ("full jitter"), so that a million
 * clients that were cut off together do not come back together.
 *
 * @param failures how many attempts have failed since the last that got anywhere
 * @param spread the least bound, in milliseconds
 */
export function backoff(retry: Retry | undefined, failures: number, spread = 0): number {
  const first = retry?.first ?? 1_000;
  const most = retry?.most ?? 30_000;
  // Never at once: a socket tells first that it failed and then that it closed, and the second is not to hit the next one.
  return 10 + Math.random() * Math.max(spread, Math.min(most, first * 2 ** Math.min(failures, 20)));
}

/**
 * Calls back when the browser says that the network is there again, or that somebody looks at the page again. Outside of
 * browsers it never does.
 *
 * @returns what ends it
 */
export function onWake(callback: () => void): () => void {
  const seen = () => {
    if (document.visibilityState === 'visible') callback();
  };
  if (typeof addEventListener !== 'function' || typeof document !== 'object') return () => {};
  addEventListener('online', callback);
  document.addEventListener('visibilitychange', seen);
  return () => {
    removeEventListener('online', callback);
    document.removeEventListener('visibilitychange', seen);
  };
}

/**
 * Calls back once after a time, or as soon as the browser wakes.
 *
 * @param least milliseconds that not even waking cuts short
 * @returns what cancels it
 */
export function sleep(ms: number, least: number, callback: () => void): () => void {
  const begun = Date.now();
  const stop = () => {
    clearTimeout(timer);
    unhook();
  };
  const done = () => {
    stop();
    callback();
  };
  const timer = setTimeout(done, Math.min(ms, 2 ** 31 - 1));
  const unhook = onWake(() => {
    if (Date.now() - begun >= least) done();
  });
  return stop;
}
