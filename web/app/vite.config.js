import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

// `npm run dev` serves the sources and asks the server at PARLEY_URL.
const server = process.env['PARLEY_URL'] ?? 'http://127.0.0.1:8080';

export default defineConfig({
  plugins: [react()],
  resolve: { conditions: ['parley-source', 'module', 'browser', 'development|production'] },
  build: {
    outDir: 'dist',
    assetsDir: 'c', // the server lets browsers keep what is in it for ever
    assetsInlineLimit: 0, // the policy of the page allows no fonts or scripts in addresses
    modulePreload: { polyfill: false },
    target: 'es2023',
    chunkSizeWarningLimit: 1_000, // a test holds what is fetched at first to its budget, compressed
  },
  server: { proxy: { '/graphql': { target: server, ws: true }, '/files': server, '/schema.graphql': server } },
});
