import { failureOf, ParleyError } from './failure.ts';
import { json, type Problem, type Request, type Result } from './transport.ts';
import { backoff, onWake } from './wait.ts';

/** What `signUp`, `signIn` and `refreshSession` answer, as far as a session needs it. */
export interface Tokens {
  /** Null when it was set as a cookie. */
  accessToken?: string | null;
  accessTokenExpiresAt: string;
  /** Null when it was set as a cookie. */
  refreshToken?: string | null;
  /** Select `session { lastUsedAt }`: then it does not matter whether this machine's clock is right. */
  session?: { lastUsedAt: string };
}

/**
 * Why a session is over.
 *
 * - `signedOut`: `signOut` was called.
 * - `ended`: the server says so: revoked, expired, the password changed, the account suspended, a refresh token used twice.
 * - `elsewhere`: another tab has signed out, or signed in as somebody else.
 */
export type Ending = 'signedOut' | 'ended' | 'elsewhere';

/** Where tokens are kept: `localStorage` and `sessionStorage` fit. */
export type Store = Pick<Storage, 'getItem' | 'setItem' | 'removeItem'>;

export interface SessionOptions {
  /** The endpoint, such as `https://chat.example.org/graphql`. */
  url: string;
  /**
   * Where the tokens are kept. Left out: in memory, and gone with the page. `localStorage` is shared by all tabs: they
   * refresh once for all, and sign out together. `sessionStorage` is one tab's; a tab that is duplicated begins as a copy
   * with the same tokens, and the two end each other's session: prefer another where people do that.
   */
  store?: Store;
  /**
   * The tokens are in HttpOnly cookies (sign in with `cookie: true`): nothing secret is kept. The store, by default
   * `localStorage` where there is one, tells the tabs until when the access token is good.
   */
  cookie?: boolean;
  /** Under which name in the store, and of the lock; `parley.session` if left out. */
  key?: string;
  /** For tests, and for old Node.js. */
  fetch?: typeof fetch;
  /** It is over, once for each ending: close the viewer's subscriptions, and show nothing of theirs any more. */
  signedOut?(why: Ending): void;
  /** Another tab has signed in. */
  signedIn?(): void;
}

/** Who is signed in, and the tokens to show for it. Make one for each endpoint and account. */
export interface Session {
  readonly signedIn: boolean;
  /** Of the sign-in: another one when somebody else signs in, undefined while nobody is. */
  readonly id: string | undefined;
  /** Grows with each new token. */
  readonly version: number;
  /** Takes over what a sign-in answered. */
  begin(tokens: Tokens): void;
  /**
   * `Bearer …` for the `Authorization` header and for `connection_init`; undefined with cookies, and when nobody is signed
   * in. Refreshes first when the access token is about to expire. Rejects when that has expired and cannot be refreshed for
   * want of a network.
   */
  authorization(): Promise<string | undefined>;
  /**
   * Makes sure that the tokens are newer than a version (the present one, if left out), by refreshing them or because
   * somebody has. Any number of calls, in any number of tabs, refresh once.
   *
   * @returns false when nobody is signed in any more: `signedOut` was called
   * @throws when the server cannot be reached, or has a fault: whether the session goes on is not known, and it stays
   */
  renew(version?: number): Promise<boolean>;
  /**
   * With cookies: asks the server whether the browser has a session that is not in the store, by one refresh, and goes on
   * with it. Cookies may outlive what a script has stored (Safari forgets that after seven days without a visit). Call it
   * before you show the sign-in page; without cookies, or when somebody is signed in, it asks nobody.
   *
   * @returns whether somebody is signed in
   * @throws when the server cannot be reached, or has a fault: nobody knows
   */
  restore(): Promise<boolean>;
  /**
   * Asks the API as the viewer, and once more with new tokens when the server takes these for worn out.
   *
   * @returns the data
   * @throws ParleyError, when there is any error in the answer or none came
   */
  request<Data>(query: string, variables?: Record<string, unknown>): Promise<Data>;
  /**
   * Ends the session on the server, here and in the other tabs. When the server cannot be reached it rejects: with tokens
   * the session is over here all the same, with cookies it is not, because only the server can take them back.
   */
  signOut(): Promise<void>;
  /** Lets go of timers and listeners, and keeps the tokens. */
  close(): void;
}

/** What is kept, in the store as JSON. */
interface Kept {
  id: string; // of the sign-in, so that other tabs notice another one
  access?: string | undefined;
  refresh?: string | undefined;
  until: number; // when the access token expires, by this machine's clock, in milliseconds since 1970
  span: number; // how long it was good for, in milliseconds
  turn: number; // how often it has been refreshed
}

/** Milliseconds that a request of the session's own may take: a refresh that hangs holds up all tabs. */
const patience = 15_000;

const tokens = '{ accessToken accessTokenExpiresAt refreshToken session { id lastUsedAt } }';
const refresh = `mutation Refresh($input: RefreshSessionInput) { refreshSession(input: $input) ${tokens} }`;
const signOut = 'mutation SignOut { signOut { cursor } }';

export function createSession(options: SessionOptions): Session {
  const key = options.key ?? 'parley.session';
  const store = options.store ?? (options.cookie ? shared() : undefined);
  const credentials = options.cookie ? 'include' : 'omit'; // the cookies may be another account's
  let raw: string | null = null; // as it stands in the store
  let kept: Kept | undefined;
  let version = 0;
  let flight: Promise<boolean> | undefined;
  let last: Promise<unknown> = Promise.resolve(); // what was done alone, where there are no locks
  let timer: ReturnType<typeof setTimeout> | undefined;
  let closed = false;
  let release = () => {}; // the lock that is named for the newest turn

  /** Sees what other tabs have done. */
  function load(): void {
    if (!store) return;
    const now = store.getItem(key);
    if (now === raw) return;
    raw = now;
    const before = kept;
    kept = parse(now);
    version++;
    schedule(0);
    if (!kept) release();
    if (before && before.id !== kept?.id) options.signedOut?.('elsewhere');
    if (kept && before?.id !== kept.id) options.signedIn?.();
  }

  function keep(next: Kept | undefined): void {
    kept = next;
    raw = next ? JSON.stringify(next) : null;
    version++;
    if (!kept) release();
    if (raw === null) store?.removeItem(key);
    else write(raw);
    schedule(0);
  }

  function write(text: string): void {
    try {
      store?.setItem(key, text);
    } catch { // it is full: this tab goes on alone, and none with tokens that are worn out
      store?.removeItem(key);
      raw = null;
    }
  }

  function begin(tokens: Tokens, id = `${Date.now()}.${Math.random()}`, turn = 0): void {
    const from = tokens.session ? Date.parse(tokens.session.lastUsedAt) : Date.now();
    const span = Math.max(0, Date.parse(tokens.accessTokenExpiresAt) - from);
    const secret = options.cookie ? {} : { access: tokens.accessToken ?? undefined, refresh: tokens.refreshToken ?? undefined };
    keep({ id, ...secret, until: Date.now() + span, span, turn });
  }

  function end(why: Ending): void {
    keep(undefined);
    options.signedOut?.(why);
  }

  /** Refreshes some time before the token expires; not all tabs at the same moment. */
  function schedule(failures: number): void {
    clearTimeout(timer);
    if (!kept || closed) return;
    const early = Math.min(60_000, kept.span / 4) * (1 - Math.random() / 2);
    const ms = failures > 0 ? backoff(undefined, failures) : Math.max(0, kept.until - early - Date.now());
    timer = setTimeout(() => void renew().catch(() => schedule(failures + 1)), Math.min(ms, 2 ** 31 - 1));
    const inNode: unknown = timer;
    if (typeof inNode === 'object' && inNode !== null && 'unref' in inNode && typeof inNode.unref === 'function') {
      inNode.unref(); // it need not stay for this
    }
  }

  function expired(): boolean {
    return kept !== undefined && Date.now() > kept.until - Math.min(5_000, kept.span / 10);
  }

  async function authorization(): Promise<string | undefined> {
    load();
    if (expired()) await renew();
    return bearer();
  }

  function bearer(): string | undefined {
    return kept?.access === undefined ? undefined : `Bearer ${kept.access}`;
  }

  const renew = (seen = version) => once((before) => before !== undefined && (version > seen || exchange(before)));
  const restore = () => once((before) => before !== undefined || (options.cookie === true && exchange(before)));

  /** Sees what the other tabs have done, and works alone; who asks meanwhile gets the same answer. */
  function once(work: (before: Kept | undefined) => boolean | Promise<boolean>): Promise<boolean> {
    flight ??= alone(async () => {
      load();
      return work(kept);
    }).finally(() => {
      flight = undefined;
    });
    return flight;
  }

  /** Asks for new tokens; what it returns and throws is that of `renew`. */
  async function exchange(before: Kept | undefined, why: Ending = 'ended'): Promise<boolean> {
    const input = before?.refresh === undefined ? undefined : { refreshToken: before.refresh };
    const { data, errors } = await send({ query: refresh, variables: { input } });
    if (kept !== before) return kept !== undefined; // signed out, or in, meanwhile
    const renewed = data?.['refreshSession'] as (Tokens & { session: { id: string } }) | undefined; // the query asks for them
    if (renewed) {
      if (before) begin(renewed, before.id, before.turn + 1);
      else begin(renewed, renewed.session.id, Date.now()); // another tab that does the same finds the same sign-in, later
      return true;
    }
    const error = refused(errors);
    if (error.code !== 'UNAUTHENTICATED') throw error;
    if (before) end(why);
    return false;
  }

  /** One tab at a time, where the browser can see to it. */
  function alone<T>(work: () => Promise<T>): Promise<T> {
    const locks = store && typeof navigator === 'object' ? navigator.locks : undefined;
    if (!locks) {
      const mine = last.then(work);
      last = mine.catch(() => {});
      return mine;
    }
    return locks.request(key, async () => {
      await arrive(locks);
      const before = kept;
      const result = await work();
      const now = kept ?? (before && { id: before.id, turn: Infinity }); // over
      if (now) await announce(locks, turns(now.id) + now.turn);
      return result;
    });
  }

  // What one tab writes into the store another sees a little later, while locks pass from tab to tab at once: the next one
  // would use the old refresh token, which ends the session. So who has refreshed holds a lock that is named for the turn.
  const turns = (id: string) => `${key} ${id} `;

  async function announce(locks: LockManager, name: string): Promise<void> {
    await new Promise<void>((held) => {
      void locks.request(name, { mode: 'shared' }, () => {
        release();
        held();
        return new Promise<void>((done) => {
          release = done;
        });
      });
    });
  }

  /** Waits until the store shows the newest turn that a tab has announced or, when it shows nothing, a moment for any. */
  async function arrive(locks: LockManager): Promise<void> {
    const names = ((await locks.query()).held ?? []).map(({ name = '' }) => name);
    load();
    const before = kept;
    const late = Date.now() + (before ? patience : 1_000); // a tab may not have heard that all is over
    for (; ; load()) {
      const prefix = kept ? turns(kept.id) : `${key} `;
      const announced = names.filter((name) => name.startsWith(prefix)).map((name) => Number(name.slice(name.lastIndexOf(' '))));
      if (kept ? Math.max(0, ...announced) <= kept.turn : before || !announced.some(Number.isFinite)) return;
      if (Date.now() > late) {
        if (!kept) return;
        throw new ParleyError('the tokens that another tab has do not arrive');
      }
      await new Promise((again) => setTimeout(again, 10));
    }
  }

  async function send(request: Request, authorization?: string): Promise<Result> {
    const headers: Record<string, string> = { 'content-type': 'application/json', accept: 'application/json' };
    if (authorization) headers['authorization'] = authorization;
    return json(
      await (options.fetch ?? fetch)(options.url, {
        method: 'POST', headers, credentials, body: JSON.stringify(request), signal: AbortSignal.timeout(patience),
      }),
    );
  }

  async function request<Data>(query: string, variables: Record<string, unknown> = {}): Promise<Data> {
    for (let again = true; ; again = false) {
      const token = await authorization();
      const whose = kept?.id;
      const used = version;
      const { data, errors } = await send({ query, variables }, token);
      if (data && !errors?.length) return data as Data; // the caller says what the query selects
      const { kind, error } = failureOf(refused(errors));
      if (!again || !kept || kind !== 'unauthenticated' || !(await renew(used)) || kept.id !== whose) throw error;
    }
  }

  async function leave(): Promise<void> {
    if (!kept) return;
    const { id } = kept;
    // Alone: who loses their connection by it asks for new tokens, and would take the refusal for another ending.
    await alone(async () => {
      load();
      try {
        for (let again = true; kept?.id === id; again = false) {
          if (expired()) await exchange(kept, 'signedOut');
          if (kept?.id !== id) return; // it is over, or somebody else has signed in
          const { errors } = await send({ query: signOut }, bearer());
          if (!errors?.length) break;
          const error = refused(errors);
          if (error.code !== 'UNAUTHENTICATED') throw error;
          if (!again || !(await exchange(kept, 'signedOut'))) break;
        }
      } catch (cause) {
        if (!options.cookie && kept?.id === id) end('signedOut');
        throw failureOf(cause).error;
      }
      if (kept?.id === id) end('signedOut');
    });
  }

  const listening = store && typeof addEventListener === 'function';
  const changed = (event: StorageEvent) => {
    if (event.key === key || event.key === null) load();
  };
  if (listening) addEventListener('storage', changed);
  const unhook = onWake(() => {
    load();
    schedule(0);
  });
  raw = store?.getItem(key) ?? null;
  kept = parse(raw);
  schedule(0);

  return {
    get signedIn() {
      return kept !== undefined;
    },
    get id() {
      return kept?.id;
    },
    get version() {
      return version;
    },
    begin: (tokens) => begin(tokens),
    authorization,
    renew,
    restore,
    request,
    signOut: leave,
    close() {
      closed = true;
      clearTimeout(timer);
      release();
      unhook();
      if (listening) removeEventListener('storage', changed);
    },
  };
}

function refused(errors: readonly Problem[] = []): ParleyError {
  return new ParleyError(errors[0]?.message ?? 'the answer has no data', { errors });
}

/** Reads what `keep` wrote; whatever else stands there is nothing. */
function parse(raw: string | null): Kept | undefined {
  try {
    const kept: unknown = JSON.parse(raw ?? 'null');
    return typeof kept === 'object' && kept !== null && 'until' in kept ? (kept as Kept) : undefined; // only `keep` writes it
  } catch {
    return undefined;
  }
}

/** Where tabs can tell each other, if they can: browsers may forbid it. */
function shared(): Store | undefined {
  try {
    return typeof localStorage === 'object' ? localStorage : undefined;
  } catch {
    return undefined;
  }
}
