import { createClient } from 'graphql-sse';
import { scenario, soon } from './scenario.mjs';

scenario('graphql-sse', ({ http, token }) => {
  const client = createClient({
    url: http,
    headers: token && { authorization: `Bearer ${token}` },
    retryAttempts: Infinity,
    retry: soon,
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
