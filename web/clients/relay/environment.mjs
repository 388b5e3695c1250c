// Relay's side of the network: queries and mutations by POST, subscriptions over graphql-ws, which resume.
import { createClient } from 'graphql-ws';
import { Environment, Network, Observable, RecordSource, Store } from 'relay-runtime';
import WebSocket from 'ws';

/**
 * @param {{ http: string, ws: string, token: string, retryWait: () => Promise<void> }} server
 * @returns the environment, what was sent by POST, and how to hang up
 */
export function connect({ http, ws, token, retryWait }) {
  const authorization = `Bearer ${token}`;
  const sent = [];
  const socket = createClient({
    url: ws,
    webSocketImpl: WebSocket,
    connectionParams: { authorization },
    retryAttempts: Infinity,
    shouldRetry: () => true, // also when nobody answers, which is otherwise taken for final
    retryWait,
  });
  const fetchOperation = async ({ text: query }, variables) => {
    sent.push(query);
    const headers = { 'content-type': 'application/json', authorization };
    const response = await fetch(http, { method: 'POST', headers, body: JSON.stringify({ query, variables }) });
    return response.json();
  };
  const subscribe = ({ name, text: query }, variables) => {
    const payload = { operationName: name, query, variables: { ...variables } };
    return Observable.create((sink) =>
      socket.subscribe(payload, {
        ...sink,
        next(result) {
          // A subscription that is started again goes on after the last event it delivered.
          const { cursor } = Object.values(result.data ?? {})[0] ?? {};
          if (cursor) payload.variables.after = cursor;
          sink.next(result);
        },
      }),
    );
  };
  const environment = new Environment({ network: Network.create(fetchOperation, subscribe), store: new Store(new RecordSource()) });
  return { environment, sent, close: () => socket.dispose() };
}
