// What every client library has to get through, against the server at PARLEY_URL: sign up, ask, change, listen, be cut
// off, and come back to exactly what was missed.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import net from 'node:net';
import { test } from 'node:test';

export const SIGN_UP = `mutation SignUp($input: SignUpInput!) { signUp(input: $input) { accessToken user { username } } }`;
const ME = `query Me { cursor me { username } }`;
export const CREATE_GROUP = `mutation CreateGroup($input: CreateGroupInput!) { createGroup(input: $input) { cursor conversation { id title } } }`;
export const SEND = `mutation Send($input: SendMessageInput!) { sendMessage(input: $input) { cursor message { seq } } }`;
const CONVERSATION = `query Conversation($id: ID!) { conversation(id: $id) { id } }`;
const EVENTS = `subscription Events($after: Cursor, $types: [EventType!]) {
  events(after: $after, types: $types) {
    __typename
    cursor
    ... on MessageAdded { message { seq body } }
  }
}`;

const direct = new URL(process.env.PARLEY_URL ?? assert.fail('set PARLEY_URL, such as http://127.0.0.1:8080/graphql'));

/**
 * Runs the scenario with one client library.
 *
 * @param name the library's
 * @param connect takes `{ http, ws, token }` and returns `{ execute(query, variables), subscribe(query, variables,
 *   sink), close() }`: `execute` gives a promise of `{ data, errors }`, and `subscribe` calls the sink's `next` with
 *   the same and its `error`. When the connection is lost, the library shall subscribe again by itself, with what
 *   `variables.after` holds by then.
 */
export function scenario(name, connect) {
  test(name, { timeout: 60_000 }, async (t) => {
    await fetch(direct); // any answer will do: there is a server
    const wire = await Wire.to(direct);
    t.after(() => wire.close());
    const http = `http://127.0.0.1:${wire.port}${direct.pathname}`;
    const ws = `ws://127.0.0.1:${wire.port}${direct.pathname}`;

    const username = `npm-${randomUUID().slice(0, 12)}`;
    const stranger = await connect({ http, ws });
    const signUp = await stranger.execute(SIGN_UP, { input: { username, password: randomUUID() } });
    await stranger.close();
    const { user, accessToken: token } = dataOf(signUp).signUp;
    assert.equal(user.username, username);
    assert.ok(token);

    const client = await connect({ http, ws, token });
    t.after(() => client.close());

    const me = await client.execute(ME, {});
    assert.equal(dataOf(me).me.username, username);
    const made = await client.execute(CREATE_GROUP, { input: { title: 'a group' } });
    const { id: conversationId, title } = dataOf(made).createGroup.conversation;
    assert.equal(title, 'a group');

    const unknown = await client.execute(CONVERSATION, { id: 'cnv_01h455vb4pex5vsknk084sn02q' });
    assert.equal(unknown.errors?.[0].extensions.code, 'NOT_FOUND');

    const send = async (execute, body) => {
      dataOf(await execute(SEND, { input: { conversationId, body, clientKey: randomUUID() } }));
    };

    const seen = new Inbox();
    const variables = { after: me.data.cursor, types: ['CONVERSATION_CREATED', 'MESSAGE_ADDED'] };
    const stop = client.subscribe(EVENTS, variables, {
      next(result) {
        if (result.errors) return seen.fail(new Error(describe(result.errors)));
        const { events: event } = result.data;
        variables.after = event.cursor; // where to go on after the connection was lost
        if (event.__typename === 'CaughtUp') seen.caughtUp();
        else seen.push(event.message?.body ?? event.__typename);
      },
      error: (err) => seen.fail(err),
    });
    // The group was made after the query's cursor, and before anybody listened.
    await seen.equals(['ConversationCreated'], 1);

    await send(client.execute, 'live');
    await seen.equals(['live'], 1);

    wire.cut();
    for (const body of ['missed 1', 'missed 2']) await send((query, vars) => post(direct, token, query, vars), body);
    wire.mend();
    await seen.equals(['missed 1', 'missed 2'], 2);

    await send(client.execute, 'live again');
    await seen.equals(['live again'], 2);
    stop();
    await client.close();
    seen.nothingMore();
  });
}

const describe = (errors) => errors.map((e) => e.message + JSON.stringify(e.extensions ?? {})).join('; ');

function dataOf({ data, errors }) {
  if (errors) throw new Error(describe(errors));
  return data;
}

/** Executes without any library. */
export async function post(url, token, query, variables) {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
    body: JSON.stringify({ query, variables }),
  });
  return response.json();
}

/** A cable that can be cut: a TCP proxy on a port of its own. */
export class Wire {
  #ends = new Set();
  #broken = false;

  static async to(url) {
    const wire = new Wire();
    wire.server = net.createServer((near) => {
      if (wire.#broken) return near.destroy();
      const far = net.connect(Number(url.port || 80), url.hostname);
      for (const [from, into] of [[near, far], [far, near]]) {
        wire.#ends.add(from);
        from.pipe(into, { end: false });
        from.on('error', () => {}); // `close` follows
        from.on('close', () => {
          wire.#ends.delete(from);
          into.end();
        });
      }
    });
    wire.server.listen(0, '127.0.0.1');
    await once(wire.server, 'listening');
    wire.port = wire.server.address().port;
    return wire;
  }

  cut() {
    this.#broken = true;
    for (const end of this.#ends) end.destroy();
  }

  mend() {
    this.#broken = false;
  }

  close() {
    this.cut();
    this.server.close();
  }
}

/** What a subscription has delivered. What was just committed may come before or after `CaughtUp`, whose cursor says which. */
class Inbox {
  #items = [];
  #replays = 0;
  #error;
  #wake = () => {};

  push(item) {
    this.#items.push(item);
    this.#wake();
  }

  fail(error) {
    this.#error ??= error;
    this.#wake();
  }

  caughtUp() {
    this.#replays++;
    this.#wake();
  }

  /** Waits for as many items as are wanted and for the end of as many replays, and takes the items. */
  async equals(want, replays) {
    const late = () => this.fail(new Error(`waited for ${want} and ${replays} replays, got ${this.#items} and ${this.#replays}`));
    const timer = setTimeout(late, 15_000);
    while (!this.#error && (this.#items.length < want.length || this.#replays < replays)) {
      await new Promise((wake) => (this.#wake = wake));
    }
    clearTimeout(timer);
    if (this.#error) throw this.#error;
    assert.deepEqual(this.#items.splice(0, want.length), want);
    assert.equal(this.#replays, replays);
  }

  nothingMore() {
    assert.deepEqual(this.#items, []);
  }
}

/** For the libraries' settings: try again soon, for as long as it takes. */
export const soon = () => new Promise((resolve) => setTimeout(resolve, 50));
