import { useQuery } from '@apollo/client/react';
import { useContext, useEffect } from 'react';
import { Link, Route, Switch, useLocation, useRoute } from 'wouter';
import { StartDocument } from '../gql/graphql';
import { Settings, SettingsList } from '../settings/settings';
import { useStore } from '../store';
import { explain } from '../ui/action';
import { Avatar } from '../ui/avatar';
import { screenTitle, useMe, useParley, WholePage } from '../ui/context';
import { Icon, type IconName, Mark } from '../ui/icons';
import { Connection } from './connection';
import { Conversation } from './conversation';
import { ConversationList } from './conversation-list';
import { Details } from './details';
import { Inside } from './gate';
import { NotificationList } from './notifications';
import { People } from './people';
import { Person } from './person';
import './desk.css';

/** Which pane a narrow screen shows: the addresses that have something in the middle or at the side show that. */
function usePane(): 'list' | 'main' | 'details' {
  const [, conversation] = useRoute('/conversations/:id/:more?');
  const [person] = useRoute('/people/:id');
  const [settings] = useRoute('/settings/:page');
  if (conversation) return conversation.more === 'details' ? 'details' : 'main';
  return person || settings ? 'main' : 'list';
}

/** The three panes of somebody who is signed in: a list, what is chosen from it, and what there is to know about that. */
export function Desk() {
  const { live } = useParley();
  const me = useMe();
  const failure = useStore(live.failure);
  const pane = usePane();
  const whole = useContext(WholePage);
  const Main = whole ? 'main' : 'div'; // a page has one
  if (failure && !me) {
    return (
      <main className="empty">
        <Mark />
        <h1>Nothing to show yet</h1>
        <p>{explain(failure)}</p>
        <button type="button" className="button primary" onClick={() => live.start()}>
          Try again
        </button>
      </main>
    );
  }
  return (
    <div className="desk" data-pane={pane}>
      <Title />
      <Rail />
      <Main className="panes">
        {whole && pane !== 'main' && <h1 className="hidden only-narrow">Parley</h1> /* the others are in the middle, which is not shown */}
        <section className="pane pane-list" aria-label="List">
          <Connection />
          <Switch>
            <Route path="/friends" component={People} />
            <Route path="/people/:id" component={People} />
            <Route path="/notifications" component={NotificationList} />
            <Route path="/settings/*?" component={SettingsList} />
            <Route component={ConversationList} />
          </Switch>
        </section>
        <section className="pane pane-main" aria-label="What is open">
          <Switch>
            <Route path="/sign-in" component={Inside} />
            <Route path="/sign-up" component={Inside} />
            <Route path="/forgot" component={Inside} />
            <Route path="/conversations/:id/:more?">{({ id }) => <Conversation key={id} id={id} />}</Route>
            <Route path="/people/:id">{({ id }) => <Person key={id} id={id} />}</Route>
            <Route path="/settings/*?" component={Settings} />
            <Route path="/friends">
              <Welcome title="Your people" text="Search for somebody by their name, or answer who has asked you." />
            </Route>
            <Route path="/notifications">
              <Welcome title="What you were told" text="Each notification leads to what it is about." />
            </Route>
            <Route path="/conversations" component={Choose} />
            <Route path="/" component={Choose} />
            <Route>
              <Welcome title="There is nothing here" text="The address leads nowhere. Choose something from the list." />
            </Route>
          </Switch>
        </section>
        <Route path="/conversations/:id/details">{({ id }) => <Details key={id} id={id} />}</Route>
      </Main>
    </div>
  );
}

function Choose() {
  return <Welcome title="Choose a conversation" text="What you open appears here. New messages find you wherever you are." />;
}

function Welcome({ title, text }: { title: string; text: string }) {
  const whole = useContext(WholePage);
  useEffect(() => {
    if (whole) screenTitle.set('');
  }, [whole]);
  return (
    <div className="empty">
      <Mark />
      <h1>{title}</h1>
      <p>{text}</p>
    </div>
  );
}

function Rail() {
  const me = useMe();
  const [location] = useLocation();
  const { data } = useQuery(StartDocument, { fetchPolicy: 'cache-only' });
  const requests = data?.friendRequests.nodes.length ?? 0;
  const unread = data?.conversations.nodes.filter((conversation) => conversation.unreadCount > 0).length ?? 0;
  const items: { href: string; icon: IconName; name: string; count: number; here: boolean; told: string }[] = [
    { href: '/', icon: 'chats', name: 'Chats', count: unread, here: location === '/' || location.startsWith('/conversations'), told: 'unread conversations' },
    { href: '/friends', icon: 'people', name: 'People', count: requests, here: location === '/friends' || location.startsWith('/people'), told: 'friend requests' },
    { href: '/notifications', icon: 'bell', name: 'News', count: data?.unreadNotificationCount ?? 0, here: location === '/notifications', told: 'unread notifications' },
    { href: '/settings', icon: 'settings', name: 'Settings', count: 0, here: location.startsWith('/settings'), told: '' },
  ];
  return (
    <nav className="rail" aria-label="Main">
      <span className="rail-mark">
        <Mark />
      </span>
      <ul>
        {items.map(({ href, icon, name, count, here, told }) => (
          <li key={href}>
            <Link href={href} aria-current={here ? 'page' : undefined}>
              <Icon name={icon} />
              <span className="rail-name">{name}</span>
              {count > 0 && (
                <span className="badge">
                  {count > 99 ? '99+' : count}
                  <span className="hidden"> {told}</span>
                </span>
              )}
            </Link>
          </li>
        ))}
      </ul>
      {data?.me && (
        <Link href="/settings" className="rail-me" title={`${data.me.displayName}, @${data.me.username}`}>
          <Avatar id={me} name={data.me.displayName} url={data.me.avatarUrl} size="2.25rem" />
          <span className="hidden">{data.me.displayName}: settings</span>
        </Link>
      )}
    </nav>
  );
}

/** The page's title, with how many conversations are not read. */
function Title() {
  const whole = useContext(WholePage);
  const title = useStore(screenTitle);
  const { data } = useQuery(StartDocument, { fetchPolicy: 'cache-only' });
  const unread = data?.conversations.nodes.filter((conversation) => conversation.unreadCount > 0).length ?? 0;
  useEffect(() => {
    if (whole) document.title = (unread > 0 ? `(${unread}) ` : '') + (title ? `${title} · Parley` : 'Parley');
  }, [whole, title, unread]);
  return null;
}
