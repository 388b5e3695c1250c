import { useApolloClient, useMutation, useQuery } from '@apollo/client/react';
import { useState } from 'react';
import { RevokeSessionDocument, SessionsDocument, type SessionItemFragment } from '../gql/graphql';
import { useParley } from '../ui/context';
import { codeOf, explain, useAction } from '../ui/action';
import { Dialog } from '../ui/dialog';
import { Icon } from '../ui/icons';
import { full, since, useNow } from '../ui/time';
import { deviceOf, isPhone } from './device';
import { Card, Page, Pending } from './page';

/** Where the viewer is signed in, and ending that elsewhere. */
export function Sessions() {
  const client = useApolloClient();
  const { data, error, refetch } = useQuery(SessionsDocument, { fetchPolicy: 'cache-and-network' });
  const end = useEnd();
  const [asking, setAsking] = useState(false);
  const all = data?.sessions.nodes ?? [];
  const page = data?.sessions.pageInfo;
  const here = all.filter((session) => session.current);
  const others = all.filter((session) => !session.current);
  const [more, busy] = useAction(() => client.query({ query: SessionsDocument, variables: { after: page?.endCursor ?? null }, fetchPolicy: 'network-only' }));
  const [endAll, ending] = useAction(async () => {
    for (const { id } of others) await end(id);
    setAsking(false);
  });
  return (
    <Page title="Sessions" about="Where you are signed in. If one of them is not you, end it and change your password.">
      {!data ? (
        <Pending problem={error && explain(error)} retry={() => void refetch()} />
      ) : (
        <>
          <Card title="This device">
            <ul className="sessions">
              {here.map((session) => (
                <Row key={session.id} session={session} />
              ))}
            </ul>
          </Card>
          <Card title="Other devices">
            {others.length === 0 ? (
              <p className="settings-about">You are signed in nowhere else.</p>
            ) : (
              <ul className="sessions">
                {others.map((session) => (
                  <Row key={session.id} session={session} end={end} />
                ))}
              </ul>
            )}
            {page?.hasNextPage && (
              <button type="button" className="button wide" aria-busy={busy} onClick={() => void more()}>
                Show more
              </button>
            )}
            {others.length > 1 && (
              <div>
                <button type="button" className="button danger" onClick={() => setAsking(true)}>
                  Sign out all others
                </button>
              </div>
            )}
          </Card>
        </>
      )}
      {asking && (
        <Dialog title="Sign out all others?" confirm="Sign them out" danger busy={ending} onConfirm={() => void endAll()} onClose={() => setAsking(false)}>
          <p>Every device but this one has to sign in again, with your password.</p>
        </Dialog>
      )}
    </Page>
  );
}

/** Ends a session; one that is over already is what was wanted. */
function useEnd(): (id: string) => Promise<void> {
  const { live } = useParley();
  const [revoke] = useMutation(RevokeSessionDocument, { fetchPolicy: 'no-cache' });
  return async (sessionId) => {
    let cursor = '';
    try {
      cursor = (await revoke({ variables: { sessionId } })).data?.revokeSession.cursor ?? '';
    } catch (cause) {
      if (codeOf(cause) !== 'NOT_FOUND') throw cause;
    }
    live.apply({ __typename: 'SessionEnded', cursor, at: new Date().toISOString(), sessionId });
  };
}

function Row({ session, end }: { session: SessionItemFragment; end?: (id: string) => Promise<void> }) {
  const now = useNow();
  const { id, userAgent, address, createdAt, lastUsedAt } = session;
  const [run, ending] = useAction(async () => end?.(id));
  const device = deviceOf(userAgent);
  return (
    <li className="session">
      <span className="session-face" title={userAgent}>
        <Icon name={isPhone(userAgent) ? 'phone' : 'desk'} />
      </span>
      <div className="session-text">
        <p>{device}</p>
        <p className="settings-about">
          {address && <>{address} · </>}
          {end ? <>used {since(lastUsedAt, now)} · </> : null}
          signed in <time dateTime={createdAt} title={full(createdAt)}>{since(createdAt, now)}</time>
        </p>
      </div>
      {end && (
        <button type="button" className="button small" aria-busy={ending} onClick={() => void run()}>
          End<span className="hidden"> the session of {device}, signed in {full(createdAt)}</span>
        </button>
      )}
    </li>
  );
}
