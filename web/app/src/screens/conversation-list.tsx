import { useApolloClient, useQuery } from '@apollo/client/react';
import { memo, useEffect, useRef, useState } from 'react';
import { Link, useRoute } from 'wouter';
import { type ConversationItemFragment, MoreConversationsDocument, StartDocument } from '../gql/graphql';
import { typingText, useTyping } from '../live/typing';
import { useAction } from '../ui/action';
import { Avatar } from '../ui/avatar';
import { useFocus, useMe } from '../ui/context';
import { Icon, Mark } from '../ui/icons';
import { full, short, useNow } from '../ui/time';
import { NewGroup } from './new-group';

/** How many conversations are asked who is typing there: each is a subscription. */
const watched = 20;

/** What a conversation is called: a group's title, or the other one's name. */
export function nameOf(conversation: Pick<ConversationItemFragment, 'title' | 'peer'>): string {
  return conversation.title ?? conversation.peer?.displayName ?? 'Conversation';
}

export function ConversationList() {
  const { data } = useQuery(StartDocument, { fetchPolicy: 'cache-only' });
  const client = useApolloClient();
  const heading = useFocus();
  const [making, setMaking] = useState(false);
  const end = useRef<HTMLLIElement>(null);
  const page = data?.conversations.pageInfo;
  const [more, busy] = useAction(() => client.query({ query: MoreConversationsDocument, variables: { after: page?.endCursor ?? null }, fetchPolicy: 'network-only' }));
  const further = page?.hasNextPage ?? false;
  useEffect(() => {
    if (!end.current || !further || busy) return;
    const observer = new IntersectionObserver(([entry]) => entry?.isIntersecting && void more());
    observer.observe(end.current);
    return () => observer.disconnect();
  }, [further, busy, more]);
  return (
    <section className="list" aria-label="Chats">
      <header className="pane-head">
        <h2 ref={heading} tabIndex={-1}>Chats</h2>
        <button type="button" className="icon-button" title="New group" onClick={() => setMaking(true)}>
          <Icon name="plus" />
          <span className="hidden">New group</span>
        </button>
      </header>
      {making && <NewGroup onClose={() => setMaking(false)} />}
      {!data ? (
        <Waiting />
      ) : data.conversations.nodes.length === 0 ? (
        <div className="empty">
          <Mark />
          <h3>No conversations yet</h3>
          <p>Make a friend, and the two of you have one. Groups are made from friends.</p>
          <Link href="/friends" className="button primary">
            Find people
          </Link>
        </div>
      ) : (
        <ul className="rows">
          {data.conversations.nodes.map((conversation, index) => (
            <Row key={conversation.id} conversation={conversation} watch={index < watched} />
          ))}
          {further && <li ref={end} className="rows-end skeleton" />}
        </ul>
      )}
    </section>
  );
}

export function Waiting() {
  return (
    <ul className="rows" aria-busy="true" aria-label="Loading">
      {[62, 45, 70, 52, 38].map((width) => (
        <li key={width} className="row" aria-hidden="true">
          <span className="skeleton round row-face" />
          <span className="row-text">
            <span className="skeleton row-line" style={{ width: `${width}%` }} />
            <span className="skeleton row-line thin" style={{ width: `${width / 2 + 35}%` }} />
          </span>
        </li>
      ))}
    </ul>
  );
}

const Row = memo(function Row({ conversation, watch }: { conversation: ConversationItemFragment; watch: boolean }) {
  const me = useMe();
  const now = useNow();
  const [, here] = useRoute('/conversations/:id/:more?');
  const typing = typingText(useTyping(conversation.id, watch));
  const { id, kind, peer, lastMessage, unreadCount } = conversation;
  const name = nameOf(conversation);
  const who = lastMessage && (lastMessage.sender.id === me ? 'You: ' : kind === 'GROUP' ? `${lastMessage.sender.displayName}: ` : '');
  const silent = conversation.notificationLevel === 'NONE' || (conversation.mutedUntil !== null && Date.parse(conversation.mutedUntil) > now);
  return (
    <li>
      <Link href={`/conversations/${id}`} className="row" aria-current={here?.id === id ? 'page' : undefined}>
        <Avatar
          id={peer?.id ?? id}
          name={name}
          url={peer ? peer.avatarUrl : conversation.avatarUrl}
          group={kind === 'GROUP'}
          online={peer?.presence?.status === 'ONLINE'}
        />
        <span className="row-text">
          <span className="row-top">
            <span className="row-name">{name}</span>
            {peer?.presence?.status === 'ONLINE' && <span className="hidden">, online</span>}
            {silent && <Icon name="muted" />}
            <time className="row-time" dateTime={conversation.updatedAt} title={full(conversation.updatedAt)}>
              {short(conversation.updatedAt, now)}
            </time>
          </span>
          <span className="row-bottom">
            <span className={typing ? 'row-preview typing' : 'row-preview'}>
              {typing ? `${kind === 'GROUP' ? typing : 'typing'}…` : lastMessage ? `${who}${lastMessage.body}` : kind === 'GROUP' ? 'A new group' : 'Say hello'}
            </span>
            {unreadCount > 0 && (
              <span className="badge">
                {unreadCount > 99 ? '99+' : unreadCount}
                <span className="hidden"> unread</span>
              </span>
            )}
          </span>
        </span>
      </Link>
    </li>
  );
});
