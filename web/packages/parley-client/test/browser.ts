// What the README's snippets find in a browser, and Node.js 20 does not have.
import WebSocket from 'ws';

const items = new Map<string, string>();
Object.assign(globalThis, {
  WebSocket,
  addEventListener() {},
  removeEventListener() {},
  localStorage: {
    getItem: (key: string) => items.get(key) ?? null,
    setItem: (key: string, value: string) => void items.set(key, value),
    removeItem: (key: string) => void items.delete(key),
  },
});
