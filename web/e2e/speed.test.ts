// How soon a message is on the other screen, and how a long conversation scrolls. The figures are printed. `make web-speed`
// holds them to the budget, on a machine that does nothing else; otherwise there is room for whatever else it does.
import { Account } from './account.ts';
import { expect, test } from './world.ts';

/** Whether the machine is ours alone. */
const strict = process.env['BUDGET'] === '1';

/** What a page has measured. */
declare const measured: number[];

/** The middle one of some figures. */
function median(figures: readonly number[]): number {
  return [...figures].sort((a, b) => a - b)[Math.floor(figures.length / 2)] ?? NaN;
}

test('a message is on the other screen at once', async ({ arrive, server }) => {
  const [account, other] = [await Account.signUp(server.url, 'Alice'), await Account.signUp(server.url, 'Bob')];
  await account.befriend(other);
  const [alice, bob] = [await arrive('Alice'), await arrive('Bob')];
  await Promise.all([alice.signIn(), bob.signIn()]);
  await Promise.all([alice.open('Bob'), bob.open('Alice')]);
  await alice.write('first');
  await expect(bob.message('first')).toBeVisible();
  // Both clocks are the machine's: from the key that sends it to the frame that shows it.
  await alice.field.evaluate((field) => {
    const pressed: number[] = [];
    field.addEventListener('keydown', () => pressed.push(performance.timeOrigin + performance.now()), { capture: true });
    Object.assign(globalThis, { measured: pressed });
  });
  await bob.scroller.evaluate((scroller) => {
    const shown: number[] = [];
    let next = 1;
    new MutationObserver(() => {
      if (!scroller.textContent.includes(`message number ${next}.`)) return;
      next++;
      requestAnimationFrame(() => shown.push(performance.timeOrigin + performance.now()));
    }).observe(scroller, { childList: true, subtree: true });
    Object.assign(globalThis, { measured: shown });
  });
  for (let n = 1; n <= 20; n++) {
    await alice.write(`message number ${n}.`);
    await bob.page.waitForFunction((n) => measured.length >= n, n);
  }
  const [pressed, shown] = await Promise.all([alice, bob].map(({ page }) => page.evaluate(() => measured)));
  const took = Array.from({ length: 20 }, (_, n) => (shown?.[n] ?? NaN) - (pressed?.[n] ?? NaN));
  console.log(`a message is on the other screen after ${median(took).toFixed(1)} ms (median of 20; ${Math.min(...took).toFixed(1)} to ${Math.max(...took).toFixed(1)})`);
  expect(median(took)).toBeLessThan(strict ? 100 : 1_000);
});

test('a long conversation scrolls without a halt', async ({ arrive, server }) => {
  test.setTimeout(180_000);
  const count = strict ? 5_000 : 1_000;
  const [account, other] = [await Account.signUp(server.url, 'Alice'), await Account.signUp(server.url, 'Bob')];
  const conversation = await account.befriend(other);
  const words = 'Nobody will read all of this, but somebody will scroll through it and wants to see it move.'.split(' ');
  const body = (n: number) => `${n}: ${words.slice(0, 1 + ((n * 7) % words.length)).join(' ')}`;
  for (let n = 1; n <= count; n += 50) {
    await Promise.all(Array.from({ length: 50 }, (_, k) => [account, other][k % 2]?.send(conversation, body(n + k))));
  }
  await account.read(conversation, count);

  const alice = await arrive('Alice');
  await alice.signIn();
  await alice.open('Bob');
  await expect(alice.messages.first()).toBeVisible();
  const { up, down, rows, seen, blank } = await alice.scroller.evaluate(async (scroller) => {
    /** Whether there are rows in all of the view. */
    const drawn = () => {
      const view = scroller.getBoundingClientRect();
      const rows = [...scroller.querySelectorAll('li')].map((row) => row.getBoundingClientRect());
      return Math.min(...rows.map(({ top }) => top)) <= view.top + 1 && Math.max(...rows.map(({ bottom }) => bottom)) >= view.bottom - 1;
    };
    /** Scrolls by the wheel's steps, a step each frame that finds the view drawn, to an end, and measures what lies between the frames. */
    const travel = (step: number, done: () => boolean) =>
      new Promise<number[]>((resolve) => {
        const gaps: number[] = [];
        let before = performance.now();
        const frame = (now: number) => {
          gaps.push(now - before);
          before = now;
          most = Math.max(most, scroller.querySelectorAll('li').length);
          if (!drawn()) blank++;
          else if (done()) return resolve(gaps);
          else scroller.scrollTop += step;
          requestAnimationFrame(frame);
        };
        requestAnimationFrame(frame);
      });
    let most = 0;
    let blank = 0;
    const up = await travel(-400, () => scroller.querySelector('.start') !== null && scroller.scrollTop === 0);
    const numbers = new Set<string>();
    const note = () => {
      for (const message of scroller.querySelectorAll('.message-body')) numbers.add(message.textContent.split(':')[0] ?? '');
    };
    note();
    const observer = new MutationObserver(note);
    observer.observe(scroller, { childList: true, subtree: true });
    const down = await travel(400, () => scroller.scrollTop + scroller.clientHeight >= scroller.scrollHeight - 2);
    observer.disconnect();
    return { up, down, rows: most, seen: numbers.size, blank };
  });
  for (const [way, gaps] of [['up, with history coming', up], ['down', down]] as const) {
    gaps.sort((a, b) => a - b);
    const most = gaps[Math.floor(gaps.length * 0.99)] ?? NaN;
    console.log(`scrolled ${count} messages ${way}: ${gaps.length} frames, median ${median(gaps).toFixed(1)} ms, 99 % within ${most.toFixed(1)} ms, longest ${gaps.at(-1)?.toFixed(1)} ms`);
    if (!strict) continue; // other tests run beside it
    expect(median(gaps)).toBeLessThan(20);
    expect(most).toBeLessThan(120);
  }
  console.log(`at most ${rows} rows were in the page; ${blank} frames were not filled`);
  if (strict) expect(blank).toBe(0); // when the machine is busy, rows are drawn a frame late
  expect(seen).toBe(count);
  expect(rows).toBeLessThan(120);
});
