import { useMutation, useQuery } from '@apollo/client/react';
import { useId } from 'react';
import {
  type NotificationKind, NotificationPreferencesDocument, type NotificationPreferencesQuery, UpdateNotificationPreferencesDocument, type UpdateNotificationPreferencesInput,
} from '../gql/graphql';
import { explain, useAction } from '../ui/action';
import { useWanted } from '../ui/wanted';
import { clockOf, hourName, zones } from './hours';
import { Card, Page, Pending, Switch } from './page';

type Preferences = NotificationPreferencesQuery['notificationPreferences'];
type Update = (input: UpdateNotificationPreferencesInput) => Promise<unknown>;

const kinds: Record<NotificationKind, string> = {
  FRIEND_REQUEST: 'Somebody asks to become friends',
  FRIEND_REQUEST_ACCEPTED: 'Somebody accepts your request',
  ADDED_TO_GROUP: 'Somebody adds you to a group',
  MENTION: 'A message names you',
  DIRECT_MESSAGE: 'A message from a friend',
  GROUP_MESSAGE: 'A message in a group',
  NEW_DEVICE: 'A sign-in from a new device',
};

const channels = [
  ['inApp', 'App'],
  ['push', 'Push'],
  ['mail', 'Mail'],
] as const;

/** What the viewer wants to be told, how, and when not. */
export function Notifications() {
  const { data, error, refetch } = useQuery(NotificationPreferencesDocument, { fetchPolicy: 'cache-and-network' });
  const [mutate] = useMutation(UpdateNotificationPreferencesDocument);
  const update: Update = (input) => mutate({ variables: { input } });
  return (
    <Page title="Notifications" about="What you are told, and how. Changes hold at once, on all your devices.">
      {data ? <Shown preferences={data.notificationPreferences} update={update} /> : <Pending problem={error && explain(error)} retry={() => void refetch()} />}
    </Page>
  );
}

function Shown({ preferences, update }: { preferences: Preferences; update: Update }) {
  return (
    <>
      <Kinds preferences={preferences} update={update} />
      <QuietHours preferences={preferences} update={update} />
      <Digest preferences={preferences} update={update} />
      <TimeZone zone={preferences.timeZone} update={update} />
    </>
  );
}

function Kinds({ preferences, update }: { preferences: Preferences; update: Update }) {
  return (
    <Card title="What, and how" about="Mails go to a verified address. What is pushed comes only while you are away.">
      <table className="kinds">
        <thead>
          <tr>
            <th scope="col">
              <span className="hidden">What</span>
            </th>
            {channels.map(([channel, name]) => (
              <th key={channel} scope="col">
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {preferences.kinds.map((preference) => (
            <tr key={preference.kind}>
              <th scope="row">{kinds[preference.kind]}</th>
              {channels.map(([channel, name]) => {
                const on = preference[channel];
                return (
                  <td key={channel}>
                    {on === null ? (
                      <span className="kinds-none" aria-hidden="true">
                        –
                      </span>
                    ) : (
                      <Switch
                        label={
                          <span className="hidden">
                            {kinds[preference.kind]}: {name.toLowerCase()}
                          </span>
                        }
                        checked={on}
                        onChange={(value) => update({ kinds: [{ kind: preference.kind, [channel]: value }] })}
                      />
                    )}
                  </td>
                );
              })}
            </tr>
          ))}
        </tbody>
      </table>
    </Card>
  );
}

function QuietHours({ preferences: { quietHours }, update }: { preferences: Preferences; update: Update }) {
  const [set] = useAction((hours: { start: string; end: string }) => update({ quietHours: hours }));
  const change = (part: Partial<{ start: string; end: string }>) => {
    if (!quietHours) return;
    const { start, end } = { start: quietHours.start, end: quietHours.end, ...part };
    if (clockOf(start) && clockOf(end) && start !== end) void set({ start, end });
  };
  return (
    <Card title="Quiet hours" about="Nothing is pushed then. It stays to be seen in the app.">
      <Switch label="Keep quiet every day" checked={quietHours !== null} onChange={(on) => update({ quietHours: on ? { start: '22:00', end: '07:00' } : null })} />
      {quietHours && (
        <div className="hours">
          <label className="field">
            <span>From</span>
            <input key={quietHours.start} className="input" type="time" required defaultValue={quietHours.start} onBlur={(event) => change({ start: event.target.value })} />
          </label>
          <label className="field">
            <span>To</span>
            <input key={quietHours.end} className="input" type="time" required defaultValue={quietHours.end} onBlur={(event) => change({ end: event.target.value })} />
          </label>
        </div>
      )}
    </Card>
  );
}

function Digest({ preferences: { digest, digestHour }, update }: { preferences: Preferences; update: Update }) {
  const [hour, setHour] = useWanted(digestHour, (hour) => update({ digestHour: hour }));
  return (
    <Card title="One mail a day" about="With what you have not read, if there is anything.">
      <Switch label="Send it" checked={digest} onChange={(on) => update({ digest: on })} />
      {digest && (
        <label className="field short">
          <span>At</span>
          <select className="input" value={hour} onChange={(event) => setHour(Number(event.target.value))}>
            {Array.from({ length: 24 }, (_, each) => (
              <option key={each} value={each}>
                {hourName(each)}
              </option>
            ))}
          </select>
        </label>
      )}
    </Card>
  );
}

function TimeZone({ zone: stored, update }: { zone: string; update: Update }) {
  const [zone, setZone] = useWanted(stored, (timeZone) => update({ timeZone }));
  const here = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const id = useId();
  return (
    <Card title="Time zone" about="By whose clocks these hours are meant.">
      <div className="field short">
        <label className="hidden" htmlFor={id}>
          Time zone
        </label>
        <select id={id} className="input" value={zone} onChange={(event) => setZone(event.target.value)}>
          {zones(zone, here).map((name) => (
            <option key={name} value={name}>
              {name.replaceAll('_', ' ')}
            </option>
          ))}
        </select>
      </div>
      {here !== zone && (
        <div>
          <button type="button" className="button" onClick={() => setZone(here)}>
            Take this device’s: {here.replaceAll('_', ' ')}
          </button>
        </div>
      )}
    </Card>
  );
}
