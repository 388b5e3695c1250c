import { createStore, type Store } from '../store';
import { masked } from './mask';

/** Something that went over the wire, or happened to it. */
export type Entry = Operation | Arrival | Note;

interface Base {
  readonly id: number;
  /** Whose app. */
  readonly who: string;
  /** In milliseconds since 1970. */
  readonly at: number;
}

/** What an app asked for. */
export interface Operation extends Base {
  readonly kind: 'operation';
  readonly type: 'query' | 'mutation' | 'subscription';
  readonly name: string;
  /** The GraphQL text, as it was sent. */
  readonly query: string;
  readonly variables: Readonly<Record<string, unknown>>;
  /** `running` is a subscription for as long as it lasts. */
  readonly state: 'running' | 'done' | 'failed';
  /** How long the answer took; how long a subscription lasted. Null while it does. */
  readonly ms: number | null;
  /** The answer, or what went wrong; a subscription's answers are arrivals. */
  readonly result?: unknown;
}

/** One answer of a subscription. */
export interface Arrival extends Base {
  readonly kind: 'arrival';
  /** The id of the operation. */
  readonly of: number;
  readonly subscription: string;
  /** The type of the event, or the field of a signal (typing, presence). */
  readonly name: string;
  /** Where an event stands in the log; null for a signal, which is not in it. */
  readonly cursor: string | null;
  /** It happened before the subscription began, and makes up for what was missed. */
  readonly replayed: boolean;
  readonly data: unknown;
}

/** Something that was done to the connection. */
export interface Note extends Base {
  readonly kind: 'note';
  readonly text: string;
  /** It is there again. */
  readonly good: boolean;
}

type Draft<E> = E extends Entry ? Omit<E, 'id' | 'at'> : never;

/** How many entries are kept. */
const most = 1_000;

/** What went over the wires of all who are on the page, in the order in which it did. Secrets are masked as they come in. */
export class Log {
  readonly entries: Store<readonly Entry[]> = createStore<readonly Entry[]>([]);
  #next = 1;

  /** @returns the entry's id, for `update` */
  add(draft: Draft<Entry>): number {
    const id = this.#next++;
    const entry = masked({ ...draft, id, at: Date.now() }) as Entry; // masking keeps the shape
    this.entries.set([...this.entries.get().slice(1 - most), entry]);
    return id;
  }

  update(id: number, change: Partial<Pick<Operation, 'state' | 'ms' | 'result'>>): void {
    const clean = masked(change) as typeof change; // masking keeps the shape
    this.entries.set(this.entries.get().map((entry) => (entry.id === id ? { ...entry, ...clean } : entry)));
  }

  clear(): void {
    this.entries.set(this.entries.get().filter((entry) => entry.kind === 'operation' && entry.state === 'running'));
  }
}
