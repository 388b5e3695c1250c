import { useEffect, useState, useSyncExternalStore } from 'react';
import { useStore } from '../store';
import { useParley } from '../ui/context';

/** Says when what is shown may not be new: without a network, on the way back, while what was missed is coming. */
export function Connection() {
  const { live, outbox } = useParley();
  const { status, retryAt } = useStore(live.connection);
  const online = useSyncExternalStore(watchNetwork, () => navigator.onLine);
  const waiting = useStore(outbox.items).filter(({ seen, error }) => !seen && error === undefined).length;
  const lost = !online || status === 'waiting';
  // What passes within a moment is not worth telling.
  const [late, setLate] = useState(false);
  const calm = online && status === 'live';
  useEffect(() => {
    setLate(false);
    if (calm) return;
    const timer = setTimeout(() => setLate(true), 900);
    return () => clearTimeout(timer);
  }, [calm]);
  const text = calm || !late ? '' : !online ? 'You are offline.' : lost ? 'The connection is lost. Trying again…' : status === 'replaying' ? 'Catching up…' : 'Connecting…';
  const kept = text && waiting > 0 ? ` ${waiting === 1 ? 'One message waits' : `${waiting} messages wait`} to be sent.` : '';
  return (
    <div className="connection" role="status" data-state={text ? (lost ? 'lost' : 'busy') : 'fine'} data-retry-at={retryAt}>
      {text && (
        <p>
          <span className="pulse" aria-hidden="true" />
          {text}
          {kept}
        </p>
      )}
    </div>
  );
}

function watchNetwork(listener: () => void): () => void {
  addEventListener('online', listener);
  addEventListener('offline', listener);
  return () => {
    removeEventListener('online', listener);
    removeEventListener('offline', listener);
  };
}
