import { ApolloProvider } from '@apollo/client/react';
import { useEffect } from 'react';
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
  return (
    <ParleyContext value={parley}>
      <WholePage value={location === undefined}>
        <ApolloProvider client={parley.client}>
          <Router {...(location && { hook: location })}>
            <Toasts>{signedIn ? <SignedIn parley={parley} /> : <Gate />}</Toasts>
          </Router>
        </ApolloProvider>
      </WholePage>
    </ParleyContext>
  );
}

function SignedIn({ parley }: { parley: Parley }) {
  useEffect(() => {
    parley.live.start();
    return () => parley.live.stop();
  }, [parley]);
  return <Desk />;
}
