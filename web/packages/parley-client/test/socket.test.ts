// webSocket() where no server answers.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { describe, it } from 'node:test';
import { createClient } from 'graphql-ws';
import { resume, webSocket } from 'parley-client';
import WebSocket from 'ws';
import { EVENTS, type Message, Record, retry, until } from './world.ts';

describe('webSocket()', { timeout: 20_000 }, () => {
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
});
