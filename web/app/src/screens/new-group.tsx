import { useApolloClient, useMutation, useQuery } from '@apollo/client/react';
import { useState } from 'react';
import { useLocation } from 'wouter';
import { CreateGroupDocument, FriendsDocument } from '../gql/graphql';
import { enter } from '../live/apply';
import { useAction } from '../ui/action';
import { Avatar } from '../ui/avatar';
import { Dialog } from '../ui/dialog';
import { Field } from '../ui/field';

/** Names a group, and chooses who is in it from the start. */
export function NewGroup({ onClose }: { onClose(): void }) {
  const client = useApolloClient();
  const [, navigate] = useLocation();
  const [title, setTitle] = useState('');
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  const [create] = useMutation(CreateGroupDocument);
  const [run, busy] = useAction(async () => {
    const { data } = await create({ variables: { title: title.trim(), memberIds: [...chosen] } });
    if (!data) return;
    const { conversation } = data.createGroup;
    enter(client.cache, conversation);
    onClose();
    navigate(`/conversations/${conversation.id}`);
  });
  return (
    <Dialog title="A new group" confirm="Make the group" busy={busy} disabled={title.trim() === ''} onConfirm={() => void run()} onClose={onClose}>
      <Field label="What is it about?" value={title} onChange={(event) => setTitle(event.target.value)} maxLength={100} placeholder="Picnic on Sunday" autoFocus />
      <Choices label="Who is in it?" chosen={chosen} onChoose={setChosen} />
    </Dialog>
  );
}

/** Friends to choose from. */
export function Choices({ label, chosen, onChoose, without }: { label: string; chosen: ReadonlySet<string>; onChoose(chosen: ReadonlySet<string>): void; without?: ReadonlySet<string> }) {
  const { data } = useQuery(FriendsDocument);
  const friends = data?.friends.nodes.map(({ user }) => user).filter(({ id }) => !without?.has(id)) ?? [];
  return (
    <fieldset className="field" style={{ border: 0, margin: 0, padding: 0 }}>
      <legend className="hidden">{label}</legend>
      <span aria-hidden="true">{label}</span>
      {data && friends.length === 0 && <p className="choices-none">{without ? 'All of your friends are in it.' : 'You have no friends yet. They can come later.'}</p>}
      <div className="choices">
        {friends.map(({ id, displayName, username, avatarUrl }) => (
          <label key={id} className="choice">
            <Avatar id={id} name={displayName} url={avatarUrl} size="2.25rem" />
            <span>
              {displayName} <span className="row-preview">@{username}</span>
            </span>
            <input
              type="checkbox"
              checked={chosen.has(id)}
              onChange={(event) => {
                const next = new Set(chosen);
                if (event.target.checked) next.add(id);
                else next.delete(id);
                onChoose(next);
              }}
            />
          </label>
        ))}
      </div>
    </fieldset>
  );
}
