import { randomUUID } from 'node:crypto';
import { expect } from '@playwright/test';
import { password } from './person.ts';

const TOKENS = '{ accessToken accessTokenExpiresAt refreshToken user { id } }';

interface Tokens {
  accessToken: string;
  accessTokenExpiresAt: string;
  refreshToken: string;
  user: { id: string };
}

/** Somebody without a browser: what must have happened before a test begins, they do through the API. */
export class Account {
  readonly id: string;
  readonly username: string;
  readonly tokens: Tokens;
  readonly #url: string;

  static async signUp(url: string, displayName: string): Promise<Account> {
    const username = displayName.toLowerCase();
    const { signUp } = await post<{ signUp: Tokens }>(url, undefined, `mutation ($input: SignUpInput!) { signUp(input: $input) ${TOKENS} }`, {
      input: { username, password, displayName },
    });
    return new Account(url, username, signUp);
  }

  static async signIn(url: string, displayName: string): Promise<Account> {
    const username = displayName.toLowerCase();
    const { signIn } = await post<{ signIn: Tokens }>(url, undefined, `mutation ($input: SignInInput!) { signIn(input: $input) ${TOKENS} }`, { input: { username, password } });
    return new Account(url, username, signIn);
  }

  private constructor(url: string, username: string, tokens: Tokens) {
    this.#url = url;
    this.username = username;
    this.id = tokens.user.id;
    this.tokens = tokens;
  }

  get token(): string {
    return this.tokens.accessToken;
  }

  ask<T>(query: string, variables: { [name: string]: unknown } = {}): Promise<T> {
    return post(this.#url, this.token, query, variables);
  }

  async request(other: Account): Promise<string> {
    const { sendFriendRequest } = await this.ask<{ sendFriendRequest: { request: { id: string } } }>(
      'mutation ($userId: ID!) { sendFriendRequest(input: { userId: $userId }) { request { id } } }', { userId: other.id },
    );
    return sendFriendRequest.request.id;
  }

  /** Becomes friends with somebody. @returns the id of their conversation */
  async befriend(other: Account): Promise<string> {
    const requestId = await this.request(other);
    const { acceptFriendRequest } = await other.ask<{ acceptFriendRequest: { friendship: { conversation: { id: string } } } }>(
      'mutation ($requestId: ID!) { acceptFriendRequest(input: { requestId: $requestId }) { friendship { conversation { id } } } }', { requestId },
    );
    return acceptFriendRequest.friendship.conversation.id;
  }

  async group(title: string, members: readonly Account[]): Promise<string> {
    const { createGroup } = await this.ask<{ createGroup: { conversation: { id: string } } }>(
      'mutation ($title: String!, $memberIds: [ID!]!) { createGroup(input: { title: $title, memberIds: $memberIds }) { conversation { id } } }',
      { title, memberIds: members.map(({ id }) => id) },
    );
    return createGroup.conversation.id;
  }

  async add(conversationId: string, other: Account): Promise<void> {
    await this.ask('mutation ($input: AddMembersInput!) { addMembers(input: $input) { cursor } }', { input: { conversationId, userIds: [other.id] } });
  }

  async send(conversationId: string, body: string): Promise<void> {
    await this.ask('mutation ($input: SendMessageInput!) { sendMessage(input: $input) { cursor } }', { input: { conversationId, body, clientKey: randomUUID() } });
  }

  async read(conversationId: string, seq: number): Promise<void> {
    await this.ask('mutation ($input: MarkReadInput!) { markRead(input: $input) { cursor } }', { input: { conversationId, seq } });
  }
}

async function post<T>(url: string, token: string | undefined, query: string, variables: { [name: string]: unknown }): Promise<T> {
  const headers = { 'content-type': 'application/json', ...(token !== undefined && { authorization: `Bearer ${token}` }) };
  const response = await fetch(url, { method: 'POST', headers, body: JSON.stringify({ query, variables }) });
  const { data, errors }: { data: T; errors?: unknown } = await response.json();
  expect(errors).toBeUndefined();
  return data;
}
