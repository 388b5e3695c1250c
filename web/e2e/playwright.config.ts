import { defineConfig } from '@playwright/test';
import { artefacts } from './artefacts.ts';

export default defineConfig({
  testMatch: '*.test.ts',
  fullyParallel: true,
  workers: 2,
  forbidOnly: true,
  timeout: 120_000, // these three: of a machine that does other things too
  expect: { timeout: 20_000 },
  reporter: 'list',
  outputDir: `${artefacts}/failed`,
  use: {
    browserName: 'chromium',
    actionTimeout: 30_000,
    locale: 'en-GB',
    screenshot: 'only-on-failure',
    launchOptions: {
      executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium',
      args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
    },
  },
});
