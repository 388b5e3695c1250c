declare const opaque: unique symbol;

/** A place in the log: kept and sent back, never read or made. */
export type Cursor = string & { readonly [opaque]: 'Cursor' };

/** An instant, RFC 3339 in UTC. `new Date` reads it. */
export type Time = string;

/** Hours and minutes: `22:00`. */
export type ClockTime = `${number}${number}:${number}${number}`;
