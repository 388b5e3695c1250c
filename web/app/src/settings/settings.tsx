import { Link, Redirect, Route, Switch, useRoute } from 'wouter';
import { useFocus } from '../ui/context';
import { Icon, type IconName } from '../ui/icons';
import { Account } from './account';
import { Export } from './export';
import { General } from './general';
import { Notifications } from './notifications';
import { Profile } from './profile';
import { Sessions } from './sessions';

/** The pages, by the last segment of their address. Mails lead to `sessions` and `export`. */
const pages: { page: string; name: string; about: string; icon: IconName; component: () => React.ReactNode }[] = [
  { page: 'general', name: 'General', about: 'How it looks, and signing out', icon: 'settings', component: General },
  { page: 'profile', name: 'Profile', about: 'Your name, picture and a line about you', icon: 'person', component: Profile },
  { page: 'account', name: 'Account', about: 'E-mail and password', icon: 'key', component: Account },
  { page: 'notifications', name: 'Notifications', about: 'What you are told, how, and when not', icon: 'bell', component: Notifications },
  { page: 'sessions', name: 'Sessions', about: 'Where you are signed in', icon: 'desk', component: Sessions },
  { page: 'export', name: 'Your data', about: 'A copy of everything', icon: 'down', component: Export },
];

export function SettingsList() {
  const [, here] = useRoute('/settings/:page?');
  const heading = useFocus();
  return (
    <nav className="list" aria-label="Settings">
      <header className="pane-head">
        <h2 ref={heading} tabIndex={-1}>
          Settings
        </h2>
      </header>
      <ul className="rows">
        {pages.map(({ page, name, about, icon }) => (
          <li key={page}>
            <Link href={`/settings/${page}`} className="row" aria-current={(here?.page ?? 'general') === page ? 'page' : undefined}>
              <span className="settings-face">
                <Icon name={icon} />
              </span>
              <span className="row-text">
                <span className="row-name">{name}</span>
                <span className="row-bottom">
                  <span className="row-preview">{about}</span>
                </span>
              </span>
            </Link>
          </li>
        ))}
      </ul>
    </nav>
  );
}

export function Settings() {
  return (
    <Switch>
      {pages.map(({ page, component }) => (
        <Route key={page} path={`/settings/${page}`} component={component} />
      ))}
      <Route path="/settings" component={General} />
      <Route>
        <Redirect to="/settings" replace />
      </Route>
    </Switch>
  );
}
