import { expect, test } from 'vitest';
import type { Stretch } from '../live/history';
import { tell } from './told';

const stretch = (seqs: readonly number[], { above = true, below = false } = {}): Stretch => ({
  nodes: seqs.map((seq) => {
    const id = seq % 10 === 3 ? 'ann' : 'bob';
    return { id: `m${seq}`, seq, body: `${seq}`, createdAt: '2026-11-21T08:00:00Z', sender: { id, username: id, displayName: id, bot: false, avatarUrl: null } };
  }),
  pageInfo: { startCursor: 'a', endCursor: 'z', hasPreviousPage: above, hasNextPage: below },
});

test.each<[what: string, before: Stretch, now: Stretch, told: number[]]>([
  ['comes', stretch([8, 9]), stretch([8, 9, 10]), [10]],
  ['comes at once, all of it', stretch([10]), stretch([10, 11, 12, 14, 15, 16]), [11, 12, 14, 15, 16]],
  ['one has sent oneself: nothing', stretch([11, 12]), stretch([11, 12, 13]), []],
  ['comes after what came later', stretch([9, 10, 13]), stretch([9, 10, 11, 12, 13]), [11, 12]],
  ['comes first', stretch([], { above: false }), stretch([1], { above: false }), [1]],
  ['comes before what came first', stretch([2], { above: false }), stretch([1, 2], { above: false }), [1]],
  ['stands above: nothing', stretch([8, 9]), stretch([6, 7, 8, 9]), []],
  ['stands above while more comes', stretch([8, 9]), stretch([6, 7, 8, 9, 10]), [10]],
  ['stands below: nothing', stretch([8, 9], { below: true }), stretch([8, 9, 10]), []],
  ['is shown again in place of what was further up: nothing', stretch([1, 2], { below: true }), stretch([50, 51]), []],
  ['is left when it is cut at its end: nothing', stretch([8, 9, 10]), stretch([8, 9], { below: true }), []],
  ['is left when it is cut at its start: nothing', stretch([1, 2, 4], { above: false }), stretch([2, 4]), []],
])('of what %s is read out', (_, before, now, told) => {
  const { messages, more } = tell({ stretch: before, messages: [], more: 0 }, now, 'ann');
  expect([messages.map(({ seq }) => seq), more]).toEqual([told, 0]);
});

test('of much that comes at once the end is read out, and what was before stays for a while', () => {
  const others = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, index) => from + index).filter((seq) => seq % 10 !== 3);
  let told = tell({ stretch: stretch([100]), messages: [], more: 0 }, stretch([100, ...others(101, 140)]), 'ann');
  expect([told.messages.map(({ seq }) => seq), told.more]).toEqual([others(130, 140), 26]);
  told = tell(told, stretch([100, ...others(101, 141)]), 'ann');
  expect([told.messages.map(({ seq }) => seq), told.more]).toEqual([others(130, 141), 0]);
});
