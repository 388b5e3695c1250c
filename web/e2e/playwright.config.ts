import { defineConfig } from '@playwright/test';
import { artefacts } from './artefacts.ts';

export default defineConfig({
  testMatch: '*.test.ts',
  fullyParallel: true,
  workers: 2,
  forbidOnly: true,
  timeout: 75_000,
  expect: { timeout: 20_000 }, // of a machine that does other things too
  reporter: 'list',
  outputDir: `${artefacts}/failed`,
  use: {
    browserName: 'chromium',
    actionTimeout: 15_000,
    locale: 'en-GB',
    screenshot: 'only-on-failure',
    launchOptions: {
      executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium',
      args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
    },
  },
});
