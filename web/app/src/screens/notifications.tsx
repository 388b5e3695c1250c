import { useApolloClient, useMutation, useQuery } from '@apollo/client/react';
import type { ReactNode } from 'react';
import { Link } from 'wouter';
import { MarkAllNotificationsReadDocument, MarkNotificationReadDocument, type NotificationItemFragment, NotificationsDocument, StartDocument } from '../gql/graphql';
import { explain, useAction } from '../ui/action';
import { Avatar } from '../ui/avatar';
import { useFocus, useParley } from '../ui/context';
import { Icon, Mark } from '../ui/icons';
import { full, short, useNow } from '../ui/time';
import { Waiting } from './conversation-list';
import { leadsTo } from './leads-to';
import './notifications.css';

/** What the viewer was told, the newest first. */
export function NotificationList() {
  const client = useApolloClient();
  const { live } = useParley();
  const { data, error, refetch } = useQuery(NotificationsDocument);
  const start = useQuery(StartDocument, { fetchPolicy: 'cache-only' });
  const after = data?.notifications.pageInfo.endCursor ?? null;
  const [more, busy] = useAction(() => client.query({ query: NotificationsDocument, variables: { after }, fetchPolicy: 'network-only' }));
  const [markOne] = useMutation(MarkNotificationReadDocument, { fetchPolicy: 'no-cache' });
  const [markAll] = useMutation(MarkAllNotificationsReadDocument, { fetchPolicy: 'no-cache' });
  // The answers are applied as the events that say the same, which come to the viewer's other devices.
  const [read] = useAction(async (notificationId: string) => {
    const { data } = await markOne({ variables: { notificationId } });
    if (!data) return;
    const { cursor, unreadCount, notification } = data.markNotificationRead;
    live.apply({ __typename: 'NotificationRead', cursor, at: notification.readAt ?? new Date().toISOString(), notificationId, unreadCount });
  });
  const [readAll, reading] = useAction(async (through: string) => {
    const { data } = await markAll({ variables: { through } });
    if (!data) return;
    const { cursor, unreadCount } = data.markAllNotificationsRead;
    live.apply({ __typename: 'NotificationsRead', cursor, at: new Date().toISOString(), through, unreadCount });
  });
  const heading = useFocus();
  const unread = start.data?.unreadNotificationCount ?? 0;
  const all = data?.notifications.nodes;
  const newest = all?.[0]?.id;
  return (
    <section className="list" aria-label="Notifications">
      <header className="pane-head">
        <h2 ref={heading} tabIndex={-1}>
          Notifications
        </h2>
        {unread > 0 && newest !== undefined && (
          <button type="button" className="button small" aria-busy={reading} onClick={() => void readAll(newest)}>
            Mark all read
          </button>
        )}
        <Link href="/settings/notifications" className="icon-button" title="What you are told">
          <Icon name="settings" />
          <span className="hidden">Choose what you are told</span>
        </Link>
      </header>
      {!all ? (
        error ? (
          <div className="empty">
            <p>{explain(error)}</p>
            <button type="button" className="button" onClick={() => void refetch()}>
              Try again
            </button>
          </div>
        ) : (
          <Waiting />
        )
      ) : all.length === 0 ? (
        <div className="empty">
          <Mark />
          <h3>Nothing yet</h3>
          <p>Requests, new groups and messages that name you appear here.</p>
        </div>
      ) : (
        <div className="rows">
          <ul>
            {all.map((notification) => (
              <Row key={notification.id} notification={notification} read={read} />
            ))}
          </ul>
          {data?.notifications.pageInfo.hasNextPage && (
            <button type="button" className="button wide" aria-busy={busy} onClick={() => void more()}>
              Show more
            </button>
          )}
        </div>
      )}
    </section>
  );
}

function Row({ notification, read }: { notification: NotificationItemFragment; read(id: string): Promise<boolean> }) {
  const now = useNow();
  const { id, actor, createdAt, readAt, message } = notification;
  const href = leadsTo(notification);
  const mark = () => {
    if (readAt === null) void read(id);
  };
  const content = (
    <>
      <Avatar id={actor.id} name={actor.displayName} url={actor.avatarUrl} />
      <span className="row-text">
        <span className="told">{told(notification)}</span>
        {message && <span className="told-text">{message.body}</span>}
        <time className="told-time" dateTime={createdAt} title={full(createdAt)}>
          {short(createdAt, now)}
        </time>
      </span>
      {readAt === null && (
        <span className="told-new">
          <span className="hidden">Not read</span>
        </span>
      )}
    </>
  );
  return (
    <li>
      {href ? (
        <Link href={href} className="row told-row" onClick={mark}>
          {content}
        </Link>
      ) : (
        <button type="button" className="row told-row" onClick={mark} disabled={readAt !== null}>
          {content}
        </button>
      )}
    </li>
  );
}

function told({ kind, actor, conversation, request }: NotificationItemFragment): ReactNode {
  const who = <strong>{actor.displayName}</strong>;
  const where = conversation?.title ? <strong>{conversation.title}</strong> : null;
  switch (kind) {
    case 'FRIEND_REQUEST':
      return <>{who} {request?.status === 'PENDING' ? 'asks' : 'asked'} to become friends</>;
    case 'FRIEND_REQUEST_ACCEPTED':
      return <>{who} accepted your request</>;
    case 'ADDED_TO_GROUP':
      return <>{who} added you to {where ?? 'a group'}</>;
    case 'MENTION':
      return where ? <>{who} named you in {where}</> : <>{who} named you</>;
    case 'DIRECT_MESSAGE':
    case 'GROUP_MESSAGE':
    case 'NEW_DEVICE':
      return who; // these are told elsewhere
  }
}
