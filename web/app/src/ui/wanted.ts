import { useRef, useState } from 'react';
import { useAction } from './action';

/**
 * A value that shows what is wanted at once, and is stored meanwhile. Of several that follow fast the last one wins; what
 * could not be stored goes back, and a toast tells why.
 *
 * @param store rejects when it could not be stored
 */
export function useWanted<T>(stored: T, store: (value: T) => Promise<unknown>): [shown: T, want: (value: T) => void] {
  const [wanted, setWanted] = useState<{ value: T } | null>(null);
  const last = useRef(stored);
  const [run] = useAction(async () => {
    try {
      let sent: T;
      do {
        sent = last.current;
        await store(sent);
      } while (!Object.is(sent, last.current));
    } finally {
      setWanted(null);
    }
  });
  const want = (value: T) => {
    last.current = value;
    setWanted({ value });
    void run(); // one that runs already takes the last
  };
  return [wanted ? wanted.value : stored, want];
}
