/**
 * Subscriptions to a Parley server that resume exactly where they were, and the sessions they need.
 *
 * @module
 */
export { ParleyError } from './failure.ts';
export { type Detail, type Event, type Handlers, type Options, resume, type Status, type Subscription } from './resume.ts';
export { createSession, type Ending, type Session, type SessionOptions, type Store, type Tokens } from './session.ts';
export { sse, type StreamOptions } from './sse.ts';
export type { Problem, Request, Result, Sink, Transport } from './transport.ts';
export type { Retry } from './wait.ts';
export { type SocketClass, type SocketClient, type SocketClientOptions, type SocketOptions, webSocket } from './websocket.ts';
