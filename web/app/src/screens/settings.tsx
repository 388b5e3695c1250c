import { useQuery } from '@apollo/client/react';
import { Link, useRoute } from 'wouter';
import { StartDocument } from '../gql/graphql';
import { useStore } from '../store';
import { useAction } from '../ui/action';
import { Avatar } from '../ui/avatar';
import { useFocus, useParley, useScreen } from '../ui/context';
import { Icon } from '../ui/icons';
import { type Theme, theme } from '../ui/theme';

/** The pages of the settings. */
const pages = [{ page: 'general', name: 'General', about: 'How it looks, and signing out' }];

export function SettingsList() {
  const [, here] = useRoute('/settings/:page?');
  const heading = useFocus();
  return (
    <nav className="list" aria-labelledby="settings">
      <header className="pane-head">
        <h2 id="settings" ref={heading} tabIndex={-1}>Settings</h2>
      </header>
      <ul className="rows">
        {pages.map(({ page, name, about }) => (
          <li key={page}>
            <Link href={`/settings/${page}`} className="row" aria-current={(here?.page ?? 'general') === page ? 'page' : undefined}>
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
  const heading = useScreen('Settings');
  const parley = useParley();
  const { data } = useQuery(StartDocument, { fetchPolicy: 'cache-only' });
  const [signOut, leaving] = useAction(() => parley.signOut());
  const chosen = useStore(theme);
  const themes: [Theme, string][] = [
    ['system', 'As the system'],
    ['light', 'Light'],
    ['dark', 'Dark'],
  ];
  return (
    <div className="settings">
      <Link href="/settings" className="icon-button only-narrow">
        <Icon name="back" />
        <span className="hidden">Back to all settings</span>
      </Link>
      <h1 ref={heading} tabIndex={-1}>
        General
      </h1>
      <section className="settings-card">
        {data?.me && (
          <div className="settings-me">
            <Avatar id={data.me.id} name={data.me.displayName} url={data.me.avatarUrl} size="3.5rem" />
            <div>
              <h2>{data.me.displayName}</h2>
              <p className="person-line">@{data.me.username}</p>
            </div>
          </div>
        )}
        <div>
          <button type="button" className="button" aria-busy={leaving} onClick={() => void signOut()}>
            Sign out
          </button>
        </div>
      </section>
      <section className="settings-card">
        <h2 id="theme">Light or dark</h2>
        <fieldset className="switch" aria-labelledby="theme">
          {themes.map(([value, name]) => (
            <label key={value}>
              <input type="radio" name="theme" checked={chosen === value} onChange={() => theme.set(value)} />
              {name}
            </label>
          ))}
        </fieldset>
      </section>
    </div>
  );
}
