import { expect, test } from 'vitest';
import { curl, graphiql } from './share';

/** What a shell makes of a command: words of quoted and bare pieces. */
const words = (command: string) => [...command.matchAll(/(?:'[^']*'|\\'|[^\s'\\])+/g)].map(([word]) => word.replace(/'([^']*)'|\\(')/g, '$1$2'));

const say = { type: 'mutation', name: 'Say', query: 'mutation Say($body: String!) {\n  say(body: $body)\n}', variables: { body: "it's $HOME `x` \\ \"y\"\n" } } as const;

test('a shell reads the command as it is meant, whatever is in it', () => {
  const [program, url, , type, , token, , body] = words(curl('http://x/graphql', say, 'Bearer abc'));
  expect([program, url, type, token]).toEqual(['curl', 'http://x/graphql', 'Content-Type: application/json', 'Authorization: Bearer abc']);
  expect(JSON.parse(body ?? '')).toEqual({ query: say.query, variables: say.variables, operationName: 'Say' });
});

test('a subscription is a stream; without a name none is sent, without a token neither', () => {
  const command = words(curl('http://x/graphql', { type: 'subscription', name: 'presenceChanged', query: 'subscription { presenceChanged { snapshot } }', variables: {} }, undefined));
  expect(command.slice(0, 7)).toEqual(['curl', '-N', 'http://x/graphql', '-H', 'Content-Type: application/json', '-H', 'Accept: text/event-stream']);
  expect(JSON.parse(command.at(-1) ?? '')).toEqual({ query: 'subscription { presenceChanged { snapshot } }', variables: {} });
});

test('GraphiQL gets the operation and its variables', () => {
  const link = new URL(graphiql(say), 'http://x');
  expect([link.pathname, link.searchParams.get('query'), JSON.parse(link.searchParams.get('variables') ?? '')]).toEqual(['/graphiql/', say.query, say.variables]);
});
