import { memoryLocation } from 'wouter/memory-location';
import { AcceptFriendRequestDocument, AcquaintanceDocument, CreateGroupDocument, FriendsDocument, SendFriendRequestDocument } from '../gql/graphql';
import { randomKey } from '../key';
import { createParley, type Parley } from '../parley';
import type { Log } from './log';
import { Wire } from './wire';

/** Somebody on the page, with an app of their own. */
export interface Person {
  readonly name: string;
  readonly parley: Parley;
  readonly wire: Wire;
  readonly location: Pick<ReturnType<typeof memoryLocation>, 'hook' | 'navigate'>;
}

export const names = ['Alice', 'Bob', 'Carol'] as const;
const keyOf = (name: string) => `parley.duo.${name.toLowerCase()}`;

/** Whether somebody of this name was on the page before it was loaded again. */
export function wasHere(name: string): boolean {
  return sessionStorage.getItem(keyOf(name)) !== null;
}

export function createPerson(name: string, log: Log): Person {
  const wire = new Wire(name, log);
  const parley = createParley({ cookie: false, store: sessionStorage, key: keyOf(name), fetch: wire.fetch, transport: (direct) => wire.transport(direct) });
  const place = `${keyOf(name)}.at`;
  const location = memoryLocation({ path: sessionStorage.getItem(place) ?? '/', record: true });
  addEventListener('pagehide', () => sessionStorage.setItem(place, location.history.at(-1) ?? '/'));
  return { name, parley, wire, location };
}

/** Gives somebody an account, unless they have one. @returns whether it is new */
export async function arrive({ name, parley }: Person): Promise<boolean> {
  if (parley.session.signedIn) return false;
  await parley.signUp({ username: `${name.toLowerCase()}-${randomKey().slice(0, 6)}`, password: randomKey(), displayName: name });
  return true;
}

/**
 * Makes two friends, by what both of them would click.
 *
 * @returns the id of their conversation
 */
export async function befriend(one: Person, other: Person): Promise<string | undefined> {
  const [from, to] = [one.parley.client, other.parley.client];
  const userId = await idOf(other);
  const { data } = await from.query({ query: AcquaintanceDocument, variables: { id: userId }, fetchPolicy: 'network-only' });
  if (data?.user.relationship === 'NONE') {
    const sent = await from.mutate({ mutation: SendFriendRequestDocument, variables: { userId } });
    const requestId = sent.data?.sendFriendRequest.request.id;
    if (requestId !== undefined) await to.mutate({ mutation: AcceptFriendRequestDocument, variables: { requestId } });
  }
  const friends = await from.query({ query: FriendsDocument, fetchPolicy: 'network-only' });
  return friends.data?.friends.nodes.find(({ user }) => user.id === userId)?.conversation.id;
}

/** Makes a group of the first one's with the others, who are friends of theirs. @returns its id */
export async function gather(owner: Person, others: readonly Person[], title: string): Promise<string | undefined> {
  const memberIds = await Promise.all(others.map(idOf));
  const { data } = await owner.parley.client.mutate({ mutation: CreateGroupDocument, variables: { title, memberIds } });
  return data?.createGroup.conversation.id;
}

/** Somebody's id, as soon as their app knows it. */
function idOf({ parley }: Person): Promise<string> {
  return new Promise((resolve) => {
    const look = () => {
      const id = parley.live.me.get();
      if (id === null) return;
      end();
      resolve(id);
    };
    const end = parley.live.me.subscribe(look);
    look();
  });
}
