/**
 * Has types made by the client preset, and by the plugins that make them without it.
 *
 * @param {string[]} documents where the operations are
 * @returns {import('@graphql-codegen/cli').CodegenConfig}
 */
export const config = (documents) => ({
  schema: '../../schema/*.graphqls',
  documents,
  silent: true,
  generates: {
    'codegen/generated/preset/': { preset: 'client', config: options('../../scalars') },
    'codegen/generated/schema.ts': { plugins: ['typescript'], config: options('../scalars') },
    'codegen/generated/operations.ts': { plugins: ['typescript-operations'], config: options('../scalars') },
  },
});

/** What each is told: scalars have the types of scalars.ts, and one that has none there is an error. */
const options = (scalars) => ({
  scalars: {
    ID: 'string', // or a number would do as well
    ...Object.fromEntries(['Cursor', 'Time', 'ClockTime'].map((name) => [name, `${scalars}#${name}`])),
  },
  strictScalars: true,
  enumsAsTypes: true,
  useTypeImports: true,
});
