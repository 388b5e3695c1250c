import { useMutation, useQuery } from '@apollo/client/react';
import { type FormEvent, useState } from 'react';
import { Link } from 'wouter';
import { AccountDocument, type AccountQuery, ChangeEmailDocument, ChangePasswordDocument, ResendVerificationDocument } from '../gql/graphql';
import { explain, useAction } from '../ui/action';
import { Field } from '../ui/field';
import { Card, Page, Pending, useDone } from './page';

/** The address that mails go to, and the password. */
export function Account() {
  const { data, error, refetch } = useQuery(AccountDocument, { fetchPolicy: 'cache-and-network' });
  return (
    <Page title="Account" about="Only you see this.">
      {data ? <Email account={data.account} /> : <Pending problem={error && explain(error)} retry={() => void refetch()} />}
      <Password />
    </Page>
  );
}

function Email({ account: { email, unverifiedEmail } }: { account: AccountQuery['account'] }) {
  const [address, setAddress] = useState('');
  const [password, setPassword] = useState('');
  const [change] = useMutation(ChangeEmailDocument);
  const [resend] = useMutation(ResendVerificationDocument);
  const [set, setting] = useAction((email: string, currentPassword: string) => change({ variables: { input: { email, currentPassword } } }));
  const [again, sending] = useAction(() => resend());
  const [said, say] = useDone();
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    if (!(await set(address.trim(), password))) return;
    setAddress('');
    setPassword('');
    say('Look into your mail.');
  };
  return (
    <Card title="E-mail" about="For a lost password, and for what you want to be told by mail.">
      <dl className="facts">
        <div>
          <dt>Address</dt>
          <dd>
            {email ?? 'none'}
            {email && <span className="tag good">verified</span>}
          </dd>
        </div>
        {unverifiedEmail !== null && (
          <div>
            <dt>{email ? 'Shall become' : 'Waits for you'}</dt>
            <dd>
              {unverifiedEmail}
              <span className="tag">not verified</span>
              <p className="settings-about">Open the link in the mail that we sent there.</p>
              <button type="button" className="button small" aria-busy={sending} onClick={() => void again().then((done) => done && say('Sent once more.'))}>
                Send it once more
              </button>
            </dd>
          </div>
        )}
      </dl>
      <form className="settings-form" onSubmit={(event) => void submit(event)}>
        <Field label="New address" type="email" autoComplete="email" required maxLength={254} value={address} onChange={(event) => setAddress(event.target.value)} />
        <Field label="Your password" type="password" autoComplete="current-password" required value={password} onChange={(event) => setPassword(event.target.value)} />
        <div className="settings-end">
          <button type="submit" className="button primary" disabled={address.trim() === '' || password === ''} aria-busy={setting}>
            {email || unverifiedEmail ? 'Change the address' : 'Set the address'}
          </button>
          {said}
        </div>
      </form>
    </Card>
  );
}

function Password() {
  const [current, setCurrent] = useState('');
  const [next, setNext] = useState('');
  const [change] = useMutation(ChangePasswordDocument, { fetchPolicy: 'no-cache' });
  const [set, setting] = useAction((currentPassword: string, newPassword: string) => change({ variables: { input: { currentPassword, newPassword } } }));
  const [said, say] = useDone();
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    if (!(await set(current, next))) return;
    setCurrent('');
    setNext('');
    say('Changed. All your other devices are signed out.');
  };
  return (
    <Card title="Password" about="All your other devices are signed out when you change it.">
      <form className="settings-form" onSubmit={(event) => void submit(event)}>
        <Field label="Your password as it is" type="password" autoComplete="current-password" required value={current} onChange={(event) => setCurrent(event.target.value)} />
        <Field label="The new one" hint="At least 8 characters. Long is better than odd." type="password" autoComplete="new-password" required minLength={8} maxLength={256} value={next} onChange={(event) => setNext(event.target.value)} />
        <div className="settings-end">
          <button type="submit" className="button primary" disabled={current === '' || next.length < 8} aria-busy={setting}>
            Change the password
          </button>
          {said}
        </div>
      </form>
      <p className="settings-about">
        Lost a device? End its session under <Link href="/settings/sessions">Sessions</Link>.
      </p>
    </Card>
  );
}
