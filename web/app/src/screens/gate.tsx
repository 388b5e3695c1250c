import { useMutation } from '@apollo/client/react';
import { type FormEvent, type ReactNode, useState } from 'react';
import { Link, Redirect, Route, Switch } from 'wouter';
import { RequestPasswordResetDocument } from '../gql/graphql';
import { useStore } from '../store';
import { explain } from '../ui/action';
import { useParley, useScreen } from '../ui/context';
import { Field } from '../ui/field';
import { Mark } from '../ui/icons';
import './gate.css';

/** What somebody sees who is not signed in. Whatever address they came to, they are there again afterwards. */
export function Gate() {
  return (
    <Switch>
      <Route path="/sign-up" component={SignUp} />
      <Route path="/forgot" component={Forgot} />
      <Route component={SignIn} />
    </Switch>
  );
}

/** For the addresses of these forms, once somebody is signed in. */
export function Inside() {
  return <Redirect to="/" replace />;
}

function Page({ title, lead, children }: { title: string; lead?: string; children: ReactNode }) {
  const heading = useScreen(title);
  return (
    <main className="gate">
      <div className="gate-card">
        <p className="gate-brand">
          <Mark /> Parley
        </p>
        <h1 ref={heading} tabIndex={-1}>
          {title}
        </h1>
        {lead && <p className="gate-lead">{lead}</p>}
        {children}
      </div>
    </main>
  );
}

/** A form that does something and, if that fails, says why. */
function useForm(work: (fields: (name: string) => string) => Promise<void>) {
  const [problem, setProblem] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    if (busy) return;
    const data = new FormData(event.currentTarget);
    setBusy(true);
    setProblem(null);
    try {
      await work((name) => String(data.get(name) ?? ''));
    } catch (cause) {
      setProblem(explain(cause));
    } finally {
      setBusy(false);
    }
  };
  const told = (
    <p role="alert" className={problem ? 'problem' : 'hidden'}>
      {problem}
    </p>
  );
  return { submit: (event: FormEvent<HTMLFormElement>) => void submit(event), busy, told };
}

function SignIn() {
  const parley = useParley();
  const ended = useStore(parley.ended);
  const { submit, busy, told } = useForm((field) => parley.signIn(field('username'), field('password')));
  return (
    <Page title="Welcome back" lead={ended === 'ended' ? 'Your session is over. Sign in again.' : 'Sign in to go on talking.'}>
      <form onSubmit={submit}>
        {told}
        <Field label="Username" name="username" autoComplete="username" autoCapitalize="none" spellCheck={false} required />
        <Field label="Password" name="password" type="password" autoComplete="current-password" required />
        <button type="submit" className="button primary wide" aria-busy={busy}>
          Sign in
        </button>
      </form>
      <p className="gate-links">
        <Link href="/sign-up">Make an account</Link>
        <Link href="/forgot">Forgotten your password?</Link>
      </p>
    </Page>
  );
}

function SignUp() {
  const parley = useParley();
  const { submit, busy, told } = useForm((field) => {
    const [displayName, email] = [field('displayName').trim(), field('email').trim()];
    return parley.signUp({ username: field('username').trim(), password: field('password'), ...(displayName && { displayName }), ...(email && { email }) });
  });
  return (
    <Page title="Make an account" lead="A name, a password, and you can talk.">
      <form onSubmit={submit}>
        {told}
        <Field
          label="Username"
          hint="3 to 32 letters, digits, dots, dashes or underscores. Others find you by it."
          name="username" autoComplete="username" autoCapitalize="none" spellCheck={false} required minLength={3} maxLength={32}
        />
        <Field label="Name to show" name="displayName" autoComplete="name" maxLength={64} placeholder="Optional" />
        <Field
          label="Mail address"
          hint="Only for a lost password and for what you want to be told. Nobody else sees it."
          name="email" type="email" autoComplete="email" maxLength={254} placeholder="Optional"
        />
        <Field label="Password" hint="At least 8 characters, any." name="password" type="password" autoComplete="new-password" required minLength={8} maxLength={256} />
        <button type="submit" className="button primary wide" aria-busy={busy}>
          Make the account
        </button>
      </form>
      <p className="gate-links">
        <Link href="/sign-in">I have an account</Link>
      </p>
    </Page>
  );
}

function Forgot() {
  const [ask] = useMutation(RequestPasswordResetDocument);
  const [asked, setAsked] = useState(false);
  const { submit, busy, told } = useForm(async (field) => {
    await ask({ variables: { login: field('login').trim() } });
    setAsked(true);
  });
  return (
    <Page
      title={asked ? 'Look into your mail' : 'A new password'}
      lead={asked ? 'If there is such an account and it has a confirmed address, a link is on its way there. It works for 30 minutes.' : 'We send a link to the address of your account.'}
    >
      {!asked && (
        <form onSubmit={submit}>
          {told}
          <Field label="Username or mail address" name="login" autoComplete="username" autoCapitalize="none" spellCheck={false} required />
          <button type="submit" className="button primary wide" aria-busy={busy}>
            Send the link
          </button>
        </form>
      )}
      <p className="gate-links">
        <Link href="/sign-in">Back to signing in</Link>
      </p>
    </Page>
  );
}
