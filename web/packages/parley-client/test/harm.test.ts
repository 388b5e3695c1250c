// A server that is killed, drained and starved while messages are written: every listener hears every message once, in order.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { judge, listenAll, Person, Server, until, Wire } from './world.ts';

const types = ['MESSAGE_ADDED'];

/** Writes numbered messages until it is told to stop. */
function write(person: Person, conversation: string, body = (n: number) => `message ${n}`): { written: string[]; stop(): Promise<void> } {
  const written: string[] = [];
  let going = true;
  const done = (async () => {
    for (let n = 1; going; n++) {
      await person.send(conversation, body(n));
      written.push(body(n));
      await pause(5);
    }
  })();
  return { written, stop: () => ((going = false), done) };
}

describe('every message once and in order', { concurrency: true, timeout: 120_000 }, () => {
  it('while the server is killed and started again', async (t) => {
    const server = await Server.start(t);
    const person = await Person.signUp(t, server);
    const conversation = await person.group();
    const records = listenAll(t, { url: server.url, session: person.session }, { types, after: await person.cursor() });
    const writer = write(person, conversation);
    for (const round of [1, 2, 3]) {
      for (const [kind, r] of records) await until(`${kind} to be live in round ${round}`, () => r.status === 'live' && r.caughtUp >= round);
      const { length } = writer.written;
      await until('messages', () => writer.written.length > length + 20);
      await server.kill();
      await server.restart();
    }
    await writer.stop();
    await judge(records, writer.written);
    for (const [kind, r] of records) assert(r.caughtUp >= 4, kind);
  });

  it('while the server is drained and started again', async (t) => {
    const server = await Server.start(t);
    const person = await Person.signUp(t, server);
    const conversation = await person.group();
    const records = listenAll(t, { url: server.url, session: person.session }, { types, after: await person.cursor() });
    const writer = write(person, conversation);
    for (const [kind, r] of records) await until(`${kind} to be live`, () => r.bodies.length > 10 && r.status === 'live');
    await server.drain();
    await pause(200);
    await server.restart();
    await pause(200);
    await writer.stop();
    await judge(records, writer.written);
    assert(records.get('webSocket()')?.causes.some((cause) => cause.includes('1012')), 'nobody was told of the drain');
  });

  it('while the network is cut', async (t) => {
    const server = await Server.start(t);
    const wire = await Wire.to(t, server);
    const person = await Person.signUp(t, server);
    const conversation = await person.group();
    const records = listenAll(t, { url: wire.url, session: person.session }, { types, after: await person.cursor() });
    const writer = write(person, conversation);
    for (let round = 0; round < 3; round++) {
      await pause(200);
      wire.cut();
      await pause(200);
      wire.mend();
    }
    await writer.stop();
    await judge(records, writer.written);
  });

  it('while nothing comes through any more, and nobody says so', async (t) => {
    const server = await Server.start(t, '--ping-interval', '1s');
    const wire = await Wire.to(t, server);
    const person = await Person.signUp(t, server);
    const conversation = await person.group();
    const only = ['webSocket()', 'sse()', 'Apollo Client'];
    const records = listenAll(t, { url: wire.url, session: person.session }, { types, after: await person.cursor() }, undefined, undefined, only);
    const writer = write(person, conversation);
    for (const [kind, r] of records) await until(`${kind} to be live`, () => r.bodies.length > 10 && r.status === 'live');
    wire.starve();
    for (const [kind, r] of records) await until(`${kind} to notice`, () => r.statuses.includes('waiting'));
    assert.deepEqual(Array.from(records.values(), (r) => r.causes[0]), ['the socket was closed: 4499 Terminated', 'the stream fell silent', 'the socket was closed: 4499 Terminated']);
    await writer.stop();
    await judge(records, writer.written);
  });

  it('with a reader that is much slower than what is written', async (t) => {
    const server = await Server.start(t, '--max-queue', '16KiB');
    const wire = await Wire.to(t, server);
    wire.rate = 250_000;
    const person = await Person.signUp(t, server);
    const conversation = await person.group();
    const records = listenAll(t, { url: wire.url, session: person.session }, { types, after: await person.cursor() });
    for (const [kind, r] of records) await until(`${kind} to be live`, () => r.status === 'live');
    const before = await server.metric('parley_catch_ups_total');
    const bodies: string[] = [];
    const all = Array.from({ length: 250 }, async (_, n) => {
      const body = `message ${n} ` + 'x'.repeat(3_500);
      bodies[(await person.send(conversation, body)) - 1] = body;
    });
    await Promise.all(all);
    await judge(records, bodies);
    assert(await server.metric('parley_catch_ups_total') > before, 'nobody was slow enough to be served from the log');
  });

  it('while access tokens expire', async (t) => {
    const server = await Server.start(t, '--access-ttl', '10s');
    const person = await Person.signUp(t, server);
    const conversation = await person.group();
    const { version } = person.session;
    const records = listenAll(t, { url: server.url, session: person.session }, { types, after: await person.cursor() });
    const writer = write(person, conversation);
    for (const [kind, r] of records) await until(`${kind} to come back`, () => r.caughtUp >= 2, 25_000);
    await writer.stop();
    await judge(records, writer.written);
    assert(person.session.version > version);
    assert.deepEqual(person.endings, []);
    for (const [kind, r] of records) assert(!r.statuses.includes('closed'), kind);
  });
});

