// Runs every audit of graphql-http against the server at PARLEY_URL, such as http://127.0.0.1:8080/graphql.
import assert from 'node:assert';
import { test } from 'node:test';
import { serverAudits } from 'graphql-http';

const url = process.env.PARLEY_URL;
assert(url, 'set PARLEY_URL to the address of a running server, such as http://127.0.0.1:8080/graphql');

// Browsers may only send requests that a foreign page could not have caused, so a GET says that it wants a preflight.
const fetchFn = (input, init = {}) =>
  fetch(input, { ...init, headers: { ...init.headers, 'apollo-require-preflight': 'true' } });

for (const audit of serverAudits({ url, fetchFn })) {
  test(`${audit.id} ${audit.name}`, async () => {
    const result = await audit.fn();
    assert.strictEqual(result.status, 'ok', result.reason);
  });
}
