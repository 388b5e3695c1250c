import { CombinedGraphQLErrors } from '@apollo/client';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { insist } from './insist';
import { createStore } from './store';

const refuse = (code: string) => new CombinedGraphQLErrors({ errors: [{ message: 'no', extensions: { code } }] });

/** Something that has failed for this reason once. */
async function begin(cause: unknown) {
  const server = { down: cause, asked: 0, came: 0 }; // `down` is why it does not answer
  const connection = createStore({ status: 'live' });
  const failed: unknown[] = [];
  const ask = async () => {
    server.asked++;
    await null;
    if (server.down) throw server.down;
    server.came++;
  };
  const end = insist(ask, connection, (cause) => failed.push(cause));
  await vi.advanceTimersByTimeAsync(0);
  expect(failed).toEqual([cause]);
  return { server, connection, failed, ask, end };
}

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test.each([new TypeError('Failed to fetch'), refuse('UNAVAILABLE')])('what failed is tried again after a while: %s', async (cause) => {
  const { server, failed } = await begin(cause);
  await vi.advanceTimersByTimeAsync(1_100);
  expect(failed).toEqual([cause, cause]);
  server.down = null;
  await vi.advanceTimersByTimeAsync(2_100);
  expect(server.came).toBe(1);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(server.asked).toBe(3);
});

test('what failed is tried at once when the connection is live again', async () => {
  const { server, connection } = await begin(new TypeError('Failed to fetch'));
  await vi.advanceTimersByTimeAsync(120_000); // the waits are long now
  server.down = null;
  const before = server.asked;
  connection.set({ status: 'replaying' });
  await vi.advanceTimersByTimeAsync(0);
  expect(server.asked).toBe(before);
  connection.set({ status: 'live' });
  connection.set({ status: 'live' }); // it is under way
  await vi.advanceTimersByTimeAsync(0);
  expect(server.came).toBe(1);
  await vi.advanceTimersByTimeAsync(60_000);
  connection.set({ status: 'live' });
  expect(server.asked).toBe(before + 1);
});

test('what fails that was under way when the connection became live is tried again at once', async () => {
  const connection = createStore({ status: 'waiting' });
  const causes: ((cause: unknown) => void)[] = [];
  insist(() => new Promise((_, fail) => causes.push(fail)), connection, () => {});
  connection.set({ status: 'live' });
  causes[0]?.(new TypeError('Failed to fetch'));
  await vi.advanceTimersByTimeAsync(0);
  expect(causes.length).toBe(2);
  causes[1]?.(new TypeError('Failed to fetch')); // which is no reason to ask at once again
  await vi.advanceTimersByTimeAsync(0);
  expect(causes.length).toBe(2);
});

test('what failed for good, or is not wanted any more, is not tried again', async () => {
  const { server, connection } = await begin(refuse('NOT_FOUND'));
  connection.set({ status: 'live' });
  await vi.advanceTimersByTimeAsync(60_000);
  expect(server.asked).toBe(1);

  const left = await begin(new TypeError('Failed to fetch'));
  left.end();
  left.connection.set({ status: 'live' });
  await vi.advanceTimersByTimeAsync(60_000);
  expect(left.server.asked).toBe(1);

  insist(left.ask, left.connection, (cause) => left.failed.push(cause))(); // ended before the answer
  await vi.advanceTimersByTimeAsync(60_000);
  expect([left.server.asked, left.failed.length]).toEqual([2, 1]);
});
