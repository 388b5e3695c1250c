// Sessions against a real server: refreshing, ending, tabs, cookies.
import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { createSession, type Ending, ParleyError, type Session, type SessionOptions, sse, type Store, type Tokens } from 'parley-client';
import { password, Person, Server, until, Wire } from './world.ts';

const TOKENS = '{ accessToken accessTokenExpiresAt refreshToken session { lastUsedAt } }';
const SIGN_IN = `mutation ($input: SignInInput!) { signIn(input: $input) ${TOKENS} }`;
const ME = '{ me { username } }';

interface Me {
  me: { username: string } | null;
}

/** A fetch that counts requests by operation, and can lose their answers. */
class Network {
  readonly asked: string[] = [];
  broken = false;
  /** What is answered next, in place of the server. */
  answer: Response | undefined;
  readonly fetch: typeof fetch = async (input, init) => {
    const { query } = JSON.parse(String(init?.body)) as { query: string };
    if (this.broken) throw new TypeError('fetch failed');
    const { answer } = this;
    this.answer = undefined;
    if (answer) return answer;
    this.asked.push(/^(?:mutation|query) (\w+)/.exec(query)?.[1] ?? 'other');
    return fetch(input, init);
  };
  count(name: string): number {
    return this.asked.filter((asked) => asked === name).length;
  }
}

/** The cookies of a browser. */
class Jar {
  readonly jar = new Map<string, string>();
  readonly fetch: typeof fetch;
  constructor(network: Network) {
    this.fetch = async (input, init) => {
      assert.equal(init?.credentials, 'include');
      const headers = new Headers(init.headers);
      assert.equal(headers.get('authorization'), null);
      headers.set('cookie', Array.from(this.jar, ([name, value]) => `${name}=${value}`).join('; '));
      const answer = await network.fetch(input, { ...init, headers });
      for (const line of answer.headers.getSetCookie()) {
        const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
        if (value === '') this.jar.delete(name);
        else this.jar.set(name, value);
      }
      return answer;
    };
  }
}

/** Tabs of one browser: they share locks, and a store in which each sees what another has written a little later. */
class Browser {
  readonly #locks = new Map<string, Promise<unknown>>();
  readonly #held = new Map<string, number>();
  readonly #tabs: { items: Map<string, string>; listeners: ((event: { key: string }) => void)[] }[] = [];

  constructor() {
    const locks = {
      request: <T>(name: string, ...rest: [work: () => Promise<T>] | [options: object, work: () => Promise<T>]): Promise<T> => {
        const work = rest[1] ?? rest[0];
        assert(typeof work === 'function');
        const run = async () => {
          this.#held.set(name, (this.#held.get(name) ?? 0) + 1);
          try {
            return await work();
          } finally {
            this.#held.set(name, (this.#held.get(name) ?? 0) - 1);
          }
        };
        if (rest.length === 2) return run(); // shared
        const turn = (this.#locks.get(name) ?? Promise.resolve()).then(run);
        this.#locks.set(name, turn.catch(() => {}));
        return turn;
      },
      query: async () => ({ held: Array.from(this.#held).flatMap(([name, count]) => Array.from({ length: count }, () => ({ name }))) }),
    };
    for (const [name, value] of Object.entries({
      navigator: { locks },
      addEventListener: (type: string, listener: (event: { key: string }) => void) => {
        if (type === 'storage') this.#tabs.at(-1)?.listeners.push(listener);
      },
      removeEventListener: () => {},
    })) {
      Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
    }
  }

  /** Opens a tab: what listens from now on listens there. */
  open(): Store {
    const tab = { items: new Map(this.#tabs[0]?.items), listeners: [] as ((event: { key: string }) => void)[] };
    const change = (key: string, value: string | undefined) => {
      for (const other of this.#tabs) {
        const apply = () => (value === undefined ? other.items.delete(key) : other.items.set(key, value));
        if (other === tab) apply();
        else setTimeout(() => {
          apply();
          for (const listener of other.listeners) listener({ key });
        }, 30);
      }
    };
    this.#tabs.push(tab);
    return {
      getItem: (key) => tab.items.get(key) ?? null,
      setItem: (key, value) => change(key, value),
      removeItem: (key) => change(key, undefined),
    };
  }
}

/** Opens a session that notes its endings. */
function open(t: TestContext, options: SessionOptions): { session: Session; endings: Ending[]; beginnings: number } {
  const tab = { endings: [] as Ending[], beginnings: 0, session: undefined as unknown as Session };
  tab.session = createSession({ ...options, signedOut: (why) => tab.endings.push(why), signedIn: () => tab.beginnings++ });
  t.after(() => tab.session.close());
  return tab;
}

async function signUp(session: Session, username: string, more: object = {}): Promise<void> {
  const answer = await session.request<{ signUp: Tokens }>(
    `mutation ($input: SignUpInput!) { signUp(input: $input) ${TOKENS} }`, { input: { username, password, ...more } },
  );
  session.begin(answer.signUp);
}

describe('sessions', { timeout: 120_000 }, () => {
  it('refresh once, however many ask', async (t) => {
    const server = await Server.start(t);
    const network = new Network();
    const { session } = await Person.signUp(t, server, { fetch: network.fetch });
    const { version } = session;
    assert.deepEqual(await Promise.all(Array.from({ length: 20 }, () => session.renew(version))), Array(20).fill(true));
    assert.equal(network.count('Refresh'), 1);
    assert.equal(await session.renew(version), true); // somebody has
    assert.equal(network.count('Refresh'), 1);
    assert.equal(await session.renew(), true);
    assert.equal(network.count('Refresh'), 2);
    assert(session.version > version);
  });

  it('are not over because there is no network', async (t) => {
    const server = await Server.start(t);
    const network = new Network();
    const { session, endings, username } = await Person.signUp(t, server, { fetch: network.fetch });
    network.broken = true;
    await assert.rejects(session.renew());
    assert(await session.authorization()); // still good
    network.broken = false;
    for (const answer of [
      new Response('no backend', { status: 502 }),
      Response.json({ data: null, errors: [{ message: 'try again', extensions: { code: 'UNAVAILABLE', retryAfter: 1 } }] }),
    ]) {
      network.answer = answer;
      await assert.rejects(session.renew(), ParleyError);
    }
    await server.kill();
    await assert.rejects(session.renew());
    await server.restart();
    assert.equal(await session.renew(), true);
    assert.deepEqual(await session.request<Me>(ME), { me: { username } });
    assert.deepEqual(endings, []);
  });

  it('refresh by themselves before the access token expires, whatever this clock says', async (t) => {
    const server = await Server.start(t, '--access-ttl', '10s');
    const wrong = t.mock.method(Date, 'now', ((now) => () => now.call(Date) + 3_600_000)(Date.now));
    const network = new Network();
    const { session } = await Person.signUp(t, server, { fetch: network.fetch });
    await session.request(ME);
    assert.equal(network.count('Refresh'), 0, 'refreshed at once because this clock is fast');
    await until('the refresh', () => network.count('Refresh') === 1, 9_500);
    wrong.mock.restore();
  });

  it('begin anew with what a request was refused with', async (t) => {
    const server = await Server.start(t);
    const { session, username } = await Person.signUp(t, server);
    const { signIn } = await session.request<{ signIn: Tokens }>(SIGN_IN, { input: { username, password } });
    session.begin({ ...signIn, accessToken: 'worn out' });
    const { sessions } = await session.request<{ sessions: { nodes: unknown[] } }>('{ sessions { nodes { id } } }');
    assert.equal(sessions.nodes.length, 2);
    await assert.rejects(
      session.request(SIGN_IN, { input: { username, password: 'wrong' } }),
      (e) => e instanceof ParleyError && e.code === 'UNAUTHENTICATED',
    );
    assert(session.signedIn);
  });

  it('end when a refresh token was used by somebody else', async (t) => {
    const server = await Server.start(t);
    const { session, endings, username } = await Person.signUp(t, server);
    const { signIn } = await session.request<{ signIn: Tokens }>(SIGN_IN, { input: { username, password } });
    session.begin(signIn);
    const thief = open(t, { url: server.url });
    thief.session.begin(signIn);
    assert.equal(await thief.session.renew(), true);
    assert.equal(await session.renew(), false);
    assert.equal(await thief.session.renew(), false);
    assert.deepEqual([endings, thief.endings], [['ended'], ['ended']]);
  });

  it('are over when the answer to a refresh is lost', async (t) => {
    const server = await Server.start(t);
    const network = new Network();
    const { session, endings } = await Person.signUp(t, server, {
      fetch: async (...request) => {
        const answer = await network.fetch(...request);
        if (network.count('Refresh') === 1) throw new TypeError('fetch failed');
        return answer;
      },
    });
    await assert.rejects(session.renew());
    assert.deepEqual(endings, []);
    assert.equal(await session.renew(), false);
    assert.deepEqual(endings, ['ended']);
  });

  it('live in their tab alone when the store is full', async (t) => {
    const server = await Server.start(t);
    const items = new Map<string, string>();
    let full = false;
    const store: Store = {
      getItem: (key) => items.get(key) ?? null,
      setItem: (key, value) => {
        if (full) throw new DOMException('full', 'QuotaExceededError');
        items.set(key, value);
      },
      removeItem: (key) => items.delete(key),
    };
    const { session, endings } = await Person.signUp(t, server, { store });
    full = true;
    assert.equal(await session.renew(), true);
    assert.equal(items.size, 0); // another tab would use the worn-out refresh token, which ends the session
    assert(await session.authorization());
    full = false;
    assert.equal(await session.renew(), true);
    assert.equal(items.size, 1);
    assert.deepEqual(endings, []);
  });

  it('are shared by tabs: one refresh, one sign-out', async (t) => {
    const server = await Server.start(t);
    const browser = new Browser();
    const network = new Network();
    const tab = () => open(t, { url: server.url, store: browser.open(), fetch: network.fetch });
    const one = tab();
    await signUp(one.session, 'tabs');
    const two = tab();
    const three = tab();
    assert(two.session.signedIn);
    assert.deepEqual(await Promise.all([one, two, three].map(({ session }) => session.renew())), [true, true, true]);
    assert.equal(network.count('Refresh'), 1);
    for (let round = 2; round < 5; round++) {
      assert.deepEqual(await Promise.all([three, one, two].map(({ session }) => session.renew())), [true, true, true]);
      assert.equal(network.count('Refresh'), round);
    }
    const authorization = await one.session.authorization();
    assert(authorization);
    assert.equal(await two.session.authorization(), authorization);
    assert.deepEqual(await Promise.all([two.session.signOut(), one.session.renew()]), [undefined, false]); // its socket was closed
    await until('the others to hear', () => one.endings.length + three.endings.length === 2);
    assert.deepEqual([one, two, three].map(({ endings }) => endings), [['elsewhere'], ['signedOut'], ['elsewhere']]);
    assert.equal(await one.session.authorization(), undefined);
    await signUp(three.session, 'tabs-2');
    await until('the others to hear', () => one.beginnings === 1);
    assert.equal((await one.session.request<Me>(ME)).me?.username, 'tabs-2');
    await signUp(one.session, 'tabs-3'); // as somebody else
    await until('the others to hear', () => three.endings.length === 2);
    assert.equal(three.endings[1], 'elsewhere');
    assert.equal((await three.session.request<Me>(ME)).me?.username, 'tabs-3');
  });

  it('end on the server, too', async (t) => {
    const server = await Server.start(t);
    const { session, endings } = await Person.signUp(t, server);
    const authorization = await session.authorization();
    assert(authorization);
    await session.signOut();
    await session.signOut();
    assert.deepEqual(endings, ['signedOut']);
    const answer = await fetch(server.url, {
      method: 'POST', headers: { 'content-type': 'application/json', authorization }, body: JSON.stringify({ query: ME }),
    });
    assert.deepEqual(await answer.json(), { data: { me: null } });
  });

  it('end on the server with an access token that is of no use any more', async (t) => {
    const server = await Server.start(t);
    const { session, endings, username } = await Person.signUp(t, server);
    const signIn = async () => (await session.request<{ signIn: Tokens }>(SIGN_IN, { input: { username, password } })).signIn;
    const tokens = await signIn();
    session.begin({ ...tokens, accessToken: 'worn out' });
    await session.signOut();
    const network = new Network();
    const { jar, fetch } = new Jar(network);
    const other = open(t, { url: server.url, cookie: true, store: new Browser().open(), fetch });
    other.session.begin((await other.session.request<{ signIn: Tokens }>(SIGN_IN, { input: { username, password, cookie: true } })).signIn);
    jar.set('parley_access', 'worn out');
    await other.session.signOut();
    assert.equal(jar.size, 0);
    assert.deepEqual([endings, other.endings], [['signedOut'], ['signedOut']]);
    session.begin(await signIn());
    const { sessions } = await session.request<{ sessions: { nodes: unknown[] } }>('{ sessions { nodes { id } } }');
    assert.equal(sessions.nodes.length, 2, 'the one of the sign-up, and this one');
    const current = (await session.request<{ sessions: { nodes: { id: string; current: boolean }[] } }>('{ sessions { nodes { id current } } }')).sessions.nodes.find(({ current }) => current);
    await session.request('mutation ($sessionId: ID!) { revokeSession(input: { sessionId: $sessionId }) { cursor } }', { sessionId: current?.id });
    await session.signOut(); // it had ended, nobody is told another reason
    assert.deepEqual(endings, ['signedOut', 'signedOut']);
  });

  it('end for nobody who has signed in meanwhile', async (t) => {
    const server = await Server.start(t);
    const other = await Person.signUp(t, server);
    const { signIn: theirs } = await other.signIn();
    const network = new Network();
    let refreshed = (): void => {};
    const { session, endings } = await Person.signUp(t, server, {
      fetch: async (...request) => {
        const answer = await network.fetch(...request);
        if (network.asked.at(-1) === 'Refresh') refreshed();
        return answer;
      },
    });
    refreshed = () => session.begin(theirs);
    t.mock.method(Date, 'now', ((now) => () => now.call(Date) + 86_400_000)(Date.now)); // the token has expired: it is refreshed first
    await session.signOut();
    assert.deepEqual([network.count('Refresh'), network.count('SignOut')], [1, 0]);
    assert.equal((await session.request<Me>(ME)).me?.username, other.username);
    assert.deepEqual(endings, []);
  });

  it('send no cookies but those that are theirs', async (t) => {
    const server = await Server.start(t);
    const sent: (RequestCredentials | undefined)[] = [];
    const watched: typeof fetch = (input, init) => {
      sent.push(init?.credentials);
      return fetch(input, init);
    };
    for (const cookie of [false, true]) {
      sent.length = 0;
      const { session } = await Person.signUp(t, server, { fetch: watched, cookie });
      const stream = sse(server.url, session, { fetch: watched, cookie });
      const end = stream.subscribe({ query: 'subscription { events { cursor } }' }, { next() {}, error() {}, complete() {} });
      await until('the stream', () => sent.length === 2);
      end();
      assert.deepEqual(sent, Array(2).fill(cookie ? 'include' : 'omit'));
    }
  });

  it('end here when the server cannot be reached, and say so', async (t) => {
    const server = await Server.start(t);
    const wire = await Wire.to(t, server);
    const person = await Person.signUp(t, server, { url: wire.url });
    wire.cut();
    await assert.rejects(person.session.signOut(), ParleyError);
    assert.deepEqual(person.endings, ['signedOut']);
  });

  it('are carried by cookies that no script sees', async (t) => {
    const server = await Server.start(t);
    const browser = new Browser();
    const network = new Network();
    const { jar, fetch: withCookies } = new Jar(network);
    const store = browser.open();
    const one = open(t, { url: server.url, cookie: true, store, fetch: withCookies });
    const two = open(t, { url: server.url, cookie: true, store: browser.open(), fetch: withCookies });
    await signUp(one.session, 'cookies', { cookie: true });
    await until('the other tab to hear', () => two.beginnings === 1);
    assert.equal(await one.session.authorization(), undefined);
    assert.equal((await two.session.request<Me>(ME)).me?.username, 'cookies');
    assert(!/Token|"access"|"refresh"/.test(store.getItem('parley.session') ?? ''));
    const refreshToken = jar.get('parley_refresh');
    assert.deepEqual(await Promise.all([one.session.renew(), two.session.renew()]), [true, true]);
    assert.equal(network.count('Refresh'), 1);
    assert.notEqual(jar.get('parley_refresh'), refreshToken);
    network.broken = true;
    await assert.rejects(one.session.signOut());
    assert(one.session.signedIn);
    network.broken = false;
    await one.session.signOut();
    assert.equal(jar.size, 0);
    await until('the other tab to hear', () => two.endings.length === 1);
    assert.deepEqual([one.endings, two.endings], [['signedOut'], ['elsewhere']]);
  });

  it('are found by their cookies when the store has forgotten them', async (t) => {
    const server = await Server.start(t);
    const network = new Network();
    const { jar, fetch } = new Jar(network);
    const browser = new Browser();
    const tab = () => open(t, { url: server.url, cookie: true, store: browser.open(), fetch });
    const one = tab();
    assert.equal(await one.session.restore(), false);
    await signUp(one.session, 'found', { cookie: true });
    assert.equal(await one.session.restore(), true);
    assert.equal(network.count('Refresh'), 1, 'asked though somebody was signed in');
    one.session.close();

    const later = new Browser();
    const tabs = [0, 1].map(() => open(t, { url: server.url, cookie: true, store: later.open(), fetch }));
    assert(tabs.every(({ session }) => !session.signedIn));
    network.broken = true;
    for (const { session } of tabs) await assert.rejects(session.restore());
    network.broken = false;
    for (let round = 0; round < 3; round++) {
      assert.deepEqual(await Promise.all(tabs.map(({ session }) => (round === 0 ? session.restore() : session.renew()))), [true, true]);
      assert.equal(network.count('Refresh'), 2 + round, 'once for all tabs');
    }
    for (const { session } of tabs) assert.equal((await session.request<Me>(ME)).me?.username, 'found');
    assert.deepEqual(tabs.map(({ endings }) => endings), [[], []]);

    await tabs[0]?.session.signOut();
    assert.equal(jar.size, 0);
    await until('the other tab to hear', () => tabs[1]?.endings.length === 1);
    assert.equal(await tabs[1]?.session.restore(), false);
    assert.deepEqual(tabs.map(({ endings }) => endings), [['signedOut'], ['elsewhere']]);
  });
});
