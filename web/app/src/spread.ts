/**
 * How long to wait before an attempt: longer each time, and not as long as everybody else.
 *
 * @param failures how many attempts have failed so far
 * @param first the longest first wait; further ones take at most half a minute
 * @returns milliseconds
 */
export function spread(failures: number, first = 1_000): number {
  return (Math.min(30_000, first * 2 ** failures) * (1 + Math.random())) / 2;
}
