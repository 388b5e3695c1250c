// Apollo Client's queries and mutations through authLink. Its subscriptions are in the tests of every kind of listener.
import { ApolloClient, ApolloLink, CombinedGraphQLErrors, gql, HttpLink, InMemoryCache, Observable } from '@apollo/client';
import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import type { Session, Tokens } from 'parley-client';
import { authLink } from 'parley-client/apollo';
import { password, Person, Server } from './world.ts';

const SESSIONS = gql`query Sessions { sessions { nodes { id current } } }`;
const CREATE = gql`mutation Create { createGroup(input: { title: "one" }) { conversation { id } } }`;
const CHANGE = gql`mutation Change($input: ChangePasswordInput!) { changePassword(input: $input) { cursor } }`;
const SIGN_IN = gql`mutation SignIn($input: SignInInput!) { signIn(input: $input) { accessToken accessTokenExpiresAt refreshToken } }`;

function connect(t: TestContext, url: string, session: Session, http = fetch): ApolloClient {
  const client = new ApolloClient({
    cache: new InMemoryCache(),
    link: authLink({ ApolloLink, Observable }, session).concat(new HttpLink({ uri: url, fetch: http })),
    defaultOptions: { query: { fetchPolicy: 'network-only' } },
  });
  t.after(() => client.stop());
  return client;
}

/** Makes the access token worthless, and leaves the refresh token as it is. */
async function wear(person: Person): Promise<void> {
  person.session.begin({ ...(await person.signIn()).signIn, accessToken: 'worn out' });
}

/** Counts what is sent to the server. */
function counted(): { count: number; fetch: typeof fetch } {
  const counter = {
    count: 0,
    fetch: ((input, init) => {
      counter.count++;
      return fetch(input, init);
    }) as typeof fetch,
  };
  return counter;
}

const codeOf = (error: unknown) => (CombinedGraphQLErrors.is(error) ? error.errors[0]?.extensions?.['code'] : error);

describe('authLink', { timeout: 120_000 }, () => {
  it('sends the token, and refreshes it when it is refused', async (t) => {
    const server = await Server.start(t);
    const person = await Person.signUp(t, server);
    const client = connect(t, server.url, person.session);
    const { data } = await client.query<{ sessions: { nodes: { current: boolean }[] } }>({ query: SESSIONS });
    assert.deepEqual(data?.sessions.nodes.map(({ current }) => current), [true]);
    await wear(person);
    const { version } = person.session;
    const answers = await Promise.all([client.mutate({ mutation: CREATE }), client.mutate({ mutation: CREATE }), client.query({ query: SESSIONS })]);
    assert(answers.every(({ data }) => data));
    assert.equal(person.session.version, version + 1, 'refreshed more than once');
    const { conversations } = await person.session.request<{ conversations: { nodes: unknown[] } }>('{ conversations { nodes { id } } }');
    assert.equal(conversations.nodes.length, 2);
  });

  it('hands on what is refused for another reason', async (t) => {
    const server = await Server.start(t);
    const person = await Person.signUp(t, server);
    const client = connect(t, server.url, person.session);
    const variables = { input: { username: person.username, password: 'wrong' } };
    await assert.rejects(client.mutate({ mutation: SIGN_IN, variables }), (error) => codeOf(error) === 'UNAUTHENTICATED');
    await person.session.signOut();
    await assert.rejects(client.query({ query: SESSIONS }), (error) => codeOf(error) === 'UNAUTHENTICATED');
    const { data } = await client.mutate<{ signIn: Tokens }>({ mutation: SIGN_IN, variables: { input: { username: person.username, password } } });
    assert(data);
    person.session.begin(data.signIn);
    assert((await client.query({ query: SESSIONS })).data);
    assert.deepEqual(person.endings, ['signedOut']);
  });

  it('tells when the session is over, and when only the network is', async (t) => {
    const server = await Server.start(t);
    let broken = false;
    const person = await Person.signUp(t, server, {
      fetch: (input, init) => (broken ? Promise.reject(new TypeError('fetch failed')) : fetch(input, init)),
    });
    const client = connect(t, server.url, person.session);
    await wear(person);
    broken = true;
    await assert.rejects(client.query({ query: SESSIONS }), /fetch failed/);
    assert.deepEqual(person.endings, []);
    broken = false;
    assert((await client.query({ query: SESSIONS })).data);
    person.session.begin({ accessToken: 'nonsense', refreshToken: 'nonsense', accessTokenExpiresAt: new Date(Date.now() + 600_000).toISOString() });
    await assert.rejects(client.query({ query: SESSIONS }), (error) => codeOf(error) === 'UNAUTHENTICATED');
    assert.deepEqual(person.endings, ['ended']);
  });

  it('asks once with a wrong password, which is not the fault of the session', async (t) => {
    const server = await Server.start(t);
    const network = counted();
    const person = await Person.signUp(t, server);
    const client = connect(t, server.url, person.session, network.fetch);
    const { version } = person.session;
    const input = { currentPassword: 'not this one', newPassword: 'battery horse correct' };
    await assert.rejects(client.mutate({ mutation: CHANGE, variables: { input } }), (error) => codeOf(error) === 'UNAUTHENTICATED');
    const signIn = { username: person.username, password: 'not this one' };
    await assert.rejects(client.mutate({ mutation: SIGN_IN, variables: { input: signIn } }), (error) => codeOf(error) === 'UNAUTHENTICATED');
    assert.equal(network.count, 2);
    await assert.rejects(person.session.request('mutation ($input: SignInInput!) { signIn(input: $input) { cursor } }', { input: signIn }), /wrong/);
    assert.equal(person.session.version, version, 'refreshed for it');
  });

  it('does nothing as somebody else who has signed in meanwhile', async (t) => {
    const server = await Server.start(t);
    const other = await Person.signUp(t, server);
    let worn = true;
    let tab: Session | undefined; // where they sign in
    const refused: typeof fetch = async (input, init) => {
      const headers = new Headers(init?.headers);
      if (!worn) return fetch(input, init);
      worn = false;
      headers.set('authorization', 'Bearer worn out');
      const answer = await fetch(input, { ...init, headers });
      tab?.begin((await other.signIn()).signIn);
      return answer;
    };
    const person = await Person.signUp(t, server);
    tab = person.session;
    const client = connect(t, server.url, tab, refused);
    await assert.rejects(client.mutate({ mutation: CREATE }), (error) => codeOf(error) === 'UNAUTHENTICATED');

    worn = false;
    const another = await Person.signUp(t, server, { fetch: refused });
    tab = another.session;
    worn = true;
    await assert.rejects(another.session.request('mutation { createGroup(input: { title: "one" }) { cursor } }'), /sign in/);
    const { conversations } = await other.session.request<{ conversations: { nodes: unknown[] } }>('{ conversations { nodes { id } } }');
    assert.deepEqual(conversations.nodes, []);
  });
});
