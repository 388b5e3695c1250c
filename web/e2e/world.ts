// A server, a cable to it, and people who each sit before a browser of their own.
import { type Browser, type BrowserContextOptions, test as base } from '@playwright/test';
import { Server, Wire } from '../packages/parley-client/test/server.ts';
import { Person } from './person.ts';

export { expect } from '@playwright/test';

interface World {
  server: Server;
  /** What the browsers reach the server by. */
  wire: Wire;
  /** Sits somebody down, who has no account yet. */
  arrive(name: string, options?: BrowserContextOptions): Promise<Person>;
}

/** Cleans up after a fixture, the last thing first. */
async function scoped<T>(make: (scope: { after(clean: () => Promise<void> | void): void }) => Promise<T>, use: (made: T) => Promise<void>): Promise<void> {
  const cleaners: (() => Promise<void> | void)[] = [];
  try {
    await use(await make({ after: (clean) => void cleaners.push(clean) }));
  } finally {
    for (const clean of cleaners.reverse()) await clean();
  }
}

export const test = base.extend<World>({
  server: ({}, use) => scoped((scope) => Server.start(scope), use),
  wire: ({ server }, use) => scoped((scope) => Wire.to(scope, server), use),
  async arrive({ browser, wire }, use) {
    const people: Person[] = [];
    await use(async (name, options) => {
      const person = await sit(browser, new URL('/', wire.url).href, name, options);
      people.push(person);
      return person;
    });
    for (const person of people) await person.leave();
  },
});

async function sit(browser: Browser, url: string, name: string, options: BrowserContextOptions = {}): Promise<Person> {
  const context = await browser.newContext({ baseURL: url, viewport: { width: 1280, height: 800 }, ...options });
  return new Person(name, context, await context.newPage());
}
