import { spread } from '../spread';
import { passing } from '../ui/action';

/** What is looked at for less than this is not read, in milliseconds. */
const glance = 250;
/** So long apart at least, in milliseconds: everybody in the conversation is told. */
const pause = 1_000;

/** Marks as read what somebody looks at in one conversation, and again for as long as that fails for a reason that may pass. */
export class Reading {
  readonly #mark: (upTo: number) => Promise<void>;
  #upTo: number | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined; // defined while it waits
  #busy = false;
  #woken = false; // while an attempt was under way: it may have waited for an answer that was lost
  #failures = 0;
  #until = 0; // no attempt is made before, as `performance.now` counts: not even when more is to be marked

  constructor(mark: (upTo: number) => Promise<void>) {
    this.#mark = mark;
  }

  /** @param upTo the `seq` of the last message; null while nobody looks, or all is marked */
  reads(upTo: number | null): void {
    this.#upTo = upTo;
    if (upTo === null) {
      clearTimeout(this.#timer);
      this.#timer = undefined;
    } else if (!this.#busy) {
      this.#timer ??= setTimeout(() => void this.#attempt(), Math.max(glance, this.#until - performance.now()));
    }
  }

  /** The server can be reached again: what has failed is tried anew. */
  wake(): void {
    this.#woken = true;
    if (this.#failures === 0) return;
    this.#until = 0;
    if (this.#timer === undefined) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.reads(this.#upTo);
  }

  async #attempt(): Promise<void> {
    const upTo = this.#upTo;
    this.#timer = undefined;
    if (upTo === null) return;
    this.#busy = true;
    this.#woken = false;
    let [wait, again] = [pause, false];
    try {
      await this.#mark(upTo);
      this.#failures = 0;
    } catch (cause) {
      again = passing(cause);
      if (again) wait = this.#woken ? 0 : spread(this.#failures++);
    }
    this.#busy = false;
    this.#until = performance.now() + wait;
    if (again || this.#upTo !== upTo) this.reads(this.#upTo);
  }
}
