import { useEffect, useState } from 'react';
import { createRoot } from 'react-dom/client';
import { App } from '../app';
import { createStore, useStore } from '../store';
import { explain } from '../ui/action';
import { Mark } from '../ui/icons';
import { Inspector } from './inspector';
import { Log } from './log';
import { arrive, befriend, createPerson, gather, names, type Person, wasHere } from './people';
import './duo.css';

/** Shows several people on one page, and what goes over their wires. */
export function show(root: HTMLElement): void {
  document.title = 'Two at once · Parley';
  const duo = new Duo();
  createRoot(root).render(<Page duo={duo} />);
  void duo.begin();
}

/** Who is on the page. */
class Duo {
  readonly log = new Log();
  readonly people = createStore<readonly Person[]>([]);
  /** Why somebody could not come; null while all can. */
  readonly problem = createStore<string | null>(null);

  /** Brings the first two, and the third if they were here before. */
  async begin(): Promise<void> {
    await this.#try(async () => {
      const [alice, bob, carol] = names.filter((name, index) => index < 2 || wasHere(name)).map((name) => this.#add(name));
      if (!alice || !bob) return;
      const news = [await arrive(alice), await arrive(bob)];
      if (carol) await arrive(carol);
      if (news.includes(true)) meet([alice, bob], await befriend(alice, bob));
    });
  }

  /** Brings the third: a friend of both, in a group with them. */
  async bringThird(): Promise<void> {
    const [alice, bob] = this.people.get();
    const name = names[2];
    if (!alice || !bob || this.people.get().length > 2) return;
    await this.#try(async () => {
      const carol = this.#add(name);
      await arrive(carol);
      await befriend(alice, carol);
      await befriend(bob, carol);
      meet([alice, bob, carol], await gather(alice, [bob, carol], 'The three of us'));
    });
  }

  /** Gives somebody another account, if they have signed out. */
  async again(person: Person): Promise<void> {
    await this.#try(async () => {
      await arrive(person);
      for (const other of this.people.get()) {
        if (other !== person && other.parley.session.signedIn) meet([person], await befriend(other, person));
      }
    });
  }

  #add(name: string): Person {
    const person = createPerson(name, this.log);
    this.people.set([...this.people.get(), person]);
    return person;
  }

  async #try(work: () => Promise<void>): Promise<void> {
    this.problem.set(null);
    await work().catch((cause: unknown) => this.problem.set(explain(cause)));
  }
}

function meet(people: readonly Person[], conversation: string | undefined): void {
  if (conversation === undefined) return;
  for (const { location } of people) location.navigate(`/conversations/${conversation}`);
}

function startOver(): void {
  for (const key of Object.keys(sessionStorage)) if (key.startsWith('parley.duo.')) sessionStorage.removeItem(key);
  location.reload();
}

function Page({ duo }: { duo: Duo }) {
  const people = useStore(duo.people);
  const problem = useStore(duo.problem);
  const [busy, setBusy] = useState(false);
  const third = async () => {
    setBusy(true);
    await duo.bringThird();
    setBusy(false);
  };
  return (
    <div className="duo">
      <header className="duo-head">
        <span className="duo-mark">
          <Mark />
        </span>
        <div className="duo-title">
          <h1>Two at once</h1>
          <p>Each window is the whole app of one person. Beside them: what it sends, and what comes.</p>
        </div>
        <nav className="duo-tabs" aria-label="Windows">
          {[...people.map(({ name }) => name), 'Wire'].map((name) => (
            <a key={name} href={`#${name.toLowerCase()}`} className="button small">
              {name}
            </a>
          ))}
        </nav>
        <div className="duo-actions">
          {people.length < 3 && (
            <button type="button" className="button small" aria-busy={busy} disabled={busy || people.length < 2} onClick={() => void third()}>
              Bring {names[2]}
            </button>
          )}
          <button type="button" className="button small" onClick={startOver} title="Forgets these people, and begins with others">
            Start over
          </button>
          <a className="button small" href="/graphiql/" target="_blank">
            GraphiQL
          </a>
        </div>
      </header>
      {problem && (
        <p className="problem" role="alert">
          {problem}
        </p>
      )}
      <main className="duo-columns">
        {people.map((person) => (
          <Window key={person.name} person={person} again={() => void duo.again(person)} />
        ))}
        <Inspector log={duo.log} people={people} />
      </main>
    </div>
  );
}

const words = { starting: 'starting', connecting: 'connecting', replaying: 'catching up', live: 'live', waiting: 'waiting', closed: 'closed' };

function Window({ person, again }: { person: Person; again(): void }) {
  const { name, parley, wire, location } = person;
  const signedIn = useStore(parley.signedIn) !== null;
  const { status } = useStore(parley.live.connection);
  const cut = useStore(wire.isCut);
  const ended = useStore(parley.ended);
  useEffect(() => {
    if (!signedIn && ended !== null) wire.restore();
  }, [signedIn, ended, wire]);
  return (
    <section className="duo-window" id={name.toLowerCase()} data-who={name} aria-label={`${name}’s window`}>
      <header className="duo-bar">
        <span className="who">{name}</span>
        <span className="duo-status" data-status={cut ? 'cut' : signedIn ? status : 'out'} role="status">
          {cut ? 'cut off' : signedIn ? words[status] : 'signed out'}
        </span>
        {!signedIn && ended !== null ? (
          <button type="button" className="button small" onClick={again}>
            New account
          </button>
        ) : (
          <button type="button" className={cut ? 'button primary small' : 'button small'} onClick={() => (cut ? wire.restore() : wire.cut())}>
            {cut ? 'Restore' : 'Cut'}
            <span className="hidden"> the connection of {name}</span>
          </button>
        )}
      </header>
      <div className="duo-app">
        <App parley={parley} location={location.hook} />
      </div>
    </section>
  );
}
