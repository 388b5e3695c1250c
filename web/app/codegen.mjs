// Writes src/gql from the server's schema and the operations beside their screens: types that cannot be out of date,
// because every build makes them anew. They are not committed.
import { readFile, readdir, mkdir, writeFile, rm } from 'node:fs/promises';
import { codegen } from '@graphql-codegen/core';
import { preset } from '@graphql-codegen/client-preset';
import { buildASTSchema, NoUnusedFragmentsRule, parse, specifiedRules, validate } from 'graphql';

const here = (path) => new URL(path, import.meta.url);
const texts = async (folder, end) =>
  Promise.all((await readdir(here(folder))).filter((f) => f.endsWith(end)).sort().map(async (f) => ({ name: f, text: await readFile(here(folder + f), 'utf8') })));

const schema = parse((await texts('../../schema/', '.graphqls')).map((f) => f.text).join('\n'));
const documents = (await texts('src/operations/', '.graphql')).map((f) => ({ location: f.name, document: parse(f.text), rawSDL: f.text }));
const schemaAst = buildASTSchema(schema);
const everything = { kind: 'Document', definitions: documents.flatMap((d) => d.document.definitions) };
const rules = specifiedRules.filter((rule) => rule !== NoUnusedFragmentsRule); // some are for reading and writing the cache
const problems = validate(schemaAst, everything, rules);
if (problems.length > 0) throw new Error(problems.map(String).join('\n'));

const outputs = await preset.buildGeneratesSection({
  baseOutputDir: 'src/gql/',
  schema,
  schemaAst,
  documents,
  plugins: [],
  pluginMap: {},
  presetConfig: { fragmentMasking: false },
  config: {
    useTypeImports: true,
    enumsAsTypes: true,
    skipTypename: true,
    strictScalars: true,
    scalars: { Time: 'string', Cursor: 'string', ClockTime: 'string' },
  },
});
await rm(here('src/gql'), { recursive: true, force: true });
await mkdir(here('src/gql'));
for (const output of outputs) await writeFile(here(output.filename), await codegen(output));
