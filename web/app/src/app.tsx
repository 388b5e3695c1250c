import { ApolloProvider } from '@apollo/client/react';
import { Component, type ReactNode, useEffect } from 'react';
import { type BaseLocationHook, Router } from 'wouter';
import type { Parley } from './parley';
import { Desk } from './screens/desk';
import { Gate } from './screens/gate';
import { useStore } from './store';
import { ParleyContext, WholePage } from './ui/context';
import { Toasts } from './ui/toasts';

interface Props {
  /** Who uses it. */
  parley: Parley;
  /** Where it is, if not in the address bar: the `hook` of wouter's `memoryLocation`, for several on one page. */
  location?: BaseLocationHook;
}

/** The whole app of one person. */
export function App({ parley, location }: Props) {
  const signedIn = useStore(parley.signedIn);
  const looking = useStore(parley.looking);
  return (
    <ParleyContext value={parley}>
      <WholePage value={location === undefined}>
        <ApolloProvider client={parley.client}>
          <Router {...(location && { hook: location })}>
            <Boundary>
              <Toasts>{signedIn !== null ? <SignedIn key={signedIn} parley={parley} /> : looking ? <main className="empty" aria-busy="true" /> : <Gate />}</Toasts>
            </Boundary>
          </Router>
        </ApolloProvider>
      </WholePage>
    </ParleyContext>
  );
}

/** Shows something, and a way on, where the app itself is broken. */
class Boundary extends Component<{ children: ReactNode }, { broken: boolean }> {
  override state = { broken: false };

  static getDerivedStateFromError(): { broken: boolean } {
    return { broken: true };
  }

  override render(): ReactNode {
    if (!this.state.broken) return this.props.children;
    return (
      <main className="empty" role="alert">
        <h1>Something broke here</h1>
        <p>What you have sent is safe, and what waits to be sent is kept.</p>
        <button type="button" className="button primary" onClick={() => location.reload()}>
          Load it again
        </button>
      </main>
    );
  }
}

function SignedIn({ parley }: { parley: Parley }) {
  useEffect(() => {
    parley.live.start();
    return () => parley.live.stop();
  }, [parley]);
  return <Desk />;
}
