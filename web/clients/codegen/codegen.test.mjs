// Types from the schema, for documents that touch all of it; and that the compiler, at its strictest, accepts them.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { generate } from '@graphql-codegen/cli';
import { buildSchema, concatAST, parse, TypeInfo, visit, visitWithTypeInfo } from 'graphql';
import { config } from './config.mjs';

process.chdir(new URL('..', import.meta.url).pathname); // what the configuration's paths are relative to

const read = async (folder, suffix) => {
  const names = (await readdir(folder)).filter((name) => name.endsWith(suffix));
  return Promise.all(names.map((name) => readFile(join(folder, name), 'utf8')));
};
const schema = buildSchema((await read('../../schema', '.graphqls')).join('\n'));
const documents = concatAST((await read('codegen/documents', '.graphql')).map((text) => parse(text)));

test('the documents touch every root field, and every kind of event', () => {
  const touched = new Set();
  const types = new TypeInfo(schema);
  visit(
    documents,
    visitWithTypeInfo(types, {
      Field: ({ name }) => void touched.add(`${types.getParentType()}.${name.value}`),
      InlineFragment: ({ typeCondition }) => void touched.add(typeCondition.name.value),
    }),
  );
  const wanted = [schema.getQueryType(), schema.getMutationType(), schema.getSubscriptionType()]
    .flatMap((root) => Object.keys(root.getFields()).map((field) => `${root}.${field}`))
    .concat(schema.getPossibleTypes(schema.getType('Event')).map(String))
    .filter((name) => name !== 'CaughtUp'); // which has nothing of its own
  assert.ok(wanted.length > 90, `${wanted.length}`);
  assert.deepEqual(wanted.filter((name) => !touched.has(name)), []);
});

test('types are made, and tsc --strict accepts them', async () => {
  await rm('codegen/generated', { recursive: true, force: true });
  await generate(config(['codegen/documents/*.graphql', 'codegen/use.ts']), true);
  const [schemaTypes] = await read('codegen/generated', 'schema.ts');
  assert.match(schemaTypes, /Cursor: \{ input: Cursor; output: Cursor; \}/);
  await promisify(execFile)('../node_modules/.bin/tsc', ['-p', 'codegen']).catch(({ stdout }) => assert.fail(stdout));
});

test('a document that does not fit the schema is refused', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'parley-'));
  t.after(() => rm(folder, { recursive: true }));
  await writeFile(join(folder, 'wrong.graphql'), 'query Wrong { me { shoeSize } }');
  await assert.rejects(generate(config([join(folder, '*.graphql')]), false), /Cannot query field "shoeSize"/);
});
