import { createClient } from 'graphql-ws';
import WebSocket from 'ws';
import { scenario, soon } from './scenario.mjs';

scenario('graphql-ws', ({ ws, token }) => {
  const client = createClient({
    url: ws,
    webSocketImpl: WebSocket,
    connectionParams: token && { authorization: `Bearer ${token}` },
    retryAttempts: Infinity,
    shouldRetry: () => true, // also when nobody answers, which is otherwise taken for final
    retryWait: soon,
  });
  return {
    execute: (query, variables) =>
      new Promise((resolve, reject) => {
        let result;
        client.subscribe({ query, variables }, { next: (r) => (result = r), error: reject, complete: () => resolve(result) });
      }),
    subscribe: (query, variables, sink) => client.subscribe({ query, variables }, { ...sink, complete() {} }),
    close: () => client.dispose(),
  };
});
