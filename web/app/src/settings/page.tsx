import { type ReactNode, useEffect, useId, useRef, useState } from 'react';
import { Link } from 'wouter';
import { Connection } from '../screens/connection';
import { useScreen } from '../ui/context';
import { Icon } from '../ui/icons';
import { useWanted } from '../ui/wanted';
import './settings.css';

/** A page of the settings. */
export function Page({ title, about, children }: { title: string; about?: string; children: ReactNode }) {
  const heading = useScreen(title);
  return (
    <div className="settings">
      <div className="settings-connection only-narrow">
        <Connection />
      </div>
      <header className="settings-head">
        <Link href="/settings" className="icon-button only-narrow">
          <Icon name="back" />
          <span className="hidden">Back to all settings</span>
        </Link>
        <div>
          <h1 ref={heading} tabIndex={-1}>
            {title}
          </h1>
          {about && <p>{about}</p>}
        </div>
      </header>
      {children}
    </div>
  );
}

/** What belongs together on a page. */
export function Card({ title, about, children }: { title: string; about?: string; children: ReactNode }) {
  const id = useId();
  return (
    <section className="settings-card" aria-labelledby={id}>
      <div>
        <h2 id={id}>{title}</h2>
        {about && <p className="settings-about">{about}</p>}
      </div>
      {children}
    </section>
  );
}

interface SwitchProps {
  label: ReactNode;
  checked: boolean;
  /** Rejects when it could not be changed: it goes back, and a toast tells why. */
  onChange(value: boolean): Promise<unknown>;
}

/** On or off, at once. */
export function Switch({ label, checked, onChange }: SwitchProps) {
  const [on, want] = useWanted(checked, onChange);
  return (
    <label className="toggle">
      <input type="checkbox" role="switch" checked={on} onChange={(event) => want(event.target.checked)} />
      <span>{label}</span>
    </label>
  );
}

/** Says once, politely, that something is done; and forgets it after a while. */
export function useDone(): [said: ReactNode, say: (text: string) => void] {
  const [text, setText] = useState('');
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  useEffect(() => () => clearTimeout(timer.current), []);
  const say = (text: string) => {
    setText(text);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => setText(''), 6_000);
  };
  const said = (
    <p className="settings-done" role="status">
      {text && (
        <>
          <Icon name="check" />
          {text}
        </>
      )}
    </p>
  );
  return [said, say];
}

/** While a page has not come yet, or why it does not. */
export function Pending({ problem, retry }: { problem: string | undefined; retry(): void }) {
  if (problem === undefined) return <div className="settings-card skeleton settings-pending" aria-busy="true" />;
  return (
    <div className="settings-card">
      <p className="problem">{problem}</p>
      <div>
        <button type="button" className="button" onClick={retry}>
          Try again
        </button>
      </div>
    </div>
  );
}
