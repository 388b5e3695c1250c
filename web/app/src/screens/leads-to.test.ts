import { expect, test } from 'vitest';
import { leadsTo } from './leads-to';

const actor = { id: 'usr_bob' };
const conversation = { id: 'cnv_1', kind: 'GROUP', title: 'Climbers' } as const;

test('a notification leads to what it is about, while the viewer may see that', () => {
  expect(leadsTo({ kind: 'FRIEND_REQUEST', actor, conversation: null })).toBe('/people/usr_bob');
  expect(leadsTo({ kind: 'FRIEND_REQUEST_ACCEPTED', actor, conversation: null })).toBe('/people/usr_bob');
  expect(leadsTo({ kind: 'MENTION', actor, conversation })).toBe('/conversations/cnv_1');
  expect(leadsTo({ kind: 'ADDED_TO_GROUP', actor, conversation: null })).toBeNull();
});
