// What a program does with the generated types, and what they keep it from: tsc fails where an expected error is none.
import type { TypedDocumentNode } from '@graphql-typed-document-node/core';
import { useFragment, graphql } from './generated/preset/index';
import { ConversationDocument, type EventsSubscription, MeDocument, PersonFragmentDoc, SaidFragmentDoc, SendMessageDocument } from './generated/preset/graphql';
import type { SendMessageMutation, SendMessageMutationVariables } from './generated/operations';
import type { Event, MutationSendMessageArgs } from './generated/schema';
import type { ClockTime, Cursor, Time } from './scalars';

declare function run<Result, Variables>(document: TypedDocumentNode<Result, Variables>, variables: Variables): Promise<Result>;

export async function send(conversationId: string, body: string): Promise<[Cursor, number]> {
  const { sendMessage } = await run(SendMessageDocument, { input: { conversationId, body, clientKey: crypto.randomUUID() } });
  const said = useFragment(SaidFragmentDoc, sendMessage.message);
  // @ts-expect-error: what a fragment selects is for whoever knows the fragment
  sendMessage.message.seq;
  // @ts-expect-error: a message needs a key
  await run(SendMessageDocument, { input: { conversationId, body } });
  return [sendMessage.cursor, said.seq];
}

export async function history(id: string): Promise<Time[]> {
  const { conversation } = await run(ConversationDocument, { id }); // the page's size has a default
  return conversation.messages.edges.map(({ node }) => useFragment(SaidFragmentDoc, node).createdAt);
}

export async function name(): Promise<string | undefined> {
  const { me } = await run(MeDocument, {});
  // @ts-expect-error: nobody may be signed in
  me.toString();
  return useFragment(PersonFragmentDoc, me)?.displayName;
}

export function apply(event: EventsSubscription['events']): string | undefined {
  switch (event.__typename) {
    case 'CaughtUp':
      return undefined;
    case 'MessageAdded':
      return useFragment(SaidFragmentDoc, event.message).body;
    case 'MemberRoleChanged':
      // @ts-expect-error: there is no such role
      if (event.role === 'KING') return undefined;
      return event.role === 'OWNER' ? event.user.id : undefined;
    // @ts-expect-error: there is no such event
    case 'MessageSung':
      return undefined;
    default:
      return event.cursor;
  }
}

// An operation may also stand in the program.
const Unread = graphql(`
  query Unread {
    unreadNotificationCount
  }
`);

export async function unread(): Promise<number> {
  return (await run(Unread, {})).unreadNotificationCount;
}

export const plain = (variables: SendMessageMutationVariables): MutationSendMessageArgs => variables;
export const seq = (result: SendMessageMutation): number => result.sendMessage.message.seq;
export const place = (event: Event): Cursor => event.cursor;

// @ts-expect-error: a cursor comes from the server
export const made: Cursor = 'a text';
export const night: ClockTime = '22:00';
// @ts-expect-error: that is not what a clock shows
export const noon: ClockTime = 'noon';
