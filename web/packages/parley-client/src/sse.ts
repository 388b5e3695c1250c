import { ParleyError } from './failure.ts';
import type { Session } from './session.ts';
import { json, type Transport } from './transport.ts';

export interface StreamOptions {
  /** Milliseconds without a byte after which a stream is given up; the server sends something every 25 s. 60,000 if left out. */
  silence?: number;
  /** Send cookies, also to another origin of the same site; otherwise none is sent. */
  cookie?: boolean;
  fetch?: typeof fetch;
}

/**
 * A transport over Server-Sent Events: one request for each subscription, in the "distinct connections" mode of
 * graphql-sse. It gives up a stream on which nothing comes. Over HTTP/1.1 browsers open no more than six connections to a
 * host, all tabs together: prefer `webSocket` there.
 *
 * @param session left out: nobody is signed in
 */
export function sse(url: string, session?: Session, options: StreamOptions = {}): Transport {
  return {
    session,
    subscribe(request, sink) {
      const abort = new AbortController();
      let watch: ReturnType<typeof setTimeout> | undefined;
      const heard = () => {
        clearTimeout(watch);
        watch = setTimeout(() => abort.abort(new ParleyError('the stream fell silent')), options.silence ?? 60_000);
      };
      let over = false;
      const end = (last?: () => void) => {
        clearTimeout(watch);
        if (over) return;
        over = true;
        abort.abort();
        last?.();
      };
      const read = async (): Promise<void> => {
        heard();
        const headers: Record<string, string> = { 'content-type': 'application/json', accept: 'text/event-stream' };
        const authorization = await session?.authorization();
        if (authorization !== undefined) headers['authorization'] = authorization;
        abort.signal.throwIfAborted();
        const response = await (options.fetch ?? fetch)(url, {
          method: 'POST', headers, body: JSON.stringify(request), signal: abort.signal, cache: 'no-store',
          credentials: options.cookie ? 'include' : 'omit',
        });
        if (!response.headers.get('content-type')?.startsWith('text/event-stream')) {
          const { errors = [] } = await json(response);
          throw new ParleyError(errors[0]?.message ?? `the server answered ${response.status}`, { errors, response });
        }
        const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
        let rest = '', event = '', data = '';
        for (;;) {
          const chunk = await reader?.read();
          if (!chunk || chunk.done) throw new ParleyError('the stream was cut');
          heard();
          const lines = (rest + chunk.value).split(/\r?\n/);
          rest = lines.pop() ?? '';
          for (const line of lines) {
            if (line.startsWith('event:')) event = line.slice(6).trim();
            else if (line.startsWith('data:')) data += line.slice(5);
            else if (line === '' && event !== '') {
              if (event === 'complete') return end(() => sink.complete());
              if (event === 'next' && !over) sink.next(JSON.parse(data));
              event = data = '';
            }
          }
        }
      };
      read().catch((cause: unknown) => {
        const why: unknown = abort.signal.aborted ? abort.signal.reason : cause; // `end` aborts, too
        end(() => sink.error(why));
      });
      return () => end();
    },
  };
}
