import { type BrowserContext, expect, type Locator, type Page } from '@playwright/test';

export const password = 'correct horse battery';

/** Somebody before a browser: what they see, and what they do by clicking and typing. */
export class Person {
  readonly name: string;
  readonly context: BrowserContext;
  page: Page;
  readonly #problems: string[] = [];
  #harmed = false;

  constructor(name: string, context: BrowserContext, page: Page) {
    this.name = name;
    this.context = context;
    this.page = page;
    this.#watch(page);
  }

  #watch(page: Page): void {
    page.on('pageerror', (error) => this.#problems.push(`${error}`));
    page.on('console', (message) => {
      if (message.type() !== 'error' && message.type() !== 'warning') return;
      const text = message.text();
      if (this.#harmed && /net::ERR_|WebSocket connection to/.test(text)) return; // how a browser says that there is no network
      this.#problems.push(`${message.type()}: ${text} (${message.location().url})`);
    });
  }

  get username(): string {
    return this.name.toLowerCase();
  }

  /** Opens another page in the same browser, in the place of one that was closed. */
  async reopen(url: string): Promise<void> {
    this.page = await this.context.newPage();
    this.#watch(this.page);
    await this.page.goto(url);
  }

  /** From now on the network may fail, and the browser say so. */
  expectHarm(): void {
    this.#harmed = true;
  }

  /** Closes the browser, and holds the page to having been content. */
  async leave(): Promise<void> {
    await this.context.close();
    expect(this.#problems, `what ${this.name}'s browser complained about`).toEqual([]);
  }

  async signUp(): Promise<void> {
    const { page } = this;
    await page.goto('/sign-up');
    await page.getByLabel('Username', { exact: true }).fill(this.username);
    await page.getByLabel('Name to show').fill(this.name);
    await page.getByLabel('Password', { exact: true }).fill(password);
    await page.getByRole('button', { name: 'Make the account' }).click();
    await expect(page.getByRole('navigation', { name: 'Main' })).toBeVisible();
  }

  async signIn(): Promise<void> {
    const { page } = this;
    await page.goto('/sign-in');
    await page.getByLabel('Username', { exact: true }).fill(this.username);
    await page.getByLabel('Password', { exact: true }).fill(password);
    await page.getByRole('button', { name: 'Sign in' }).click();
    await expect(page.getByRole('navigation', { name: 'Main' })).toBeVisible();
  }

  /** Goes to one of the parts of the app: Chats, People, News, Settings. */
  async go(part: string): Promise<void> {
    await this.page.getByRole('navigation', { name: 'Main' }).getByRole('link', { name: part }).first().click();
  }

  /** How much there is to see in a part of the app. */
  badge(part: string): Locator {
    return this.page.getByRole('navigation', { name: 'Main' }).getByRole('link', { name: part }).first().locator('.badge');
  }

  /** Finds somebody by the beginning of their name, and asks them to become friends. */
  async ask(other: Person): Promise<void> {
    const { page } = this;
    await this.go('People');
    await page.getByLabel('Find people by name').fill(other.username.slice(0, 3));
    await page.getByRole('region', { name: 'People' }).getByRole('link', { name: other.name }).click();
    await page.getByRole('button', { name: 'Ask to become friends' }).click();
    await expect(page.getByRole('button', { name: 'Take the request back' })).toBeVisible();
    await page.getByLabel('Find people by name').fill('');
  }

  async accept(other: Person): Promise<void> {
    await this.go('People');
    await this.page.getByRole('button', { name: `Accept ${other.name}` }).click();
    await expect(this.page.getByRole('button', { name: `Accept ${other.name}` })).toBeHidden();
  }

  /** The line of a conversation in the list. */
  chat(name: string): Locator {
    return this.page.getByRole('region', { name: 'Chats' }).getByRole('listitem').filter({ has: this.page.locator('.row-name', { hasText: name }) });
  }

  async open(name: string): Promise<void> {
    await this.go('Chats');
    await this.chat(name).getByRole('link').click();
    await expect(this.page.getByRole('heading', { level: 1, name })).toBeVisible();
  }

  /** Who is in the group whose details are shown. */
  get members(): Locator {
    return this.page.getByRole('region', { name: 'Details' }).locator('.member');
  }

  get field(): Locator {
    return this.page.getByPlaceholder('Write a message');
  }

  async write(body: string): Promise<void> {
    await this.field.fill(body);
    await this.field.press('Enter');
  }

  get scroller(): Locator {
    return this.page.getByRole('region', { name: 'Messages', exact: true });
  }

  /** What stands in the conversation that is open, as far as it is in the page. */
  get messages(): Locator {
    return this.scroller.getByRole('article');
  }

  message(body: string): Locator {
    return this.messages.filter({ hasText: body });
  }

  /** The bodies of all messages of the open conversation, as they appear when one scrolls from its start to its end. */
  async read(): Promise<string[]> {
    return this.scroller.evaluate(async (scroller) => {
      const settle = () => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
      do {
        scroller.scrollTop = 0;
        await settle();
      } while (!scroller.querySelector('.start') || scroller.scrollTop > 0);
      const read: string[] = [];
      let last: HTMLElement | undefined;
      for (;;) {
        const inPage = [...scroller.querySelectorAll('article')];
        const from = last ? inPage.indexOf(last) : -1;
        if (last && from < 0) throw new Error('lost its place');
        for (const article of inPage.slice(from + 1)) {
          const time = article.querySelector('.message-time')?.textContent ?? '';
          read.push((article.querySelector('.message-body')?.textContent ?? '').slice(0, -time.length || undefined));
          last = article;
        }
        if (scroller.scrollTop + scroller.clientHeight >= scroller.scrollHeight - 2) return read;
        scroller.scrollTop += scroller.clientHeight / 2;
        await settle();
      }
    });
  }
}
