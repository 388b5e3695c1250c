import { useMutation, useQuery } from '@apollo/client/react';
import { useState } from 'react';
import { Link, useLocation } from 'wouter';
import {
  AcceptFriendRequestDocument, BlockUserDocument, CancelFriendRequestDocument, FriendsDocument, OnePersonDocument, type OnePersonQuery,
  RejectFriendRequestDocument, RemoveFriendDocument, RequestsDocument, SendFriendRequestDocument, UnblockUserDocument,
} from '../gql/graphql';
import { codeOf, explain, useAction } from '../ui/action';
import { Avatar } from '../ui/avatar';
import { useScreen } from '../ui/context';
import { Dialog } from '../ui/dialog';
import { Icon, Mark } from '../ui/icons';
import { since, useNow } from '../ui/time';
import { useAnswer } from './people';
import './person.css';

type Shown = OnePersonQuery['user'];

/** Somebody, and what one can do about them. */
export function Person({ id }: { id: string }) {
  const { data, error, refetch } = useQuery(OnePersonDocument, { variables: { id } });
  const heading = useScreen(data?.user.displayName ?? '');
  const now = useNow();
  if (!data) {
    return (
      <div className="empty" aria-busy={!error}>
        {error ? <Mark /> : <span className="skeleton round person-waiting" />}
        <h1 ref={heading} tabIndex={-1}>
          {error ? (codeOf(error) === 'NOT_FOUND' ? 'There is no such person' : explain(error)) : <span className="hidden">Loading</span>}
        </h1>
        {error && codeOf(error) !== 'NOT_FOUND' && (
          <button type="button" className="button primary" onClick={() => void refetch()}>
            Try again
          </button>
        )}
      </div>
    );
  }
  const { user } = data;
  const online = user.presence?.status === 'ONLINE';
  const seen = user.presence?.lastSeenAt;
  return (
    <section className="person-screen">
      <Link href="/friends" className="icon-button only-narrow">
        <Icon name="back" />
        <span className="hidden">Back to people</span>
      </Link>
      <div className="person-card">
        <Avatar id={id} name={user.displayName} url={user.picture} size="7rem" online={online} />
        <h1 ref={heading} tabIndex={-1}>
          {user.displayName}
        </h1>
        <p className="person-line">
          @{user.username}
          {user.bot && <span className="tag">bot</span>}
          {online ? ' · online' : seen ? ` · last seen ${since(seen, now)}` : ''}
        </p>
        {user.bio && <p className="person-bio">{user.bio}</p>}
        <Actions user={user} />
        <p className="person-since">Here since {new Date(user.createdAt).toLocaleDateString(undefined, { month: 'long', year: 'numeric' })}</p>
      </div>
    </section>
  );
}

function Actions({ user }: { user: Shown }) {
  const variables = { userId: user.id };
  const refetchQueries = [{ query: OnePersonDocument, variables: { id: user.id } }]; // how the two stand now
  const [ask, asking] = useAction(useMutation(SendFriendRequestDocument, { variables, refetchQueries })[0]);
  const [block, blocking] = useAction(useMutation(BlockUserDocument, { variables })[0]);
  const [unblock, unblocking] = useAction(useMutation(UnblockUserDocument, { variables })[0]);
  const [unfriend, unfriending] = useAction(useMutation(RemoveFriendDocument, { variables })[0]);
  const [sure, setSure] = useState<'block' | 'unfriend' | null>(null);
  const blockButton = (
    <button type="button" className="button danger" onClick={() => setSure('block')}>
      Block
    </button>
  );
  return (
    <div className="person-buttons">
      {user.relationship === 'FRIEND' && (
        <>
          <OpenChat userId={user.id} />
          <button type="button" className="button" onClick={() => setSure('unfriend')}>
            End the friendship
          </button>
          {blockButton}
        </>
      )}
      {user.relationship === 'NONE' && (
        <>
          <button type="button" className="button primary" aria-busy={asking} onClick={() => void ask()}>
            Ask to become friends
          </button>
          {blockButton}
        </>
      )}
      {user.relationship === 'REQUEST_SENT' && <Sent userId={user.id} />}
      {user.relationship === 'REQUEST_RECEIVED' && (
        <>
          <Received userId={user.id} />
          {blockButton}
        </>
      )}
      {user.relationship === 'BLOCKED' && (
        <button type="button" className="button" aria-busy={unblocking} onClick={() => void unblock()}>
          Unblock
        </button>
      )}
      {user.relationship === 'SELF' && (
        <Link href="/settings/general" className="button">
          Settings
        </Link>
      )}
      {sure === 'block' && (
        <Dialog
          title={`Block ${user.displayName}?`}
          confirm="Block"
          danger
          busy={blocking}
          onConfirm={() => void block().then((done) => done && setSure(null))}
          onClose={() => setSure(null)}
        >
          <p>They can neither ask you nor write to you, and are not told. If you are friends, that ends.</p>
        </Dialog>
      )}
      {sure === 'unfriend' && (
        <Dialog
          title={`End the friendship with ${user.displayName}?`}
          confirm="End it"
          danger
          busy={unfriending}
          onConfirm={() => void unfriend().then((done) => done && setSure(null))}
          onClose={() => setSure(null)}
        >
          <p>What you wrote to each other stays, but nothing new can be said.</p>
        </Dialog>
      )}
    </div>
  );
}

function OpenChat({ userId }: { userId: string }) {
  const { data } = useQuery(FriendsDocument);
  const [, navigate] = useLocation();
  const id = data?.friends.nodes.find(({ user }) => user.id === userId)?.conversation.id;
  return (
    <button type="button" className="button primary" disabled={!id} onClick={() => navigate(`/conversations/${id}`)}>
      Write
    </button>
  );
}

function Sent({ userId }: { userId: string }) {
  const { data } = useQuery(RequestsDocument, { variables: { direction: 'OUTGOING' } });
  const [cancel, busy] = useAnswer(CancelFriendRequestDocument, data?.friendRequests.nodes.find(({ to }) => to.id === userId)?.id ?? '');
  return (
    <button type="button" className="button" aria-busy={busy || !data} onClick={() => void cancel()}>
      Take the request back
    </button>
  );
}

function Received({ userId }: { userId: string }) {
  const { data } = useQuery(RequestsDocument, { variables: { direction: 'INCOMING' } });
  const request = data?.friendRequests.nodes.find(({ from }) => from.id === userId)?.id ?? '';
  const [accept, accepting] = useAnswer(AcceptFriendRequestDocument, request);
  const [reject, rejecting] = useAnswer(RejectFriendRequestDocument, request);
  return (
    <>
      <button type="button" className="button primary" aria-busy={accepting} onClick={() => void accept()}>
        Accept
      </button>
      <button type="button" className="button" aria-busy={rejecting} onClick={() => void reject()}>
        Decline
      </button>
    </>
  );
}
