// Most projects point their code generator at a server: introspection and the file must lead to the same types.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { generate } from '@graphql-codegen/cli';

process.chdir(new URL('..', import.meta.url).pathname); // where plugins are looked for

const types = async (schema) => {
  const plugins = ['typescript-operations'];
  const documents = 'codegen/documents/*.graphql';
  const files = await generate({ schema, documents, silent: true, generates: { 'types.ts': { plugins } } }, false);
  return files[0].content;
};

const url = process.env.PARLEY_URL;
for (const schema of [url, new URL('/schema.graphql', url).href]) {
  test(`graphql-codegen from ${new URL(schema).pathname}`, async () => {
    assert.equal(await types(schema), await types('../../schema/*.graphqls'));
  });
}
