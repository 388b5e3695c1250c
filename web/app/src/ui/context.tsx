import { createContext, type RefObject, useContext, useEffect, useRef } from 'react';
import type { Parley } from '../parley';
import { createStore, useStore } from '../store';

export const ParleyContext = createContext<Parley | null>(null);

/** The person who is signed in here, and everything that is theirs. */
export function useParley(): Parley {
  const parley = useContext(ParleyContext);
  if (!parley) throw new Error('outside of App');
  return parley;
}

/** The viewer's id; empty before the first answer. */
export function useMe(): string {
  return useStore(useParley().live.me) ?? '';
}

/** Whether this app has the whole page to itself, and so its title and the focus. */
export const WholePage = createContext(true);

/** What the screen is called: the page's title begins with it. */
export const screenTitle = createStore('');

/**
 * Names the screen, and puts the focus on its heading when somebody has come here from another.
 *
 * @returns for the heading
 */
export function useScreen(title: string): RefObject<HTMLHeadingElement | null> {
  const whole = useContext(WholePage);
  useEffect(() => {
    if (whole) screenTitle.set(title);
  }, [title, whole]);
  return useFocus();
}

let arrived = false; // the first screen leaves the focus where the browser has it

/**
 * Puts the focus on a heading as it appears, unless it is the first thing that does.
 *
 * @returns for the heading
 */
export function useFocus(): RefObject<HTMLHeadingElement | null> {
  const ref = useRef<HTMLHeadingElement>(null);
  const whole = useContext(WholePage);
  useEffect(() => {
    if (arrived && whole) ref.current?.focus({ preventScroll: true });
    const timer = setTimeout(() => (arrived = true), 500); // what appears with it is of the same screen
    return () => clearTimeout(timer);
  }, [whole]);
  return ref;
}
