import { memo, useEffect, useLayoutEffect, useRef, useState } from 'react';
import { useStore } from '../store';
import { Icon } from '../ui/icons';
import type { Arrival, Entry, Log, Operation } from './log';
import type { Person } from './people';
import { curl, graphiql } from './share';

/** Lists what goes over the wires; what is chosen is shown whole. */
export function Inspector({ log, people }: { log: Log; people: readonly Person[] }) {
  const entries = useStore(log.entries);
  const [without, setWithout] = useState<ReadonlySet<string>>(new Set()); // names of people, and sorts of entries, that are not shown
  const [chosen, setChosen] = useState<number | null>(null);
  const shown = entries.filter((entry) => !without.has(entry.who) && !without.has(sortOf(entry)));
  const entry = entries.find(({ id }) => id === chosen);
  const toggle = (what: string) => {
    const next = new Set(without);
    if (!next.delete(what)) next.add(what);
    setWithout(next);
  };
  const filter = (what: string, name: string) => (
    <button key={what} type="button" className="chip" data-who={what} aria-pressed={!without.has(what)} onClick={() => toggle(what)}>
      {name}
    </button>
  );
  return (
    <section className="wire" id="wire" aria-label="Wire">
      <header className="wire-bar">
        {people.map(({ name }) => filter(name, name))}
        <span className="wire-gap" />
        {filter('operation', 'Operations')}
        {filter('event', 'Events')}
        {filter('signal', 'Signals')}
        <button type="button" className="chip" onClick={() => log.clear()}>
          Clear
        </button>
      </header>
      <List entries={shown} chosen={chosen} choose={setChosen} />
      {entry && entry.kind !== 'note' && <Detail key={entry.id} entry={entry} all={entries} people={people} choose={setChosen} close={() => setChosen(null)} />}
    </section>
  );
}

function sortOf(entry: Entry): 'operation' | 'event' | 'signal' | 'note' {
  if (entry.kind !== 'arrival') return entry.kind;
  return entry.cursor === null ? 'signal' : 'event';
}

function List({ entries, chosen, choose }: { entries: readonly Entry[]; chosen: number | null; choose(id: number): void }) {
  const list = useRef<HTMLDivElement>(null);
  const atEnd = useRef(true);
  useLayoutEffect(() => {
    if (atEnd.current && list.current) list.current.scrollTop = list.current.scrollHeight;
  }, [entries]);
  useLayoutEffect(() => {
    if (chosen !== null) list.current?.querySelector('[aria-pressed=true]')?.scrollIntoView({ block: 'nearest' }); // the list is shorter now
  }, [chosen]);
  return (
    <div
      ref={list}
      className="wire-list"
      tabIndex={0}
      role="group"
      aria-label="What went over the wires"
      onScroll={({ currentTarget: { scrollHeight, scrollTop, clientHeight } }) => (atEnd.current = scrollHeight - scrollTop - clientHeight < 40)}
    >
      {entries.length === 0 && <p className="wire-none">Write something in one of the windows.</p>}
      <ul>
        {entries.map((entry) => (
          <Row key={entry.id} entry={entry} chosen={entry.id === chosen} choose={choose} />
        ))}
      </ul>
    </div>
  );
}

const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit', fractionalSecondDigits: 3, hour12: false });

const Row = memo(function Row({ entry, chosen, choose }: { entry: Entry; chosen: boolean; choose(id: number): void }) {
  if (entry.kind === 'note') {
    return (
      <li className={entry.good ? 'wire-note good' : 'wire-note'}>
        <span className="who" data-who={entry.who}>
          {entry.who}
        </span>
        {entry.text}
      </li>
    );
  }
  return (
    <li>
      <button type="button" className="wire-row" data-kind={entry.kind} aria-pressed={chosen} onClick={() => choose(entry.id)} title={clock.format(entry.at)}>
        <span className="who" data-who={entry.who}>
          {entry.who}
        </span>
        {entry.kind === 'operation' ? <Asked operation={entry} /> : <Came arrival={entry} />}
      </button>
    </li>
  );
});

function Asked({ operation: { type, name, variables, state, ms } }: { operation: Operation }) {
  const about = Object.keys(variables).length > 0 ? JSON.stringify(variables) : '';
  return (
    <>
      <span className="wire-way" data-type={type}>
        <span aria-hidden="true">→</span>
        <span className="hidden">asks: </span>
        {type}
      </span>
      <span className="wire-name">{name}</span>
      <span className="wire-about">{about}</span>
      <span className="wire-end" data-state={state}>
        {state === 'running' ? (type === 'subscription' ? 'open' : '…') : state === 'failed' ? 'failed' : type === 'subscription' ? 'ended' : duration(ms)}
      </span>
    </>
  );
}

function Came({ arrival: { name, cursor, replayed } }: { arrival: Arrival }) {
  return (
    <>
      <span className="wire-way" data-type="arrival">
        <span aria-hidden="true">←</span>
        <span className="hidden">gets: </span>
        {cursor === null ? 'signal' : 'event'}
      </span>
      <span className="wire-name" data-caught-up={name === 'CaughtUp' || undefined}>
        {name}
      </span>
      {replayed && name !== 'CaughtUp' && <span className="wire-replayed">missed, replayed</span>}
      <span className="wire-about wire-cursor">{cursor}</span>
    </>
  );
}

interface DetailProps {
  entry: Operation | Arrival;
  all: readonly Entry[];
  people: readonly Person[];
  choose(id: number): void;
  close(): void;
}

function Detail({ entry, all, people, choose, close }: DetailProps) {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => heading.current?.focus({ preventScroll: true }), []);
  const operation = entry.kind === 'operation' ? entry : all.find((other): other is Operation => other.kind === 'operation' && other.id === entry.of);
  const person = people.find(({ name }) => name === entry.who);
  const url = new URL('/graphql', location.href).href;
  return (
    <section
      className="wire-detail"
      aria-label="What is chosen"
      onKeyDown={(event) => {
        if (event.key === 'Escape') close();
      }}
    >
      <header>
        <h2 ref={heading} tabIndex={-1}>
          {entry.name}
        </h2>
        <span className="who" data-who={entry.who}>
          {entry.who}
        </span>
        <span className="wire-end">
          {clock.format(entry.at)}
          {entry.kind === 'operation' && entry.ms !== null && ` · ${duration(entry.ms)}`}
        </span>
        <button type="button" className="icon-button" onClick={close}>
          <Icon name="close" />
          <span className="hidden">Close</span>
        </button>
      </header>
      {entry.kind === 'operation' ? (
        <>
          <div className="wire-buttons">
            <Copy name="Copy as curl" text={async () => curl(url, entry, await person?.parley.session.authorization())} />
            <a className="button small" href={graphiql(entry)} target="_blank">
              Open in GraphiQL
            </a>
          </div>
          <Code title="GraphQL" text={entry.query.trim()} />
          <Code title="Variables" text={pretty(entry.variables)} json />
          {entry.result !== undefined && <Code title={entry.state === 'failed' ? 'What went wrong' : 'Result'} text={typeof entry.result === 'string' ? entry.result : pretty(entry.result)} json />}
          {entry.type === 'subscription' && <p className="wire-hint">What comes of it follows in the list, each with its cursor. After a cut it is asked for again, with the last of them as <code>after</code>.</p>}
        </>
      ) : (
        <>
          <p className="wire-hint">
            {entry.cursor === null
              ? 'A signal: it is not in the log, has no cursor, and is not repeated.'
              : entry.name === 'CaughtUp'
                ? 'Everything up to this cursor has come. What follows happens now.'
                : entry.replayed
                  ? 'It happened while nobody listened here, and came when the subscription was asked for again, after the last cursor.'
                  : 'Live. Whoever subscribes after this cursor gets what follows it.'}
          </p>
          <div className="wire-buttons">
            <Copy name="Copy as JSON" text={async () => pretty(entry.data)} />
            {operation && (
              <button type="button" className="button small" onClick={() => choose(operation.id)}>
                The subscription {operation.name}
              </button>
            )}
          </div>
          {entry.cursor !== null && <Code title="Cursor" text={entry.cursor} />}
          <Code title={entry.cursor === null ? 'Signal' : 'Event'} text={pretty(entry.data)} json />
        </>
      )}
    </section>
  );
}

function Copy({ name, text }: { name: string; text(): Promise<string> }) {
  const [said, setSaid] = useState('');
  useEffect(() => {
    const timer = setTimeout(() => setSaid(''), 2_000);
    return () => clearTimeout(timer);
  }, [said]);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(await text());
      setSaid('Copied');
    } catch {
      setSaid('The browser forbids it');
    }
  };
  return (
    <button type="button" className="button small" onClick={() => void copy()}>
      <span aria-live="polite">{said || name}</span>
    </button>
  );
}

function Code({ title, text, json = false }: { title: string; text: string; json?: boolean }) {
  return (
    <figure className="wire-code">
      <figcaption>{title}</figcaption>
      <pre tabIndex={0}>{json ? coloured(text) : text}</pre>
    </figure>
  );
}

/** Names, texts and other values of JSON, told apart. */
function coloured(text: string) {
  return text.split(/("(?:[^"\\]|\\.)*"(?:\s*:)?)/).map((part, index) =>
    index % 2 === 0 ? part : <span key={index} className={part.endsWith(':') ? 'json-name' : 'json-text'}>{part}</span>,
  );
}

function pretty(value: unknown): string {
  return JSON.stringify(value, null, 2);
}

function duration(ms: number | null): string {
  if (ms === null) return '';
  return ms < 1_000 ? `${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms` : `${(ms / 1_000).toFixed(1)} s`;
}
