import { useMutation, useQuery } from '@apollo/client/react';
import { type FormEvent, useId, useState } from 'react';
import { ProfileDocument, type ProfileQuery, SetAvatarDocument, UpdateProfileDocument } from '../gql/graphql';
import { explain, useAction } from '../ui/action';
import { Avatar } from '../ui/avatar';
import { useMe } from '../ui/context';
import { Field } from '../ui/field';
import { Card, Page, Pending, useDone } from './page';
import { PictureButtons } from './picture';

/** Characters that they may have. */
const longest = { name: 64, bio: 500 };

/** What others see of the viewer. */
export function Profile() {
  const me = useMe();
  const { data, error, refetch } = useQuery(ProfileDocument, { variables: { id: me }, skip: me === '' });
  return (
    <Page title="Profile" about="What others see of you.">
      {data ? <Shown user={data.user} /> : <Pending problem={error && explain(error)} retry={() => void refetch()} />}
    </Page>
  );
}

function Shown({ user }: { user: ProfileQuery['user'] }) {
  const [setAvatar] = useMutation(SetAvatarDocument);
  return (
    <>
      <Card title="Picture" about="Whoever has its address can see it.">
        <div className="settings-me">
          <Avatar id={user.id} name={user.displayName} url={user.picture} size="6rem" />
          <PictureButtons has={user.picture !== null} set={(fileId) => setAvatar({ variables: { fileId } })} />
        </div>
      </Card>
      <Words user={user} />
    </>
  );
}

function Words({ user }: { user: ProfileQuery['user'] }) {
  const id = useId();
  const [name, setName] = useState<string | null>(null); // null: as it is
  const [bio, setBio] = useState<string | null>(null);
  const [update] = useMutation(UpdateProfileDocument);
  const [save, saving] = useAction((input: { displayName: string; bio: string }) => update({ variables: { input } }));
  const [said, say] = useDone();
  const next = { displayName: (name ?? user.displayName).trim(), bio: (bio ?? user.bio).trim() };
  const left = longest.bio - [...next.bio].length;
  const changed = next.displayName !== user.displayName || next.bio !== user.bio;
  const fine = next.displayName !== '' && [...next.displayName].length <= longest.name && left >= 0;
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    if (!fine || !changed || !(await save(next))) return;
    setName(null);
    setBio(null);
    say('Saved.');
  };
  return (
    <Card title="About you">
      <form className="settings-form" onSubmit={(event) => void submit(event)}>
        <Field label="Name" autoComplete="name" value={name ?? user.displayName} maxLength={longest.name} required onChange={(event) => setName(event.target.value)} />
        <div className="field">
          <label htmlFor={`${id}-bio`}>A line about yourself</label>
          <textarea id={`${id}-bio`} className="input" rows={3} value={bio ?? user.bio} aria-invalid={left < 0} aria-describedby={`${id}-left`} onChange={(event) => setBio(event.target.value)} />
          <small id={`${id}-left`}>{left < 0 ? `${-left} characters too many` : left < 100 && `${left} characters left`}</small>
        </div>
        <p className="settings-about">
          People find you as <strong>@{user.username}</strong>; that stays.
        </p>
        <div className="settings-end">
          <button type="submit" className="button primary" disabled={!changed || !fine} aria-busy={saving}>
            Save
          </button>
          {said}
        </div>
      </form>
    </Card>
  );
}
