// Bundles GraphiQL with its editor and workers into dist/, with names that follow from the content: the same lock file
// gives the same files. `make graphiql` then packs them into ../graphiql.zip, which is what the server embeds.
import { build } from 'esbuild';
import { copyFile, mkdir, rm } from 'node:fs/promises';

const outdir = 'dist';
for (const f of ['main.js', 'main.css', 'c', 'index.html']) await rm(`${outdir}/${f}`, { recursive: true, force: true });
await mkdir(outdir, { recursive: true });

const common = {
  bundle: true,
  minify: true,
  format: 'esm',
  target: 'es2022',
  outdir,
  logLevel: 'warning',
  define: { 'process.env.NODE_ENV': '"production"' },
  loader: { '.ttf': 'file', '.woff2': 'file' },
  assetNames: 'c/[name]-[hash]',
  legalComments: 'none',
};
await build({ ...common, entryPoints: { main: 'main.jsx' }, jsx: 'automatic', splitting: true, chunkNames: 'c/[name]-[hash]' });
await build({
  ...common,
  entryPoints: {
    'editor.worker': 'node_modules/monaco-editor/esm/vs/editor/editor.worker.js',
    'json.worker': 'node_modules/monaco-editor/esm/vs/language/json/json.worker.js',
    'graphql.worker': 'node_modules/monaco-graphql/esm/graphql.worker.js',
  },
});
await copyFile('index.html', `${outdir}/index.html`);
