// A real server that can be harmed, and a cable to it that can be cut.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

/** What something is made for, and ends with: a test of Node.js is one. */
export interface Scope {
  after(clean: () => Promise<void> | void): void;
}

const binary = process.env['PARLEY_BIN'] ?? assert.fail('set PARLEY_BIN to the program, as the tests in web do');

/** A server process on a port and a database of its own. */
export class Server {
  readonly port: number;
  readonly data: string;
  readonly #settings: string[];
  #process: ChildProcess | undefined;

  static async start(t: Scope, ...settings: string[]): Promise<Server> {
    const server = new Server(await freePort(), await mkdtemp(join(tmpdir(), 'parley-client-')), settings);
    t.after(async () => {
      await server.kill();
      await rm(server.data, { recursive: true, force: true });
    });
    await server.restart();
    return server;
  }

  private constructor(port: number, data: string, settings: string[]) {
    this.port = port;
    this.data = data;
    this.#settings = settings;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}/graphql`;
  }

  /** Starts it, again if need be, and waits until it serves. */
  async restart(): Promise<void> {
    const child = spawn(
      binary,
      ['serve', '--addr', `127.0.0.1:${this.port}`, '--data', this.data, '--log-level', 'error', '--sends-per-second', '10000',
        '--sign-ins-per-user', '10000', '--sign-ins-per-addr', '10000', '--backup-every', '0s', '--sqlite-sync', 'NORMAL', ...this.#settings],
      { stdio: ['ignore', 'pipe', 'inherit'], env: {} },
    );
    this.#process = child;
    for await (const line of createInterface(child.stdout)) if (line.includes('API:')) return;
    assert.fail('the server ended instead of serving');
  }

  kill = () => this.#end('SIGKILL');
  drain = () => this.#end('SIGTERM');

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#process;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill(signal);
    await ended;
  }

  /** What the server counts. */
  async metric(name: string): Promise<number> {
    const text = await (await fetch(new URL('/metrics', this.url))).text();
    return Number(new RegExp(`^${name} (.*)$`, 'm').exec(text)?.[1]);
  }

  /** Runs another command of the program on the database, while no server does. */
  async command(...words: string[]): Promise<void> {
    const child = spawn(binary, [...words, '--data', this.data], { stdio: 'ignore', env: {} });
    assert.deepEqual(await once(child, 'exit'), [0, null]);
  }
}

/** A port to listen on again and again: not one of those that the system gives to connections meanwhile. */
async function freePort(): Promise<number> {
  for (;;) {
    const port = 12_000 + Math.floor(Math.random() * 18_000);
    const server = net.createServer();
    const free = await new Promise<boolean>((answer) => {
      server.once('error', () => answer(false)).listen(port, '127.0.0.1', () => server.close(() => answer(true)));
    });
    if (free) return port;
  }
}

/** A cable to a server: a TCP proxy that can be cut, and can swallow everything without a word. */
export class Wire {
  readonly port: number;
  readonly #server: net.Server;
  readonly #ends = new Set<net.Socket>();
  #broken = false;
  /** Bytes a second, each way; 0: no limit. For connections that are made from now on. */
  rate = 0;
  /** Connections that were made. */
  count = 0;

  static async to(t: Scope, server: Server): Promise<Wire> {
    const listener = net.createServer().listen(0, '127.0.0.1');
    await once(listener, 'listening');
    const address = listener.address();
    assert(address !== null && typeof address === 'object');
    const wire = new Wire(listener, address.port, server.port);
    t.after(() => wire.close());
    return wire;
  }

  private constructor(server: net.Server, port: number, target: number) {
    this.port = port;
    this.#server = server;
    server.on('connection', (near) => {
      if (this.#broken) return near.destroy();
      this.count++;
      const far = net.connect({ port: target, host: '127.0.0.1' });
      for (const [from, into] of [[near, far], [far, near]] as const) {
        this.#ends.add(from);
        const { rate } = this;
        from.on('data', (chunk) => {
          into.write(chunk);
          if (rate === 0) return;
          from.pause();
          setTimeout(() => from.resume(), (chunk.length / rate) * 1000);
        });
        from.on('error', () => {}); // `close` follows
        from.on('close', () => {
          this.#ends.delete(from);
          into.destroy();
        });
      }
      return undefined;
    });
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}/graphql`;
  }

  /** Ends all connections, and refuses others until it is mended. */
  cut(): void {
    this.#broken = true;
    for (const end of this.#ends) end.destroy();
  }

  mend(): void {
    this.#broken = false;
  }

  /** From now on nothing passes through the connections that there are, and nobody is told. */
  starve(): void {
    for (const end of this.#ends) end.removeAllListeners('data').pause();
  }

  close(): void {
    this.cut();
    this.#server.close();
  }
}
