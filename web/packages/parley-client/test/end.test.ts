// What ends a subscription, what does not, and what a cursor that has grown too old asks for.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { judge, listenAll, Person, type Record, Server, until, Wire } from './world.ts';

const types = ['MESSAGE_ADDED'];

const MESSAGES = `subscription Messages($after: Cursor, $conversationId: ID!) {
  messageAdded(conversationId: $conversationId, after: $after) { __typename cursor message { seq body } }
}`;

async function allOver(records: Map<string, Record>): Promise<void> {
  for (const [kind, r] of records) await until(`${kind} to end; it is ${r.status}: ${r.causes.at(-1)}`, () => r.status === 'closed');
}

/** Deletes the log of a server that does not run, as time does. */
async function trim(server: Server): Promise<void> {
  const url = process.env['PARLEY_TRIM'] ?? assert.fail('set PARLEY_TRIM: go test -run TestParleyClient ./web does it');
  assert.equal((await fetch(url, { method: 'POST', body: server.data })).status, 200);
}

describe('the end', { concurrency: true, timeout: 120_000 }, () => {
  it('comes at once with NOT_FOUND, BAD_USER_INPUT and documents that do not validate', async (t) => {
    const server = await Server.start(t);
    const person = await Person.signUp(t, server);
    const all = ([
      ['NOT_FOUND', MESSAGES, { conversationId: 'cnv_01h455vb4pex5vsknk084sn02q' }],
      ['BAD_USER_INPUT', MESSAGES, { conversationId: 'cnv_nonsense' }],
      ['GRAPHQL_VALIDATION_FAILED', 'subscription ($after: Cursor) { nothing(after: $after) { __typename cursor } }', {}],
    ] as const).map(([code, query, variables]) => [code, listenAll(t, { url: server.url, session: person.session }, variables, undefined, query)] as const);
    for (const [, records] of all) await allOver(records);
    for (const [code, records] of all) {
      for (const [kind, r] of records) {
        assert.deepEqual(r.errors.map((e) => e.code), [code], kind);
        assert.deepEqual([r.bodies, r.completed], [[], 0], kind);
        assert.equal(r.causes.filter((cause) => cause === r.errors[0]?.message).length, 1, `${kind} asked again`);
      }
    }
  });

  it('is a completion for who has left', async (t) => {
    const server = await Server.start(t);
    const person = await Person.signUp(t, server);
    const conversationId = await person.group();
    const records = listenAll(t, { url: server.url, session: person.session }, { conversationId }, undefined, MESSAGES);
    for (const [kind, r] of records) await until(`${kind} to be live`, () => r.status === 'live');
    await person.send(conversationId, 'goodbye');
    await person.session.request('mutation ($c: ID!) { deleteGroup(input: { conversationId: $c }) { cursor } }', { c: conversationId });
    await allOver(records);
    for (const [kind, r] of records) {
      assert.deepEqual([r.bodies, r.completed, r.errors], [['goodbye'], 1, []], kind);
    }
  });

  it('comes when the session is revoked, and the app is told once', async (t) => {
    const server = await Server.start(t);
    const person = await Person.signUp(t, server);
    const conversation = await person.group();
    const records = listenAll(t, { url: server.url, session: person.session }, { types });
    for (const [kind, r] of records) await until(`${kind} to be live`, () => r.status === 'live');
    await person.send(conversation, 'before');
    await judge(records, ['before']);
    const other = await Person.signUp(t, server, {});
    const { signIn } = await person.signIn();
    other.session.begin(signIn);
    const { sessions } = await other.session.request<{ sessions: { nodes: { id: string }[] } }>('{ sessions { nodes { id } } }');
    for (const { id } of sessions.nodes) {
      if (id !== signIn.session.id) await other.session.request('mutation ($s: ID!) { revokeSession(input: { sessionId: $s }) { cursor } }', { s: id });
    }
    await allOver(records);
    await other.send(conversation, 'after');
    await pause(300);
    for (const [kind, r] of records) {
      assert.deepEqual([r.bodies, r.errors.map((e) => e.code)], [['before'], ['UNAUTHENTICATED']], kind);
    }
    assert.deepEqual(person.endings, ['ended']);
    assert.equal(person.session.signedIn, false);
    assert.equal(await person.session.authorization(), undefined);
  });

  for (const [code, harm] of [
    ['CURSOR_EXPIRED', trim],
    ['INVALID_CURSOR', (server: Server) => server.command('new-epoch')],
  ] as const) {
    it(`does not come with ${code}: what is shown is read anew, and the events go on from there`, async (t) => {
      const server = await Server.start(t);
      const person = await Person.signUp(t, server);
      const conversation = await person.group();
      const shown: string[] = [];
      const refetch = async () => {
        const { cursor, conversation: c } = await person.session.request<{ cursor: string; conversation: { messages: { nodes: { body: string }[] } } }>(
          'query ($id: ID!) { cursor conversation(id: $id) { messages(last: 10) { nodes { body } } } }', { id: conversation },
        );
        shown.push(c.messages.nodes.map(({ body }) => body).join());
        return cursor;
      };
      const wire = await Wire.to(t, server);
      const records = listenAll(t, { url: wire.url, session: person.session }, { types, after: await person.cursor() }, refetch);
      await person.send(conversation, 'one');
      await judge(records, ['one']);
      wire.cut();
      await person.send(conversation, 'two');
      await server.drain();
      await harm(server);
      await server.restart();
      wire.mend();
      for (const [kind, r] of records) await until(`${kind} to catch up again; it is ${r.status}: ${r.causes.at(-1)}`, () => r.caughtUp >= 2);
      await person.send(conversation, 'three');
      await judge(records, ['one', 'three']);
      for (const [kind, r] of records) assert.equal(r.expired, 1, kind);
      assert.deepEqual(shown, Array.from(records, () => 'one,two'));
    });
  }

  it('comes with CURSOR_EXPIRED when nothing can be read anew', async (t) => {
    const server = await Server.start(t);
    const person = await Person.signUp(t, server);
    const after = await person.cursor();
    await person.group();
    await server.drain();
    await trim(server);
    await server.restart();
    const records = listenAll(t, { url: server.url, session: person.session }, { types, after });
    await allOver(records);
    for (const [kind, r] of records) assert.deepEqual(r.errors.map((e) => e.code), ['CURSOR_EXPIRED'], kind);
  });
});
