import { useFragment, useQuery } from '@apollo/client/react';
import { useEffect, useState } from 'react';
import { Link } from 'wouter';
import { ConversationDocument, type ConversationQuery, CountedFragmentDoc } from '../gql/graphql';
import { insist } from '../insist';
import type { Stretch } from '../live/history';
import { typingText, useTyping } from '../live/typing';
import { useStore } from '../store';
import { codeOf, explain, useAction } from '../ui/action';
import { Avatar } from '../ui/avatar';
import { useParley, useScreen } from '../ui/context';
import { Icon, Mark } from '../ui/icons';
import { since, useNow } from '../ui/time';
import { Composer } from './composer';
import { Connection } from './connection';
import { nameOf } from './conversation-list';
import { Messages } from './messages';
import './conversation.css';

/** One conversation: what was said, and where to say something. */
export function Conversation({ id }: { id: string }) {
  const { client, live: { connection, history } } = useParley();
  const { data } = useQuery(ConversationDocument, { variables: { id }, fetchPolicy: 'cache-only' });
  const known = useFragment({ fragment: CountedFragmentDoc, fragmentName: 'Counted', from: { __typename: 'Conversation', id } });
  const role = known.complete ? known.data.role : undefined;
  const stretch = useStore(history.of(id));
  const [failure, setFailure] = useState<unknown>(null);
  const [tries, setTries] = useState(0);
  const unsaid = !stretch;
  const missing = role !== null && (!data || unsaid);
  useEffect(() => {
    setFailure(null);
    if (!missing) return;
    const fetch = () => Promise.all([client.query({ query: ConversationDocument, variables: { id } }), history.of(id).get() ?? history.load(id, 'newest')]);
    return insist(fetch, connection, setFailure);
    // `unsaid`, too: what has just come may be dropped before `data` has it, and its messages are dropped with it.
  }, [client, connection, history, id, missing, unsaid, tries]);
  useEffect(() => {
    if (role && failure) setTries((before) => before + 1); // what was refused has become the viewer's
  }, [role]);
  if (role === null) return <Missing title="You are not in this group any more" text="Somebody has removed you, you have left, or it was deleted." />;
  if (data && stretch) return <Open conversation={data.conversation} stretch={stretch} />;
  if (!failure) return <Loading />;
  if (codeOf(failure) === 'NOT_FOUND') return <Missing title="No such conversation" text="It is gone, or you are not in it." />;
  return <Missing title="It cannot be shown" text={explain(failure)} retry={() => setTries(tries + 1)} />;
}

function Open({ conversation, stretch }: { conversation: ConversationQuery['conversation']; stretch: Stretch }) {
  const { history } = useParley().live;
  const { id } = conversation;
  const { nodes, pageInfo } = stretch;
  const fromTheStart = useFromTheStart(id);
  const number = useStretch(nodes[0]?.seq ?? 0, nodes.at(-1)?.seq ?? 0);
  const [older] = useAction(() => history.load(id, 'older'));
  const [newer] = useAction(() => history.load(id, 'newer'));
  const [newest] = useAction(() => history.load(id, 'newest'));
  return (
    <div className="conversation">
      <Head conversation={conversation} />
      <Messages key={`${number} ${fromTheStart}`} conversation={conversation} stretch={stretch} fromTheStart={fromTheStart > 0 && nodes[0]?.seq === 1} older={older} newer={newer} newest={newest} />
      <Typing id={id} />
      <Composer conversation={conversation} sent={() => pageInfo.hasNextPage && void newest()} />
    </div>
  );
}

/** How often it was asked, while it is open, to see the conversation from its first message on. */
function useFromTheStart(id: string): number {
  const { fromTheStart } = useParley();
  const asked = useStore(fromTheStart);
  const [seen, setSeen] = useState({ asked: null as typeof asked, times: 0 });
  useEffect(() => () => fromTheStart.set(null), [fromTheStart]);
  if (asked === seen.asked) return seen.times;
  const next = { asked, times: seen.times + (asked?.id === id ? 1 : 0) };
  setSeen(next);
  return next.times;
}

/** Tells apart stretches of history that do not touch: the list of one begins anew with the next. */
function useStretch(first: number, last: number): number {
  const [shown, setShown] = useState({ number: 0, first, last });
  if (shown.first === first && shown.last === last) return shown.number;
  const apart = shown.last > 0 && (first > shown.last + 1 || last < shown.first - 1);
  const next = { number: shown.number + (apart ? 1 : 0), first, last };
  setShown(next);
  return next.number;
}

function Head({ conversation }: { conversation: ConversationQuery['conversation'] }) {
  const { id, kind, peer, memberCount } = conversation;
  const name = nameOf(conversation);
  const heading = useScreen(name);
  const now = useNow();
  const online = peer?.presence?.status === 'ONLINE';
  const seen = peer?.presence?.lastSeenAt;
  const line = kind === 'GROUP' ? `${memberCount} ${memberCount === 1 ? 'member' : 'members'}` : online ? 'online' : seen ? `last seen ${since(seen, now)}` : peer ? `@${peer.username}` : '';
  return (
    <header className="conversation-head">
      <div className="conversation-bar">
        <Link href="/" className="icon-button only-narrow">
          <Icon name="back" />
          <span className="hidden">Back to all chats</span>
        </Link>
        <Avatar id={peer?.id ?? id} name={name} url={peer ? peer.avatarUrl : conversation.avatarUrl} group={kind === 'GROUP'} online={online} />
        <div className="conversation-name">
          <h1 ref={heading} tabIndex={-1}>
            {name}
          </h1>
          <p>{line}</p>
        </div>
        <Link href={`/conversations/${id}/details`} className="icon-button" title="Details">
          <Icon name="info" />
          <span className="hidden">Details of {name}</span>
        </Link>
      </div>
      <div className="only-narrow">
        <Connection />
      </div>
    </header>
  );
}

function Typing({ id }: { id: string }) {
  const text = typingText(useTyping(id));
  return (
    <p className="typing-line" role="status">
      {text && (
        <>
          <span className="typing-dots" aria-hidden="true">
            <i />
            <i />
            <i />
          </span>
          {text}
        </>
      )}
    </p>
  );
}

function Loading() {
  const heading = useScreen('');
  return (
    <div className="conversation" aria-busy="true">
      <header className="conversation-head">
        <div className="conversation-bar">
          <span className="skeleton round row-face" />
          <h1 ref={heading} tabIndex={-1} className="hidden">
            Loading
          </h1>
          <span className="skeleton conversation-waiting-name" />
        </div>
      </header>
      <div className="conversation-waiting" aria-hidden="true">
        {[30, 55, 40, 25, 60, 35].map((width, index) => (
          <span key={width} className={index % 3 === 2 ? 'skeleton mine' : 'skeleton'} style={{ width: `${width}%` }} />
        ))}
      </div>
    </div>
  );
}

function Missing({ title, text, retry }: { title: string; text: string; retry?: () => void }) {
  const heading = useScreen(title);
  return (
    <div className="empty">
      <Mark />
      <h1 ref={heading} tabIndex={-1}>
        {title}
      </h1>
      <p>{text}</p>
      {retry ? (
        <button type="button" className="button primary" onClick={retry}>
          Try again
        </button>
      ) : (
        <Link href="/" className="button">
          All chats
        </Link>
      )}
    </div>
  );
}
