import { createContext, type ReactNode, useCallback, useContext, useEffect, useMemo, useState } from 'react';

interface Toast {
  id: number;
  text: string;
  retry?: () => void;
}

type Show = (text: string, retry?: () => void) => void;

const Context = createContext<Show>(() => {});

/** Tells what went wrong, for a while; with something to try again if there is. */
export function useToast(): Show {
  return useContext(Context);
}

export function Toasts({ children }: { children: ReactNode }) {
  const [toasts, setToasts] = useState<readonly Toast[]>([]);
  const drop = useCallback((id: number) => setToasts((all) => all.filter((toast) => toast.id !== id)), []);
  const show = useMemo<Show>(() => {
    let next = 0;
    return (text, retry) => {
      const toast = { id: next++, text, ...(retry && { retry }) };
      setToasts((all) => [...all.filter((other) => other.text !== text).slice(-2), toast]);
    };
  }, []);
  return (
    <Context value={show}>
      {children}
      <div className="toasts" role="region" aria-label="Messages of the app" aria-live="assertive">
        {toasts.map((toast) => (
          <Item key={toast.id} toast={toast} drop={drop} />
        ))}
      </div>
    </Context>
  );
}

function Item({ toast: { id, text, retry }, drop }: { toast: Toast; drop(id: number): void }) {
  const [held, setHeld] = useState(false);
  useEffect(() => {
    if (held) return;
    const timer = setTimeout(() => drop(id), 9_000);
    return () => clearTimeout(timer);
  }, [held, id, drop]);
  return (
    <div className="toast" onMouseEnter={() => setHeld(true)} onMouseLeave={() => setHeld(false)} onFocus={() => setHeld(true)} onBlur={() => setHeld(false)}>
      <span>{text}</span>
      {retry && (
        <button
          type="button"
          onClick={() => {
            drop(id);
            retry();
          }}
        >
          Try again
        </button>
      )}
      <button type="button" onClick={() => drop(id)}>
        Dismiss
      </button>
    </div>
  );
}
