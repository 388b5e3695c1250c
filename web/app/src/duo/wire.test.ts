import type { Request, Sink } from 'parley-client';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { type Entry, Log } from './log';
import { mask } from './mask';
import { Wire } from './wire';

let log: Log;
let wire: Wire;
beforeEach(() => {
  log = new Log();
  wire = new Wire('Alice', log);
});
afterEach(() => vi.unstubAllGlobals());

/** A transport that says what it was asked for, and answers what it is told to. */
function transport() {
  const asked: { request: Request; sink: Sink; ended: boolean }[] = [];
  let terminated = 0;
  return {
    asked,
    terminated: () => terminated,
    terminate() {
      terminated++;
      for (const { sink } of asked.splice(0)) sink.error(new Error('terminated'));
    },
    subscribe(request: Request, sink: Sink) {
      const one = { request, sink, ended: false };
      asked.push(one);
      return () => void (one.ended = true);
    },
  };
}

const sink = () => ({ next: vi.fn(), error: vi.fn(), complete: vi.fn() });
const events = (after: string | null): Request => ({ query: 'subscription Events($after: Cursor) { events(after: $after) { __typename cursor } }', variables: { after } });
const event = (__typename: string, cursor: string) => ({ data: { events: { __typename, cursor } } });
const brief = (entry: Entry) => (entry.kind === 'note' ? entry.text : entry.kind === 'operation' ? `${entry.type} ${entry.name} ${entry.state}` : `${entry.name} ${entry.cursor ?? 'signal'}${entry.replayed ? ' replayed' : ''}`);
const all = () => log.entries.get().map(brief);

test('what goes over HTTP is written down, with the answer and how long it took, and no secret', async () => {
  vi.stubGlobal('fetch', async () => Response.json({ data: { signIn: { accessToken: 'abc', accessTokenExpiresAt: 'soon' } } }));
  const body = JSON.stringify({ query: 'mutation SignIn($input: SignInInput!) { signIn(input: $input) { accessToken } }', variables: { input: { username: 'ann', password: 'horse' } } });
  expect(await (await wire.fetch('/graphql', { method: 'POST', body })).json()).toMatchObject({ data: { signIn: { accessToken: 'abc' } } });
  expect(log.entries.get()).toMatchObject([
    {
      who: 'Alice', type: 'mutation', name: 'SignIn', state: 'done', ms: expect.any(Number),
      variables: { input: { username: 'ann', password: mask } }, result: { data: { signIn: { accessToken: mask, accessTokenExpiresAt: 'soon' } } },
    },
  ]);
});

test('errors are failures; what is no operation goes through', async () => {
  vi.stubGlobal('fetch', async () => Response.json({ errors: [{ message: 'no' }] }));
  await wire.fetch('/graphql', { method: 'POST', body: JSON.stringify({ query: '{ me { id } }' }) });
  await wire.fetch('/files', { method: 'POST', body: new Blob(['x']) });
  expect(all()).toEqual(['query me failed']);
});

test('what a subscription brings: replayed up to CaughtUp, live after it', () => {
  const direct = transport();
  const [mine] = [sink()];
  const end = wire.transport(direct).subscribe(events('c1'), mine);
  for (const result of [event('MessageAdded', 'c2'), event('CaughtUp', 'c2'), event('MessageAdded', 'c3')]) direct.asked[0]?.sink.next(result);
  expect(mine.next).toHaveBeenCalledTimes(3);
  expect(all()).toEqual(['subscription Events running', 'MessageAdded c2 replayed', 'CaughtUp c2', 'MessageAdded c3']);
  end();
  expect(direct.asked[0]?.ended).toBe(true);
  expect(all()[0]).toBe('subscription Events done');
});

test('without a cursor there is nothing to replay; signals have none', () => {
  const direct = transport();
  wire.transport(direct).subscribe(events(null), sink());
  direct.asked[0]?.sink.next(event('MessageAdded', 'c2'));
  wire.transport(direct).subscribe({ query: 'subscription { presenceChanged { snapshot } }' }, sink());
  direct.asked[1]?.sink.next({ data: { presenceChanged: { __typename: 'PresenceChange', snapshot: true } } });
  expect(all()).toEqual(['subscription Events running', 'MessageAdded c2', 'subscription presenceChanged running', 'presenceChanged signal']);
});

test('a later change of the variables, as resume makes them, does not change what was sent', () => {
  const request = events('c1');
  wire.transport(transport()).subscribe(request, sink());
  if (request.variables) request.variables['after'] = 'c9';
  expect(log.entries.get()[0]).toMatchObject({ variables: { after: 'c1' } });
});

test('cut: the socket goes, nothing goes through, and the attempts to come back are refused until it is restored', async () => {
  const back = vi.fn();
  vi.stubGlobal('dispatchEvent', back);
  const reached = vi.fn(async () => Response.json({ data: {} }));
  vi.stubGlobal('fetch', reached);
  const direct = transport();
  const through = wire.transport(direct);
  const lost = sink();
  const end = through.subscribe(events('c1'), lost);
  wire.cut();
  wire.cut();
  end(); // as resume does
  expect([direct.terminated(), lost.error.mock.calls.length]).toEqual([1, 1]);
  await expect(wire.fetch('/graphql', { method: 'POST', body: JSON.stringify({ query: 'mutation Say { say }' }) })).rejects.toThrow(TypeError);
  const refused = sink();
  through.subscribe(events('c1'), refused);
  await vi.waitFor(() => expect(refused.error).toHaveBeenCalledOnce());
  const stopped = sink();
  through.subscribe(events('c1'), stopped)();
  await new Promise((resolve) => setTimeout(resolve));
  expect(stopped.error).not.toHaveBeenCalled();
  expect([direct.asked.length, reached.mock.calls.length, back.mock.calls.length]).toEqual([0, 0, 0]);
  wire.restore();
  expect(back).toHaveBeenCalledOnce();
  through.subscribe(events('c1'), sink());
  expect(direct.asked).toHaveLength(1);
  expect(all()).toEqual(['subscription Events failed', 'The connection is cut', 'mutation Say failed', 'The connection is back', 'subscription Events running']);
});

test('an answer that is on its way when the connection is cut is lost', async () => {
  vi.stubGlobal('fetch', async () => {
    wire.cut();
    return Response.json({ data: {} });
  });
  await expect(wire.fetch('/graphql', { method: 'POST', body: JSON.stringify({ query: 'mutation Say { say }' }) })).rejects.toThrow(TypeError);
  expect(all()).toEqual(['mutation Say failed', 'The connection is cut']);
});

test('the log keeps the newest thousand, and clearing it keeps what still runs', () => {
  for (let n = 0; n < 1_005; n++) log.add({ kind: 'note', who: 'Alice', text: String(n), good: true });
  expect([log.entries.get().length, brief(log.entries.get()[0]!)]).toEqual([1_000, '5']);
  wire.transport(transport()).subscribe(events(null), sink());
  log.clear();
  expect(all()).toEqual(['subscription Events running']);
});
