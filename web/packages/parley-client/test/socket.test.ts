// What webSocket() sees to, besides what every listener has to hear.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { describe, it } from 'node:test';
import { createClient } from 'graphql-ws';
import { createSession, resume, webSocket } from 'parley-client';
import WebSocket from 'ws';
import { EVENTS, type Message, Person, Record, retry, Server, until } from './world.ts';

describe('webSocket()', { timeout: 120_000 }, () => {
  it('gives up a server that takes the connection and says nothing', async (t) => {
    const mute = net.createServer().listen(0, '127.0.0.1');
    await once(mute, 'listening');
    const ends = new Set<net.Socket>();
    mute.on('connection', (end) => ends.add(end.on('error', () => {})));
    t.after(() => {
      for (const end of ends) end.destroy();
      mute.close();
    });
    const address = mute.address();
    assert(address !== null && typeof address === 'object');
    const record = new Record();
    const transport = webSocket(createClient, `ws://127.0.0.1:${address.port}/graphql`, undefined, { webSocketImpl: WebSocket, silence: 50 });
    const subscription = resume<Message>(transport, { query: EVENTS }, record.handlers(), { retry });
    t.after(() => subscription.close());
    await until('three attempts', () => ends.size >= 3);
    assert.equal(record.causes[0], 'the socket was closed: 4499 Terminated');
    assert.deepEqual(record.errors, []);
  });

  it('never lets one account listen on the socket of another', async (t) => {
    const server = await Server.start(t);
    const [alice, bob] = [await Person.signUp(t, server), await Person.signUp(t, server)];
    const conversationId = await bob.group();
    const session = createSession({ url: server.url });
    t.after(() => session.close());
    const transport = webSocket(createClient, server.url.replace('http', 'ws'), session, { webSocketImpl: WebSocket });
    const listen = (): Record => {
      const record = new Record();
      const query = `subscription ($after: Cursor, $conversationId: ID!) { messageAdded(conversationId: $conversationId, after: $after) { __typename cursor } }`;
      const subscription = resume<Message>(transport, { query, variables: { conversationId } }, record.handlers(), { retry });
      t.after(() => subscription.close());
      return record;
    };
    session.begin((await alice.signIn()).signIn);
    const refused = listen();
    await until('the refusal', () => refused.status === 'closed');
    assert.equal(refused.errors[0]?.code, 'NOT_FOUND');
    session.begin((await bob.signIn()).signIn); // while the socket is still open
    const record = listen();
    await until('the replay', () => record.status === 'live' || record.status === 'closed');
    assert.deepEqual([record.status, record.errors], ['live', []]);
  });
});
