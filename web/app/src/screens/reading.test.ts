import { CombinedGraphQLErrors } from '@apollo/client';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Reading } from './reading';

const down = () => Promise.reject(new TypeError('Failed to fetch'));
const refused = () => Promise.reject(new CombinedGraphQLErrors({ errors: [{ message: 'no', extensions: { code: 'FORBIDDEN' } }] }));
const make = () => {
  const mark = vi.fn(async (_: number): Promise<void> => {});
  return { mark, marked: () => mark.mock.calls.map(([upTo]) => upTo), reading: new Reading(mark) };
};

/** A message every `ms`, each of them looked at. */
async function come(reading: Reading, from: number, to: number, ms: number): Promise<void> {
  for (let seq = from; seq <= to; seq++) {
    reading.reads(seq);
    await vi.advanceTimersByTimeAsync(ms);
  }
}

beforeEach(() => {
  vi.useFakeTimers();
  vi.spyOn(Math, 'random').mockReturnValue(0.999);
});
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

test('what is looked at for a moment is marked, once', async () => {
  const { marked, reading } = make();
  reading.reads(3);
  await vi.advanceTimersByTimeAsync(200);
  reading.reads(null);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(marked()).toEqual([]);
  reading.reads(3);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(marked()).toEqual([3]);
});

test('messages that come without a pause are marked meanwhile, not each of them', async () => {
  const { marked, reading } = make();
  await come(reading, 1, 60, 100);
  expect(marked().length).toBeGreaterThanOrEqual(4);
  expect(marked().length).toBeLessThanOrEqual(7);
});

test('after an outage a conversation is marked, however much comes', async () => {
  const { mark, marked, reading } = make();
  mark.mockImplementation(down);
  reading.reads(1);
  await vi.advanceTimersByTimeAsync(120_000);
  const tried = marked().length;
  expect(tried).toBeLessThan(12); // later and later
  mark.mockResolvedValue();
  await come(reading, 2, 5, 10_000);
  expect(marked().length).toBeGreaterThan(tried);
  expect(marked().at(-1)).toBeGreaterThan(2);
  mark.mockImplementationOnce(down);
  await come(reading, 6, 6, 3_000);
  expect(marked().slice(-2)).toEqual([6, 6]); // soon again
});

test('what has failed is tried soon when the server can be reached again', async () => {
  const { mark, marked, reading } = make();
  mark.mockImplementation(down);
  reading.reads(1);
  await vi.advanceTimersByTimeAsync(120_000);
  mark.mockReset();
  reading.wake();
  await vi.advanceTimersByTimeAsync(300);
  expect(marked()).toEqual([1]);
  reading.wake(); // nothing has failed since
  await come(reading, 2, 5, 300);
  expect(marked()).toEqual([1, 5]);
});

test('what fails that was under way when the server could be reached again is tried soon', async () => {
  const { mark, marked, reading } = make();
  let fail = (_: unknown): void => {};
  mark.mockReturnValueOnce(new Promise((_, reject) => (fail = reject)));
  await come(reading, 1, 1, 300);
  reading.wake();
  fail(new TypeError('Failed to fetch'));
  await vi.advanceTimersByTimeAsync(300);
  expect(marked()).toEqual([1, 1]);
});

test('nothing is marked beside what is under way, and what came meanwhile afterwards', async () => {
  const { mark, marked, reading } = make();
  let answer = (): void => {};
  mark.mockReturnValueOnce(new Promise((resolve) => (answer = resolve)));
  await come(reading, 1, 3, 10_000);
  expect(marked()).toEqual([1]);
  answer();
  await vi.advanceTimersByTimeAsync(1_500);
  expect(marked()).toEqual([1, 3]);
});

test('nothing is tried again that would be refused again, or that nobody looks at any more', async () => {
  const { mark, marked, reading } = make();
  mark.mockImplementationOnce(refused);
  reading.reads(1);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(marked()).toEqual([1]);
  mark.mockImplementationOnce(() => down().finally(() => reading.reads(null)));
  reading.reads(2);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(marked()).toEqual([1, 2]);
});
