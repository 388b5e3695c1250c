const secret = /password$|token$|secret$/i;

/** What stands in the place of a secret. */
export const mask = '••••••';

/** A copy of a value of JSON in which no password or token can be read. */
export function masked(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(masked);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, secret.test(name) && typeof inner === 'string' ? mask : masked(inner)]));
}
