// What no server does on demand: resume() on a transport that the test plays, and a clock that it turns.
import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { type Handlers, type Options, ParleyError, type Request, resume, type Session, type Sink, type Subscription } from 'parley-client';
import { EVENTS, type Message, Record } from './world.ts';

type Scene = [t: TestContext, handlers?: Partial<Handlers<Message>>, options?: Options, query?: string, after?: string | null];

/** Plays the server: each attempt is one entry, and what `after` was when it began. */
class Stage {
  readonly attempts: { request: Request; after: unknown; sink: Sink; ended: boolean }[] = [];
  readonly record = new Record();
  readonly subscription: Subscription;

  static async open(...scene: Scene): Promise<Stage> {
    const stage = new Stage(...scene);
    assert.deepEqual(stage.record.statuses, []); // nobody is called before resume has returned
    await tick();
    return stage;
  }

  private constructor(...[t, handlers = {}, options = {}, query = EVENTS, after = 'c0']: Scene) {
    t.mock.timers.enable({ apis: ['setTimeout', 'Date'] });
    t.mock.method(Math, 'random', () => 0.999_999); // the longest that a wait can be
    this.subscription = resume<Message>(
      {
        subscribe: (request, sink) => {
          const attempt = { request, after: request.variables?.['after'], sink, ended: false };
          this.attempts.push(attempt);
          return () => {
            attempt.ended = true;
          };
        },
      },
      { query, variables: { after } },
      { ...this.record.handlers(), ...handlers },
      options,
    );
  }

  get last() {
    return this.attempts.at(-1) ?? assert.fail('nothing was asked for');
  }

  event(cursor: string, type = 'MessageAdded') {
    this.last.sink.next({ data: { events: { __typename: type, cursor, message: { seq: 1, body: cursor } } } });
  }

  refuse(code: string, more: object = {}) {
    this.last.sink.error([{ message: code, extensions: { code, ...more } }]);
  }

  /** Says after how many milliseconds the next attempt comes. */
  async wait(t: TestContext, most = 60_000): Promise<number> {
    const { length } = this.attempts;
    for (let ms = 0; ms <= most; ms += 10) {
      await tick();
      if (this.attempts.length > length) return ms;
      t.mock.timers.tick(10);
    }
    return assert.fail('nothing was asked for again');
  }
}

const tick = () => new Promise((resolve) => setImmediate(resolve));
const close = (code: number) => ({ code, reason: '', wasClean: true });

describe('resume', () => {
  it('tells how it stands', async (t) => {
    const s = await Stage.open(t);
    assert.equal(s.subscription.status, 'connecting');
    s.event('c1');
    assert.equal(s.subscription.status, 'replaying');
    s.event('c2', 'CaughtUp');
    s.event('c3');
    assert.equal(s.subscription.cursor, 'c3');
    s.last.sink.error(close(1006));
    assert.equal(s.subscription.status, 'waiting');
    t.mock.timers.tick(60_000);
    assert.equal(s.last.after, 'c3');
    s.event('c3', 'CaughtUp');
    s.last.sink.complete();
    assert.deepEqual(s.record.statuses, ['connecting', 'replaying', 'live', 'waiting', 'connecting', 'live', 'closed']);
    assert.deepEqual([s.record.bodies, s.record.caughtUp, s.record.completed], [['c1', 'c3'], 2, 1]);
  });

  it('keeps the request of a transport that reconnects by itself up to date', async (t) => {
    const s = await Stage.open(t);
    s.event('c1');
    assert.equal(s.last.request.variables?.['after'], 'c1');
    s.event('c9', 'CaughtUp');
    assert.equal(s.last.request.variables?.['after'], 'c9');
    assert.equal(s.attempts.length, 1);
  });

  it('drops what a replay repeats', async (t) => {
    const s = await Stage.open(t);
    for (const cursor of ['c1', 'c2', 'c3']) s.event(cursor);
    for (const cursor of ['c1', 'c2', 'c3', 'c4']) s.event(cursor); // such as by a transport that began again where it first did
    s.event('c4', 'CaughtUp');
    assert.deepEqual(s.record.bodies, ['c1', 'c2', 'c3', 'c4']);
    assert.equal(s.subscription.cursor, 'c4');
  });

  it('hears nothing from an attempt that it has given up', async (t) => {
    const s = await Stage.open(t);
    const { sink } = s.last;
    s.event('c1');
    sink.error(close(1006));
    assert(s.last.ended);
    t.mock.timers.tick(60_000);
    sink.next({ data: { events: { __typename: 'MessageAdded', cursor: 'c0.5' } } });
    sink.error(close(4400));
    sink.complete();
    s.event('c2');
    assert.deepEqual(s.record.bodies, ['c1', 'c2']);
    assert.equal(s.attempts.length, 2);
  });

  for (const [why, before] of [
    ['while it connects', () => {}],
    ['while it is live', (s: Stage) => s.event('c1', 'CaughtUp')],
    ['while it waits', (s: Stage) => s.last.sink.error(close(1006))],
    ['while it queries anew', (s: Stage) => s.refuse('CURSOR_EXPIRED')],
    ['while the session is refreshed', (s: Stage) => s.refuse('UNAUTHENTICATED')],
  ] as const) {
    it(`calls nothing any more after close() ${why}`, async (t) => {
      let answer = (_: string) => {};
      const late = new Promise<string>((resolve) => (answer = resolve));
      const session = { version: 1, renew: () => late.then(() => true) } as unknown as Session;
      const s = await Stage.open(t, { expired: () => late }, { session });
      before(s);
      const told = JSON.stringify(s.record);
      s.subscription.close();
      answer('c5');
      await tick();
      s.event('c2');
      s.refuse('NOT_FOUND');
      s.last.sink.complete();
      t.mock.timers.tick(100_000);
      await tick();
      assert.equal(JSON.stringify(s.record), told);
      assert.equal(s.attempts.length, 1);
      assert.equal(s.subscription.status, 'closed');
    });
  }

  it('does not begin when it is closed at once', async () => {
    const record = new Record();
    let begun = 0;
    resume<Message>({ subscribe: () => (begun++, () => {}) }, { query: EVENTS }, record.handlers()).close();
    await tick();
    assert.deepEqual([begun, record.statuses], [0, []]);
  });

  it('may be closed by a handler', async (t) => {
    const s: Stage = await Stage.open(t, { next: (e) => (s.record.bodies.push(e.cursor), s.subscription.close()) });
    s.event('c1');
    s.event('c2');
    assert.deepEqual(s.record.bodies, ['c1']);
    assert(s.last.ended);
    t.mock.timers.reset();
    t.mock.restoreAll();
    const ending: Stage = await Stage.open(t, { status: (status) => status === 'closed' && ending.subscription.close() });
    ending.last.sink.complete();
    assert.equal(ending.record.completed, 0);
  });

  it('comes back later and later, up to a bound, and soon again once something came', async (t) => {
    const s = await Stage.open(t);
    const waits: number[] = [];
    for (let n = 0; n < 8; n++) {
      s.last.sink.error(new TypeError('fetch failed'));
      waits.push(await s.wait(t));
    }
    assert.deepEqual(waits, [1_010, 2_010, 4_010, 8_010, 16_010, 30_010, 30_010, 30_010]);
    s.event('c1');
    s.last.sink.error(close(1006));
    assert.equal(await s.wait(t), 1_010);
    s.last.sink.error(new DOMException('too late', 'TimeoutError'));
    assert.equal(await s.wait(t), 2_010);
    assert.deepEqual(s.record.errors, []);
    assert.deepEqual(s.record.causes.slice(-3), ['fetch failed', 'the socket was closed: 1006', 'too late']);
  });

  it('spreads who comes back over time', async (t) => {
    const s = await Stage.open(t);
    t.mock.method(Math, 'random', () => 0);
    s.last.sink.error(close(1006));
    t.mock.timers.tick(20);
    assert.equal(s.attempts.length, 2);
  });

  for (const [what, cause, ms] of [
    ['RATE_LIMITED for its retryAfter', [{ message: '', extensions: { code: 'RATE_LIMITED', retryAfter: 7 } }], 8_010],
    ['UNAVAILABLE for its retryAfter', [{ message: '', extensions: { code: 'UNAVAILABLE', retryAfter: 3 } }], 4_010],
    ['a 503 for its Retry-After', Object.assign(new Error(), { response: new Response('', { status: 503, headers: { 'retry-after': '5' } }) }), 6_010],
    ['1001', close(1001), 2_010],
    ['1012', close(1012), 2_010],
    ['1013', close(1013), 6_010],
    ['a socket that it gave up', Object.assign(new Error(), close(4499)), 1_010],
  ] as const) {
    it(`waits out ${what}`, async (t) => {
      const s = await Stage.open(t);
      s.event('c1', 'CaughtUp');
      s.last.sink.error(cause);
      assert.equal(await s.wait(t), ms);
      assert.equal(s.last.after, 'c1');
    });
  }

  it('wakes at once when the browser does, but not before the time that the server asked for', async (t) => {
    const page = Object.assign(new EventTarget(), { visibilityState: 'hidden' });
    const target = new EventTarget();
    Object.assign(globalThis, {
      document: page,
      addEventListener: target.addEventListener.bind(target),
      removeEventListener: target.removeEventListener.bind(target),
    });
    t.after(() => Reflect.deleteProperty(globalThis, 'document'));
    const s = await Stage.open(t);
    s.last.sink.error(close(1006));
    page.dispatchEvent(new Event('visibilitychange'));
    assert.equal(s.attempts.length, 1);
    page.visibilityState = 'visible';
    page.dispatchEvent(new Event('visibilitychange'));
    assert.equal(s.attempts.length, 2);
    s.last.sink.error(close(1006));
    target.dispatchEvent(new Event('online'));
    assert.equal(s.attempts.length, 3);
    target.dispatchEvent(new Event('online'));
    assert.equal(s.attempts.length, 3);
    s.refuse('RATE_LIMITED', { retryAfter: 5 });
    target.dispatchEvent(new Event('online'));
    assert.equal(s.attempts.length, 3);
    t.mock.timers.tick(5_000);
    target.dispatchEvent(new Event('online'));
    assert.equal(s.attempts.length, 4);
  });

  it('refreshes the session once for a refused token, and gives up when that does not help', async (t) => {
    const asked: (number | undefined)[] = [];
    const session = { version: 1, renew: async (seen?: number) => (asked.push(seen), true) } as unknown as Session;
    const s = await Stage.open(t, {}, { session });
    s.event('c1', 'CaughtUp');
    s.last.sink.error(close(4403));
    assert.equal(await s.wait(t), 0);
    assert.deepEqual(asked, [1]);
    for (let n = 0; n < 5; n++) {
      s.last.sink.error(close(4401));
      if (n < 4) assert(await s.wait(t) > 0, 'in a hurry');
    }
    assert.equal(s.record.errors.length, 1);
    assert.equal(s.record.status, 'closed');
  });

  it('ends when the session is over, and goes on when only the network is', async (t) => {
    let renew: () => Promise<boolean> = () => Promise.reject(new TypeError('fetch failed'));
    const session = { version: 1, renew: () => renew() } as unknown as Session;
    const s = await Stage.open(t, {}, { session });
    s.refuse('UNAUTHENTICATED');
    assert(await s.wait(t) > 0);
    renew = async () => false;
    s.refuse('UNAUTHENTICATED');
    for (let n = 0; n < 10; n++) {
      await tick();
      t.mock.timers.tick(10_000);
    }
    assert.deepEqual(s.record.errors.map((e) => e.code), ['UNAUTHENTICATED']);
  });

  it('tries the refetch again when the network is lost meanwhile, and ends when it is refused', async (t) => {
    const answers = [new TypeError('fetch failed'), 'c7', new ParleyError('no', { errors: [{ message: 'no', extensions: { code: 'FORBIDDEN' } }] })];
    const s = await Stage.open(t, {
      expired: async () => {
        const answer = answers.shift();
        if (typeof answer === 'string') return answer;
        throw answer;
      },
    });
    s.event('c1');
    s.refuse('INVALID_CURSOR');
    await tick();
    assert.equal(s.subscription.status, 'waiting');
    t.mock.timers.tick(60_000);
    s.refuse('CURSOR_EXPIRED');
    await s.wait(t);
    assert.equal(s.last.after, 'c7');
    s.event('c1', 'CaughtUp');
    s.refuse('CURSOR_EXPIRED');
    await tick();
    assert.deepEqual(s.record.errors.map((e) => e.code), ['FORBIDDEN']);
  });

  it('does not try for ever what is not the network’s fault', async (t) => {
    const s = await Stage.open(t);
    for (let n = 0; n < 5; n++) {
      s.last.sink.next({ data: null, errors: [{ message: 'internal error', extensions: { code: 'INTERNAL' } }] });
      await s.wait(t);
    }
    s.last.sink.next({ data: null, errors: [{ message: 'internal error', extensions: { code: 'INTERNAL' } }] });
    assert.deepEqual(s.record.errors.map((e) => e.code), ['INTERNAL']);
  });

  it('ends at once with what would be refused again', async (t) => {
    for (const cause of [
      [{ message: '', extensions: { code: 'FORBIDDEN' } }], [{ message: '', extensions: { code: 'QUERY_TOO_COMPLEX' } }], [{ message: 'no code' }],
      close(4400), close(4406), close(1009), Object.assign(new Error(), { response: new Response('', { status: 403 }) }),
    ]) {
      const s = await Stage.open(t);
      s.last.sink.error(cause);
      t.mock.timers.tick(100_000);
      assert.deepEqual([s.attempts.length, s.record.errors.length, s.record.status], [1, 1, 'closed']);
      t.mock.timers.reset();
      t.mock.restoreAll();
    }
  });

  it('calls every refused token UNAUTHENTICATED', async (t) => {
    for (const cause of [close(4401), close(4403), Object.assign(new Error(), { response: new Response('', { status: 401 }) })]) {
      const s = await Stage.open(t); // without a session
      s.last.sink.error(cause);
      assert.deepEqual(s.record.errors.map((e) => e.code), ['UNAUTHENTICATED']);
      t.mock.timers.reset();
      t.mock.restoreAll();
    }
  });

  it('says so when a subscription could not be resumed', async (t) => {
    for (const [query, data] of [
      ['subscription ($after: Cursor) { events(after: $after) { cursor } }', { cursor: 'c1' }],
      ['subscription ($after: Cursor) { events(after: $after) { __typename } }', { __typename: 'MessageAdded' }],
      ['subscription { events { __typename cursor } }', { __typename: 'MessageAdded', cursor: 'c1' }],
    ] as const) {
      const s = await Stage.open(t, {}, {}, query);
      s.last.sink.next({ data: { events: data } });
      assert.match(s.record.errors[0]?.message ?? '', /\$after.*__typename cursor/);
      t.mock.timers.reset();
      t.mock.restoreAll();
    }
  });

  it('begins ephemeral subscriptions anew', async (t) => {
    const s = await Stage.open(t, {}, {}, 'subscription { typingChanged { user { id } } }', null);
    const typing = { data: { typingChanged: { user: { id: 'usr_1' } } } };
    s.last.sink.next(typing);
    assert.equal(s.subscription.status, 'live');
    s.last.sink.error(close(1012));
    t.mock.timers.tick(60_000);
    s.last.sink.next(typing);
    assert.equal(s.record.cursors.length, 2);
    assert.equal(s.last.after, null);
  });

  it('goes on when a handler throws', async (t) => {
    const s: Stage = await Stage.open(t, {
      next: (e) => {
        s.record.bodies.push(e.cursor);
        throw new Error('in the app');
      },
    });
    s.event('c1');
    s.event('c2');
    assert.deepEqual(s.record.bodies, ['c1', 'c2']);
    assert.throws(() => t.mock.timers.tick(1), /in the app/); // where window.onerror sees it
  });
});
