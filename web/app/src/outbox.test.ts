import { CombinedGraphQLErrors } from '@apollo/client';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Event } from './live/apply';
import { memory, Outbox } from './outbox';

const message = (body: string, sender = 'ann') => ({
  id: `msg_${body}`, seq: 1, body, createdAt: new Date().toISOString(), sender: { id: sender, username: sender, displayName: sender, bot: false, avatarUrl: null },
});
const refuse = (code: string, retryAfter?: number) => new CombinedGraphQLErrors({ errors: [{ message: 'no', extensions: { code, ...(retryAfter && { retryAfter }) } }] });

/** A server that answers when and as the test says. */
function stage() {
  const calls: { body: string; clientKey: string; signal: AbortSignal; answer(): void; fail(cause: unknown): void }[] = [];
  const shown: Event[] = [];
  const kept = new Map<string, string>();
  const storage = memory(kept);
  const client = {
    mutate: ({ variables, context }: { variables: { body: string; clientKey: string }; context: { fetchOptions: { signal: AbortSignal } } }) =>
      new Promise((resolve, reject) => {
        context.fetchOptions.signal.addEventListener('abort', reject);
        calls.push({ ...variables, signal: context.fetchOptions.signal, answer: () => resolve({ data: { sendMessage: { cursor: 'c', message: message(variables.body) } } }), fail: reject });
      }),
  };
  const closed = () => new Outbox(client as unknown as ConstructorParameters<typeof Outbox>[0], { apply: (event) => void shown.push(event) }, storage); // mutate is overloaded
  const make = () => {
    const outbox = closed();
    outbox.open('ann');
    return outbox;
  };
  /** One whose first message the server asked to send later. */
  const limited = async (seconds: number) => {
    const outbox = make();
    outbox.send('r1', 'waits');
    calls[0]?.fail(refuse('RATE_LIMITED', seconds));
    await settled();
    return outbox;
  };
  const refuseToKeep = () => {
    storage.setItem = () => {
      throw new DOMException('full', 'QuotaExceededError');
    };
  };
  return { calls, shown, kept, closed, make, limited, refuseToKeep };
}

const settled = () => vi.advanceTimersByTimeAsync(0);
const states = (outbox: Outbox) => outbox.items.get().map(({ body, error, seen }) => body + (error ? ' failed' : '') + (seen ? ' seen' : ''));

beforeEach(() => void vi.useFakeTimers());
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

describe('the outbox', () => {
  test('shows what was stored, and forgets it', async () => {
    const { calls, shown, kept, make } = stage();
    const outbox = make();
    outbox.send('r1', 'hello');
    expect(states(outbox)).toEqual(['hello']);
    calls[0]?.answer();
    await settled();
    expect(states(outbox)).toEqual([]);
    expect(shown).toMatchObject([{ __typename: 'MessageAdded', conversationId: 'r1', message: { body: 'hello' } }]);
    expect(kept.size).toBe(0);
  });

  test('sends those of a conversation in order, and those of others meanwhile', async () => {
    const { calls, make } = stage();
    const outbox = make();
    outbox.send('r1', 'one');
    outbox.send('r1', 'two');
    outbox.send('r2', 'other');
    expect(calls.map(({ body }) => body)).toEqual(['one', 'other']);
    calls[0]?.answer();
    await settled();
    expect(calls.map(({ body }) => body)).toEqual(['one', 'other', 'two']);
  });

  test('tries again with the same key when the network fails, until it is acknowledged', async () => {
    const { calls, make } = stage();
    const outbox = make();
    outbox.send('r1', 'hello');
    for (let attempt = 0; attempt < 4; attempt++) {
      calls.at(-1)?.fail(new TypeError('Failed to fetch'));
      await vi.advanceTimersByTimeAsync(30_000);
    }
    expect(calls.length).toBe(5);
    expect(new Set(calls.map(({ clientKey }) => clientKey)).size).toBe(1);
    calls.at(-1)?.answer();
    await settled();
    expect(states(outbox)).toEqual([]);
  });

  test('sends again at once when the server is back: what waits, and what was under way', async () => {
    const { calls, make } = stage();
    const outbox = make();
    outbox.send('r1', 'waits');
    outbox.send('r2', 'under way');
    calls[0]?.fail(new TypeError('Failed to fetch'));
    await settled();
    expect(calls.length).toBe(2);
    outbox.wake();
    await settled();
    expect(calls.slice(2).map(({ body }) => body)).toEqual(['waits', 'under way']);
    expect(calls[3]?.clientKey).toBe(calls[1]?.clientKey);
  });

  test('waits in one conversation as long as the server asks, whatever is sent meanwhile', async () => {
    const { calls, limited } = stage();
    const outbox = await limited(7);
    outbox.send('r2', 'goes');
    calls[1]?.answer();
    outbox.send('r3', 'waits longer');
    calls[2]?.fail(refuse('RATE_LIMITED', 70));
    await vi.advanceTimersByTimeAsync(6_900);
    expect(calls.map(({ body }) => body)).toEqual(['waits', 'goes', 'waits longer']);
    await vi.advanceTimersByTimeAsync(700);
    expect(calls.slice(3).map(({ body }) => body)).toEqual(['waits']);
  });

  test('waits as long as the server asks, also when it comes back meanwhile', async () => {
    const { calls, limited } = stage();
    const outbox = await limited(7);
    outbox.wake();
    await vi.advanceTimersByTimeAsync(6_900);
    expect(calls.length).toBe(1);
    await vi.advanceTimersByTimeAsync(700);
    expect(calls.length).toBe(2);
  });

  test('waits longer each time, also when another conversation fares well', async () => {
    vi.spyOn(Math, 'random').mockReturnValue(0.999);
    const { calls, make } = stage();
    const outbox = make();
    outbox.send('r1', 'fails');
    for (let attempt = 0; attempt < 5; attempt++) {
      calls.findLast(({ body }) => body === 'fails')?.fail(refuse('UNAVAILABLE'));
      outbox.send('r2', 'goes');
      calls.findLast(({ body }) => body === 'goes')?.answer();
      await vi.advanceTimersByTimeAsync(500 * 2 ** attempt + 10);
    }
    expect(calls.filter(({ body }) => body === 'fails')).toHaveLength(6);
    calls.findLast(({ body }) => body === 'fails')?.fail(refuse('UNAVAILABLE'));
    await vi.advanceTimersByTimeAsync(15_000);
    expect(calls.filter(({ body }) => body === 'fails')).toHaveLength(6);
  });

  test('does not wait when somebody says to try again', async () => {
    const { calls, make } = stage();
    const outbox = make();
    outbox.send('r1', 'bad');
    calls[0]?.fail(refuse('FORBIDDEN'));
    await settled();
    outbox.send('r1', 'waits');
    calls[1]?.fail(refuse('RATE_LIMITED', 7));
    await settled();
    outbox.retry(calls[0]?.clientKey ?? '');
    expect(calls.slice(2).map(({ body }) => body)).toEqual(['bad']);
  });

  test('keeps what the server does not want, until somebody says what to do; the next ones go on', async () => {
    const { calls, make } = stage();
    const outbox = make();
    outbox.send('r1', 'bad');
    outbox.send('r1', 'good');
    calls[0]?.fail(refuse('FORBIDDEN'));
    await settled();
    expect(states(outbox)).toEqual(['bad failed', 'good']);
    expect(calls.map(({ body }) => body)).toEqual(['bad', 'good']);
    calls[1]?.answer();
    await settled();
    outbox.retry(calls[0]?.clientKey ?? '');
    expect(calls.map(({ body }) => body)).toEqual(['bad', 'good', 'bad']);
    expect(calls[2]?.clientKey).toBe(calls[0]?.clientKey);
    calls[2]?.fail(refuse('FORBIDDEN'));
    await settled();
    outbox.discard(calls[0]?.clientKey ?? '');
    expect(states(outbox)).toEqual([]);
  });

  test('survives a reload while unsent, with its key', async () => {
    const { calls, make } = stage();
    const first = make();
    first.send('r1', 'hello');
    first.close(); // the page goes, and the answer never comes
    const second = make();
    expect(states(second)).toEqual(['hello']);
    expect(calls.length).toBe(2);
    expect(calls[1]?.clientKey).toBe(calls[0]?.clientKey);
  });

  test('sends what was written before it was known by whom, after what they had not sent yet', async () => {
    const { calls, shown, kept, closed, make } = stage();
    const before = make();
    before.send('r1', 'of yesterday');
    before.close();
    const outbox = closed();
    outbox.send('r1', 'of today');
    expect(states(outbox)).toEqual(['of today']);
    expect([...kept.keys()].map((key) => key.split('.')[2])).toEqual(['ann']);
    outbox.open('ann');
    expect(states(outbox)).toEqual(['of yesterday', 'of today']);
    expect([...kept.keys()].map((key) => key.split('.')[2])).toEqual(['ann', 'ann']);
    for (const at of [1, 2]) {
      calls[at]?.answer();
      await settled();
    }
    expect(shown).toMatchObject([{ message: { body: 'of yesterday' } }, { message: { body: 'of today' } }]);
    expect([states(outbox), kept.size]).toEqual([[], 0]);
  });

  test('tries what was written before it was known by whom again, and forgets it with the rest', async () => {
    const { calls, kept, closed } = stage();
    const outbox = closed();
    outbox.send('r1', 'hello');
    outbox.open('ann');
    calls[0]?.fail(new TypeError('Failed to fetch'));
    await vi.advanceTimersByTimeAsync(500);
    expect(calls.map(({ body }) => body)).toEqual(['hello', 'hello']);
    outbox.leave(true);
    expect(kept.size).toBe(0);
  });

  test('gives nobody what another has written', () => {
    const { calls, closed } = stage();
    const outbox = closed();
    outbox.send('r1', 'of whoever left');
    outbox.leave(false);
    outbox.open('ann');
    outbox.send('r1', 'of ann');
    outbox.open('bob');
    outbox.send('r1', 'of bob');
    expect(states(outbox)).toEqual(['of bob']);
    expect(calls.map(({ body }) => body)).toEqual(['of ann', 'of bob']);
  });

  test('of one tab is not lost when another has sent its own', async () => {
    const { calls, make } = stage();
    const [one, other] = [make(), make()];
    one.send('r1', 'waits');
    other.send('r2', 'goes');
    calls.find(({ body }) => body === 'goes')?.answer();
    await settled();
    one.close();
    expect(states(make())).toEqual(['waits']);
  });

  test('shows a message once when it arrives before its acknowledgement', () => {
    const { make } = stage();
    const outbox = make();
    outbox.send('r1', 'hello');
    outbox.saw({ conversationId: 'r1', message: message('hello', 'bob') });
    outbox.saw({ conversationId: 'r2', message: message('hello') });
    expect(states(outbox)).toEqual(['hello']);
    outbox.saw({ conversationId: 'r1', message: message('hello') });
    expect(states(outbox)).toEqual(['hello seen']);
  });

  test('does not take a message that was acknowledged for the next one of the same text', async () => {
    const { calls, make } = stage();
    const outbox = make();
    outbox.send('r1', 'ok');
    calls[0]?.answer();
    await settled();
    outbox.send('r1', 'ok');
    outbox.saw({ conversationId: 'r1', message: message('ok') }); // the event of the first
    expect(states(outbox)).toEqual(['ok']);
  });

  test('shows a message once that has arrived, also while its acknowledgement is lost', async () => {
    const { calls, make } = stage();
    const outbox = make();
    outbox.send('r1', 'ok');
    outbox.saw({ conversationId: 'r1', message: message('ok') });
    outbox.wake();
    await settled();
    expect([states(outbox), calls.length]).toEqual([['ok seen'], 2]);
    calls[1]?.fail(new TypeError('Failed to fetch'));
    await settled();
    expect(states(outbox)).toEqual(['ok seen']);
  });

  test('takes a message that arrives twice for one', async () => {
    const { calls, make } = stage();
    const outbox = make();
    outbox.send('r1', 'ok');
    outbox.saw({ conversationId: 'r1', message: message('ok') });
    outbox.send('r1', 'ok');
    calls[0]?.fail(refuse('CONFLICT')); // so it was another's, of another device
    await settled();
    outbox.saw({ conversationId: 'r1', message: message('ok') });
    expect(states(outbox)).toEqual(['ok failed', 'ok']);
  });

  test.each([['FORBIDDEN', 'ok failed'], ['UNAVAILABLE', 'ok seen']])('shows a message again only when the server does not want it: %s', async (code, state) => {
    const { calls, make } = stage();
    const outbox = make();
    outbox.send('r1', 'ok');
    outbox.saw({ conversationId: 'r1', message: message('ok') }); // from another device
    calls[0]?.fail(refuse(code));
    await settled();
    expect(states(outbox)).toEqual([state]);
  });

  test('does not try again at the same time as everybody else', async () => {
    const { calls, make } = stage();
    const outbox = make();
    outbox.send('r1', 'hello');
    const waits: number[] = [];
    for (const random of [0, 0.999]) {
      vi.spyOn(Math, 'random').mockReturnValue(random);
      outbox.wake(); // the waits begin with the shortest
      await settled();
      const [before, from] = [calls.length, Date.now()];
      calls.at(-1)?.fail(refuse('UNAVAILABLE'));
      while (calls.length === before) await vi.advanceTimersByTimeAsync(10);
      waits.push(Date.now() - from);
    }
    expect(waits).toEqual([250, 500]);
  });

  test('sends what the browser refuses to keep', () => {
    const { calls, refuseToKeep, make } = stage();
    refuseToKeep();
    const outbox = make();
    outbox.send('r1', 'hello');
    expect(states(outbox)).toEqual(['hello']);
    expect(calls.map(({ body }) => body)).toEqual(['hello']);
  });

  test('needs nothing that browsers have over HTTPS only', () => {
    vi.stubGlobal('crypto', { getRandomValues: crypto.getRandomValues.bind(crypto) });
    const { calls, make } = stage();
    make().send('r1', 'hello');
    make().send('r2', 'hello');
    expect(new Set(calls.map(({ clientKey }) => clientKey)).size).toBe(2);
    expect(calls[0]?.clientKey).toMatch(/^[0-9a-f]{32}$/);
  });

  test('forgets everything when the user signs out', () => {
    const { kept, make } = stage();
    const outbox = make();
    outbox.send('r1', 'hello');
    outbox.leave(true);
    expect(states(outbox)).toEqual([]);
    expect(kept.size).toBe(0);
  });

  test('keeps what waits when the session ends, until the user is back', async () => {
    const { calls, make } = stage();
    const outbox = make();
    outbox.send('r1', 'hello');
    outbox.leave(false);
    calls[0]?.fail(refuse('UNAUTHENTICATED'));
    await vi.advanceTimersByTimeAsync(60_000);
    expect(states(outbox)).toEqual([]);
    expect(calls.length).toBe(1);
    outbox.open('ann');
    expect(states(outbox)).toEqual(['hello']);
    expect(calls[1]?.clientKey).toBe(calls[0]?.clientKey);
  });

  test('of one user is not held up by what another had under way in the same conversation', async () => {
    const { calls, kept, make } = stage();
    const outbox = make();
    outbox.send('r1', 'of ann');
    outbox.leave(false);
    expect(calls[0]?.signal.aborted).toBe(true);
    outbox.open('bob');
    outbox.send('r1', 'of bob');
    await settled(); // what ann had under way has ended
    outbox.send('r1', 'of bob, too');
    expect(calls.map(({ body }) => body)).toEqual(['of ann', 'of bob']); // still one after the other
    calls[1]?.answer();
    await settled();
    expect(calls.slice(2).map(({ body }) => body)).toEqual(['of bob, too']);
    expect([...kept.keys()].map((key) => key.split('.')[2])).toEqual(['ann', 'bob']);
  });

  test('of one user does not wait for what the server asked another to wait', async () => {
    const { calls, limited } = stage();
    const outbox = await limited(7);
    outbox.leave(false);
    outbox.open('bob');
    outbox.send('r1', 'of bob');
    expect(calls.map(({ body }) => body)).toEqual(['waits', 'of bob']);
  });
});
