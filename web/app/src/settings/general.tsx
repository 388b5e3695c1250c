import { useQuery } from '@apollo/client/react';
import { useId } from 'react';
import { Link } from 'wouter';
import { StartDocument } from '../gql/graphql';
import { useStore } from '../store';
import { useAction } from '../ui/action';
import { Avatar } from '../ui/avatar';
import { useParley } from '../ui/context';
import { type Theme, theme } from '../ui/theme';
import { Card, Page } from './page';

const themes: [Theme, string][] = [
  ['system', 'As the system'],
  ['light', 'Light'],
  ['dark', 'Dark'],
];

/** How it looks on this device, and leaving it. */
export function General() {
  const parley = useParley();
  const { data } = useQuery(StartDocument, { fetchPolicy: 'cache-only' });
  const [signOut, leaving] = useAction(() => parley.signOut());
  const chosen = useStore(theme);
  const group = useId();
  return (
    <Page title="General">
      {data?.me && (
        <section className="settings-card settings-me" aria-label="Who is signed in">
          <Avatar id={data.me.id} name={data.me.displayName} url={data.me.avatarUrl} size="3.5rem" />
          <div>
            <h2>{data.me.displayName}</h2>
            <p className="person-line">@{data.me.username}</p>
          </div>
          <Link href="/settings/profile" className="button">
            Edit<span className="hidden"> the profile</span>
          </Link>
        </section>
      )}
      <Card title="Light or dark" about="On this device.">
        <fieldset className="switch">
          <legend className="hidden">Light or dark</legend>
          {themes.map(([value, name]) => (
            <label key={value}>
              <input type="radio" name={group} checked={chosen === value} onChange={() => theme.set(value)} />
              {name}
            </label>
          ))}
        </fieldset>
      </Card>
      <Card title="Sign out" about="What waits to be sent is thrown away. Your other devices stay signed in.">
        <div>
          <button type="button" className="button" aria-busy={leaving} onClick={() => void signOut()}>
            Sign out
          </button>
        </div>
      </Card>
    </Page>
  );
}
