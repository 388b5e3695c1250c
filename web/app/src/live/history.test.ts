import { CombinedGraphQLErrors } from '@apollo/client';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { HistoryQueryVariables, MessageTextFragment } from '../gql/graphql';
import { History, type Stretch } from './history';

const bob = { id: 'bob', username: 'bob', displayName: 'Bob', bot: false, avatarUrl: null };
const message = (seq: number): MessageTextFragment => ({ id: `msg_${seq}`, seq, body: `message ${seq}`, createdAt: '2026-11-21T09:00:00Z', sender: bob });

/** A server on which so many messages are stored; it pages as Parley does, and a message's place is its number. */
function stage(stored: number) {
  const asked: HistoryQueryVariables[] = [];
  const server = { stored, down: null as unknown }; // why it does not answer
  const history = new History(async (variables) => {
    asked.push(variables);
    await null;
    if (server.down) throw server.down;
    const { first, after, last, before } = variables;
    const from = last ? Math.max(1, (before ? Number(before) : server.stored + 1) - last) : Number(after ?? 0) + 1;
    const to = last ? (before ? Number(before) - 1 : server.stored) : Math.min(server.stored, from + (first ?? 0) - 1);
    const nodes = Array.from({ length: to - from + 1 }, (_, index) => message(from + index));
    return { nodes, pageInfo: { hasPreviousPage: from > 1, hasNextPage: to < server.stored, startCursor: nodes.length > 0 ? String(from) : null, endCursor: nodes.length > 0 ? String(to) : null } };
  });
  const shown: (Stretch | null)[] = [];
  const look = () => history.of('r1').subscribe(() => shown.push(history.of('r1').get()));
  const seqs = () => history.of('r1').get()?.nodes.map(({ seq }) => seq);
  /** Where it begins and ends, and whether that is without a gap. */
  const span = () => {
    const [first = 0, ...rest] = seqs() ?? [];
    return [first, rest.at(-1) ?? first, rest.every((seq, index) => seq === first + index + 1)];
  };
  return { history, asked, server, shown, look, seqs, span };
}

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test('pages grow at either end, and what a page does not touch makes room for it', async () => {
  const { history, span } = stage(300);
  await history.load('r1', 'newest');
  expect(span()).toEqual([251, 300, true]);
  await history.load('r1', 'older');
  expect(span()).toEqual([201, 300, true]);
  expect(history.of('r1').get()?.pageInfo).toEqual({ hasPreviousPage: true, hasNextPage: false, startCursor: '201', endCursor: '300' });
  await history.load('r1', 'oldest');
  expect(span()).toEqual([1, 50, true]);
  await history.load('r1', 'newer');
  expect(span()).toEqual([1, 100, true]);
  expect(history.of('r1').get()?.pageInfo).toEqual({ hasPreviousPage: false, hasNextPage: true, startCursor: '1', endCursor: '100' });
});

test('a page of what is not here any more does not take the place of what is', async () => {
  const { history, span } = stage(300);
  await history.load('r1', 'newest');
  const late = history.load('r1', 'older');
  await history.load('r1', 'oldest');
  await late;
  expect(span()).toEqual([1, 50, true]);
});

test('a message that arrives comes last, once; older stretches do not take it', async () => {
  const { history, seqs, span } = stage(160);
  await history.load('r1', 'newest');
  history.add('r1', message(161));
  history.add('r1', message(161));
  history.add('r1', message(3));
  expect(seqs()?.slice(-2)).toEqual([160, 161]);
  await history.load('r1', 'oldest');
  history.add('r1', message(162));
  expect(span()).toEqual([1, 50, true]);
});

test('what comes before the first message of a conversation that was empty finds its place, or is asked for', async () => {
  const { history, seqs, server, asked, span } = stage(0);
  await history.load('r1', 'newest');
  history.add('r1', message(6)); // one's own, acknowledged before the events have come
  history.add('r1', message(1));
  history.add('r1', message(2));
  expect(seqs()).toEqual([1, 2, 6]);
  for (const seq of [3, 4, 5]) history.add('r1', message(seq));
  expect(span()).toEqual([1, 6, true]);
  await vi.advanceTimersByTimeAsync(10_000);
  expect(asked.length).toBe(1);

  history.drop('r1');
  await history.load('r1', 'newest');
  history.add('r1', message(2));
  server.stored = 2;
  await vi.advanceTimersByTimeAsync(10_000);
  expect(span()).toEqual([1, 2, true]);
  expect(asked.length).toBe(3);
});

test('a message before others that are on their way leaves what is here, and they find their places', async () => {
  const { history, asked, span, seqs } = stage(10);
  await history.load('r1', 'newest');
  history.add('r1', message(13)); // sent from here before the replay has ended
  expect(seqs()?.slice(-2)).toEqual([10, 13]);
  history.add('r1', message(11));
  history.add('r1', message(12));
  history.add('r1', message(13));
  expect(span()).toEqual([1, 13, true]);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(asked.length).toBe(1);
});

test('what is missing for long is asked for', async () => {
  const { history, server, span } = stage(10);
  await history.load('r1', 'newest');
  server.stored = 13;
  history.add('r1', message(13));
  await vi.advanceTimersByTimeAsync(6_000);
  expect(span()).toEqual([1, 13, true]);
});

test('what is missing is asked for as often, however much comes meanwhile', async () => {
  const { history, server, asked, span } = stage(10);
  await history.load('r1', 'newest');
  server.down = new TypeError('Failed to fetch');
  for (server.stored = 13; server.stored <= 112; server.stored++) {
    history.add('r1', message(server.stored));
    await vi.advanceTimersByTimeAsync(3_000);
  }
  expect(asked.length).toBeGreaterThan(10);
  expect(asked.length).toBeLessThan(30);
  server.stored = 112;
  server.down = null;
  await vi.advanceTimersByTimeAsync(30_000);
  expect(span()[2]).toBe(true);
  asked.length = 0;
  await vi.advanceTimersByTimeAsync(300_000);
  expect(asked, 'nothing is missing').toEqual([]);
});

test('what is missing is asked for less often the longer it fails, and not again when it never will come', async () => {
  const { history, server, asked } = stage(10);
  await history.load('r1', 'newest');
  server.down = new TypeError('Failed to fetch');
  history.add('r1', message(13));
  await vi.advanceTimersByTimeAsync(5_000);
  expect(asked).toHaveLength(2);
  await vi.advanceTimersByTimeAsync(300_000);
  expect(asked.length).toBeGreaterThan(10);
  expect(asked.length).toBeLessThan(30);
  server.down = new CombinedGraphQLErrors({ errors: [{ message: 'no', extensions: { code: 'NOT_FOUND' } }] });
  await vi.advanceTimersByTimeAsync(30_000);
  const before = asked.length;
  await vi.advanceTimersByTimeAsync(300_000);
  expect(asked).toHaveLength(before);
});

test('what was asked before all was dropped is asked again', async () => {
  const { history, server, span } = stage(10);
  const loaded = history.load('r1', 'newest');
  history.drop();
  server.stored = 11;
  await loaded;
  expect(span()).toEqual([1, 11, true]);
});

test('five thousand messages are all kept, and further ones make room at the other end, whence they can be paged again', async () => {
  const { history, shown, look, span } = stage(8_000);
  look();
  await history.load('r1', 'newest');
  while ((history.of('r1').get()?.nodes.length ?? 0) < 5_000) await history.load('r1', 'older');
  expect(span()).toEqual([3_001, 8_000, true]);
  while (history.of('r1').get()?.pageInfo.hasPreviousPage) {
    await history.load('r1', 'older');
    await vi.advanceTimersByTimeAsync(0);
  }
  expect(span()[0]).toBe(1);
  expect(Math.max(...shown.map((stretch) => stretch?.nodes.length ?? 0))).toBeLessThanOrEqual(6_050);
  // Nothing is put in front and cut off behind in one step: the list on the screen tells by its length which it was.
  for (const [index, now] of shown.entries()) {
    const before = shown[index - 1];
    if (now && before) expect([now.nodes[0] === before.nodes[0], now.nodes.at(-1) === before.nodes.at(-1)]).toContain(true);
  }
  while (history.of('r1').get()?.pageInfo.hasNextPage) {
    await history.load('r1', 'newer');
    await vi.advanceTimersByTimeAsync(0);
  }
  expect(span().slice(1)).toEqual([8_000, true]);
  await history.load('r1', 'older');
  expect(span()[2]).toBe(true);
});

test('a conversation that is open for days does not grow for ever', async () => {
  const { history, server, span } = stage(1);
  let most = 0;
  history.of('r1').subscribe(() => (most = Math.max(most, history.of('r1').get()?.nodes.length ?? 0)));
  await history.load('r1', 'newest');
  for (let seq = 2; seq <= 8_000; seq++) {
    server.stored = seq;
    history.add('r1', message(seq));
    if (seq % 100 === 0) await vi.advanceTimersByTimeAsync(0);
  }
  expect(most).toBeLessThan(6_200);
  expect(span().slice(1)).toEqual([8_000, true]);
  const [first] = span();
  await history.load('r1', 'older');
  expect(span()).toEqual([Number(first) - 50, 8_000, true]);
});

test.each([['first', 3_001], ['second', 9_050]] as const)('what is read in the %s half of very many messages is not cut off when one arrives', async (half, read) => {
  const { history, look, seqs, span } = stage(9_000);
  look();
  await history.load('r1', 'newest');
  while ((history.of('r1').get()?.nodes.length ?? 0) < 6_000) await history.load('r1', 'older');
  expect(span()).toEqual([3_001, 9_000, true]);
  history.reads('r1', half);
  for (let seq = 9_001; seq <= 9_050; seq++) history.add('r1', message(seq));
  await vi.advanceTimersByTimeAsync(0);
  expect(seqs()).toContain(read);
  expect(seqs()?.length).toBeLessThanOrEqual(5_000);
  if (half === 'first') await history.load('r1', 'newer');
  else await history.load('r1', 'older');
  expect(seqs()?.length).toBeGreaterThan(5_000);
  expect(span()[2]).toBe(true);
});

test('little is kept of a conversation that nobody looks at', async () => {
  const { history, look, seqs } = stage(400);
  const end = look();
  await history.load('r1', 'newest');
  for (let page = 0; page < 4; page++) await history.load('r1', 'older');
  expect(seqs()).toHaveLength(250);
  end();
  expect(seqs()).toBeUndefined();
});

test('what somebody reads further up is not kept when they leave: they find the newest when they are back', async () => {
  const { history, look, span } = stage(160);
  const [end, other] = [look(), look()];
  await history.load('r1', 'oldest');
  other();
  expect(span()).toEqual([1, 50, true]);
  end();
  expect(history.of('r1').get()).toBeNull();
  look();
  await history.load('r1', 'newest');
  history.add('r1', message(161));
  expect(span()).toEqual([111, 161, true]);
});

test('what was looked at to its end is here still when somebody is back', async () => {
  const { history, look, span } = stage(160);
  const end = look();
  await history.load('r1', 'newest');
  end();
  history.add('r1', message(161));
  expect(span()).toEqual([111, 161, true]);
});
