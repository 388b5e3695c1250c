import { createRoot } from 'react-dom/client';
import { GraphiQL } from 'graphiql';
import { createGraphiQLFetcher } from '@graphiql/toolkit';
import { createClient } from 'graphql-ws';
import 'graphiql/style.css';

// Workers are bundles of their own beside this one: same origin, no CDN, works under any path prefix.
const base = new URL('.', import.meta.url);
globalThis.MonacoEnvironment = {
  getWorker(_id, label) {
    const name = { json: 'json.worker.js', graphql: 'graphql.worker.js' }[label] ?? 'editor.worker.js';
    return new Worker(new URL(name, base), { type: 'module' });
  },
};

const element = document.getElementById('graphiql');
const url = new URL(element.dataset.endpoint, location.href);
const wsUrl = new URL(url);
wsUrl.protocol = url.protocol.replace('http', 'ws');

// The Headers tab authenticates subscriptions too: it becomes the payload of connection_init. A socket is opened by the
// first subscription and closed with the last, so a changed token counts from the next one on.
let headers = {};
const connectionParams = () =>
  Object.fromEntries(Object.entries(headers).map(([k, v]) => [k.toLowerCase() === 'authorization' ? 'authorization' : k, v]));
const wsClient = createClient({ url: wsUrl.href, lazy: true, connectionParams });
const run = createGraphiQLFetcher({ url: url.href, wsClient });
const fetcher = (params, options) => {
  headers = options?.headers ?? {};
  return run(params, options);
};

const defaultQuery = `# Welcome to Parley. Make an account:

mutation SignUp {
  signUp(input: { username: "ada", password: "correct horse battery" }) {
    user { id username }
    accessToken
  }
}

# Then put the token into the Headers tab, { "Authorization": "Bearer …" }, and listen to everything:

subscription Everything {
  events {
    __typename
    cursor
    at
    ... on MessageAdded { message { seq body sender { username } } }
  }
}
`;

// A link may carry an operation, such as /graphiql/?query={cursor}. Never headers: tokens do not belong into addresses.
const link = new URLSearchParams(location.search);

createRoot(element).render(
  <GraphiQL
    fetcher={fetcher}
    defaultQuery={defaultQuery}
    initialQuery={link.get('query') ?? undefined}
    initialVariables={link.get('variables') ?? undefined}
    shouldPersistHeaders={false}
    defaultEditorToolsVisibility="headers"
  />,
);
