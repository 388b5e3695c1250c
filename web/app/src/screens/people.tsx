import { useApolloClient, useMutation, useQuery } from '@apollo/client/react';
import { type ReactNode, useEffect, useState } from 'react';
import { Link, useRoute } from 'wouter';
import {
  AcceptFriendRequestDocument, BlockedDocument, CancelFriendRequestDocument, FindPeopleDocument, FriendsDocument, type PersonFragment,
  RejectFriendRequestDocument, RequestsDocument,
} from '../gql/graphql';
import { explain, useAction } from '../ui/action';
import { Avatar } from '../ui/avatar';
import { useFocus } from '../ui/context';
import { Icon, Mark } from '../ui/icons';
import { short, useNow } from '../ui/time';
import { Waiting } from './conversation-list';

/** Finding people, who has asked, and who is a friend. */
export function People() {
  const [text, setText] = useState('');
  const search = useLate(text.trim());
  const heading = useFocus();
  return (
    <section className="list" aria-label="People">
      <header className="pane-head">
        <h2 ref={heading} tabIndex={-1}>People</h2>
      </header>
      <search className="people-search">
        <Icon name="search" />
        <input
          className="input"
          type="search"
          value={text}
          onChange={(event) => setText(event.target.value)}
          placeholder="Find people by name"
          aria-label="Find people by name"
          autoComplete="off"
          spellCheck={false}
        />
      </search>
      {search ? <Found search={search} /> : <Mine />}
    </section>
  );
}

/** A value once it has not changed for a moment. */
function useLate(value: string): string {
  const [late, setLate] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setLate(value), value === '' ? 0 : 200);
    return () => clearTimeout(timer);
  }, [value]);
  return late;
}

function Found({ search }: { search: string }) {
  const client = useApolloClient();
  const { data, error } = useQuery(FindPeopleDocument, { variables: { search }, fetchPolicy: 'cache-and-network' });
  const after = data?.users.pageInfo.endCursor ?? null;
  const [more, busy] = useAction(() => client.query({ query: FindPeopleDocument, variables: { search, after }, fetchPolicy: 'network-only' }));
  if (error && !data) return <p className="problem">{explain(error)}</p>;
  if (!data) return <Waiting />;
  const people = data.users.nodes;
  return (
    <div className="rows">
      <p className="hidden" role="status">
        {people.length === 0 ? 'Nobody found' : `${people.length} found`}
      </p>
      {people.length === 0 ? (
        <div className="empty">
          <h3>Nobody is called “{search}”</h3>
          <p>Names are found by how they begin. Ask your friend for their username.</p>
        </div>
      ) : (
        <ul>
          {people.map((person) => (
            <PersonRow key={person.id} person={person} note={relations[person.relationship]} />
          ))}
        </ul>
      )}
      {data.users.pageInfo.hasNextPage && (
        <button type="button" className="button wide" aria-busy={busy} onClick={() => void more()}>
          Show more
        </button>
      )}
    </div>
  );
}

const relations: Record<PersonFragment['relationship'], string> = {
  SELF: 'you',
  NONE: '',
  FRIEND: 'friend',
  REQUEST_SENT: 'asked',
  REQUEST_RECEIVED: 'asks you',
  BLOCKED: 'blocked',
};

function Mine() {
  const client = useApolloClient();
  const incoming = useQuery(RequestsDocument, { variables: { direction: 'INCOMING' } });
  const outgoing = useQuery(RequestsDocument, { variables: { direction: 'OUTGOING' } });
  const friends = useQuery(FriendsDocument);
  const blocked = useQuery(BlockedDocument);
  const after = friends.data?.friends.pageInfo.endCursor ?? null;
  const [more, busy] = useAction(() => client.query({ query: FriendsDocument, variables: { after }, fetchPolicy: 'network-only' }));
  if (!friends.data || !incoming.data || !outgoing.data) {
    const failed = friends.error ?? incoming.error ?? outgoing.error;
    return failed ? <p className="problem">{explain(failed)}</p> : <Waiting />;
  }
  const all = [...friends.data.friends.nodes].sort((a, b) => Number(isOnline(b.user)) - Number(isOnline(a.user)));
  const asked = incoming.data.friendRequests.nodes;
  const asking = outgoing.data.friendRequests.nodes;
  if (all.length + asked.length + asking.length === 0) {
    return (
      <div className="empty">
        <Mark />
        <h3>Nobody here yet</h3>
        <p>Type the beginning of a name above, and ask somebody to become friends.</p>
      </div>
    );
  }
  return (
    <div className="rows">
      <Section title="They ask you">{asked.length > 0 && asked.map((request) => <Incoming key={request.id} id={request.id} person={request.from} at={request.createdAt} />)}</Section>
      <Section title="You asked">{asking.length > 0 && asking.map((request) => <Outgoing key={request.id} id={request.id} person={request.to} />)}</Section>
      <Section title="Friends">
        {all.length > 0 && all.map(({ user }) => <PersonRow key={user.id} person={user} note="" />)}
      </Section>
      {friends.data.friends.pageInfo.hasNextPage && (
        <button type="button" className="button wide" aria-busy={busy} onClick={() => void more()}>
          Show more
        </button>
      )}
      <Section title="Blocked">
        {blocked.data && blocked.data.blockedUsers.nodes.length > 0 && blocked.data.blockedUsers.nodes.map((user) => <PersonRow key={user.id} person={user} note="blocked" />)}
      </Section>
    </div>
  );
}

function isOnline(user: PersonFragment): boolean {
  return user.presence?.status === 'ONLINE';
}

function Section({ title, children }: { title: string; children: ReactNode }) {
  if (!children) return null;
  return (
    <>
      <h3 className="rows-title">{title}</h3>
      <ul>{children}</ul>
    </>
  );
}

function PersonRow({ person, note, children }: { person: PersonFragment; note: string; children?: ReactNode }) {
  const [, here] = useRoute('/people/:id');
  const online = isOnline(person);
  return (
    <li className="person">
      <Link href={`/people/${person.id}`} className="row" aria-current={here?.id === person.id ? 'page' : undefined}>
        <Avatar id={person.id} name={person.displayName} url={person.avatarUrl} online={online} />
        <span className="row-text">
          <span className="row-top">
            <span className="row-name">{person.displayName}</span>
            {person.bot && <span className="tag">bot</span>}
            {online && <span className="hidden">, online</span>}
            {note && <span className="row-time">{note}</span>}
          </span>
          <span className="row-bottom">
            <span className="row-preview">@{person.username}</span>
          </span>
        </span>
      </Link>
      {children && <div className="person-actions">{children}</div>}
    </li>
  );
}

function Incoming({ id, person, at }: { id: string; person: PersonFragment; at: string }) {
  const now = useNow();
  const [accept, accepting] = useAnswer(AcceptFriendRequestDocument, id);
  const [reject, rejecting] = useAnswer(RejectFriendRequestDocument, id);
  return (
    <PersonRow person={person} note={short(at, now)}>
      <button type="button" className="button primary small" aria-busy={accepting} onClick={() => void accept()}>
        Accept<span className="hidden"> {person.displayName}</span>
      </button>
      <button type="button" className="button small" aria-busy={rejecting} onClick={() => void reject()}>
        Decline<span className="hidden"> {person.displayName}</span>
      </button>
    </PersonRow>
  );
}

function Outgoing({ id, person }: { id: string; person: PersonFragment }) {
  const [cancel, busy] = useAnswer(CancelFriendRequestDocument, id);
  return (
    <PersonRow person={person} note="waiting">
      <button type="button" className="button small" aria-busy={busy} onClick={() => void cancel()}>
        Take back<span className="hidden"> the request to {person.displayName}</span>
      </button>
    </PersonRow>
  );
}

type Answer = typeof AcceptFriendRequestDocument | typeof RejectFriendRequestDocument | typeof CancelFriendRequestDocument;

/** Answers a request: it leaves the lists by itself, because they show what is pending. */
export function useAnswer(document: Answer, requestId: string): ReturnType<typeof useAction<[]>> {
  const [answer] = useMutation(document as typeof AcceptFriendRequestDocument); // the three take and give the same
  return useAction(() => answer({ variables: { requestId } }));
}
