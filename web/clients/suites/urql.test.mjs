import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Client, fetchExchange, subscriptionExchange } from '@urql/core';
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';
import { scenario, soon } from './scenario.mjs';

const unpack = ({ data, error }) => ({ data, errors: error && (error.graphQLErrors.length ? error.graphQLErrors : [error]) });
const executed = (client) => async (text, variables) =>
  unpack(await (text.startsWith('mutation') ? client.mutation(text, variables) : client.query(text, variables)).toPromise());

const methods = { query: new Set(), mutation: new Set() };

scenario('@urql/core', ({ http, ws, token }) => {
  const headers = token && { authorization: `Bearer ${token}` };
  const socket = createClient({
    url: ws,
    webSocketImpl: WebSocket,
    connectionParams: headers,
    retryAttempts: Infinity,
    shouldRetry: () => true, // also when nobody answers, which is otherwise taken for final
    retryWait: soon,
  });
  const client = new Client({
    url: http,
    fetchOptions: { headers },
    fetch(url, init) {
      const operation = new URL(url).searchParams.get('query') ?? JSON.parse(init.body).query;
      methods[operation.trimStart().startsWith('mutation') ? 'mutation' : 'query'].add(init.method);
      return fetch(url, init);
    },
    exchanges: [
      fetchExchange,
      subscriptionExchange({
        forwardSubscription({ query, variables }) {
          const payload = { query, variables: { ...variables } };
          return {
            subscribe: (sink) => ({
              unsubscribe: socket.subscribe(payload, {
                ...sink,
                next(result) {
                  // A subscription that is started again goes on after the last event it delivered.
                  const { cursor } = Object.values(result.data ?? {})[0] ?? {};
                  if (cursor) payload.variables.after = cursor;
                  sink.next(result);
                },
              }),
            }),
          };
        },
      }),
    ],
  });
  return {
    execute: executed(client),
    subscribe(text, variables, sink) {
      const { unsubscribe } = client.subscription(text, { ...variables }).subscribe((result) => sink.next(unpack(result)));
      return unsubscribe;
    },
    close: () => socket.dispose(),
  };
});

scenario('@urql/core over streams', ({ http, token }) => {
  const client = new Client({
    url: http,
    fetchOptions: { headers: token && { authorization: `Bearer ${token}` } },
    fetchSubscriptions: true,
    exchanges: [fetchExchange],
  });
  return {
    execute: executed(client),
    // It does not try again by itself. That a stream has ended it tells with the last result once more, or an error.
    subscribe(text, variables, sink) {
      let over = false;
      let end;
      const begin = () => {
        if (over) return;
        const { unsubscribe } = client.subscription(text, { ...variables }).subscribe((result) => {
          if (result.hasNext) return sink.next(unpack(result));
          end();
          soon().then(begin);
        });
        end = unsubscribe;
      };
      begin();
      return () => {
        over = true;
        end();
      };
    },
    close() {},
  };
});

test('@urql/core asks by GET and changes by POST', () => {
  assert.deepEqual(methods, { query: new Set(['GET']), mutation: new Set(['POST']) });
});

// A GET that any page could have made its visitor's browser send is refused. In a browser urql's are known by where they
// come from, and anywhere by their token; what has neither says so in a header.
test('@urql/core without a token, outside of a browser', async () => {
  const ask = (headers) =>
    new Client({ url: process.env.PARLEY_URL, exchanges: [fetchExchange], fetchOptions: { headers } })
      .query('{ me { id } }', {})
      .toPromise();
  const refused = await ask({});
  assert.equal(refused.error?.response?.status, 403);
  assert.match(refused.error.message, /Apollo-Require-Preflight/);
  const answered = await ask({ 'apollo-require-preflight': 'true' });
  assert.equal(answered.error, undefined);
  assert.equal(answered.data.me, null);
});
