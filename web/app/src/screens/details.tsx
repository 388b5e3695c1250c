import { useApolloClient, useMutation, useQuery } from '@apollo/client/react';
import { useState } from 'react';
import { Link, useLocation } from 'wouter';
import {
  AddMembersDocument, DeleteGroupDocument, LeaveGroupDocument, MembersDocument, type MembersQuery, RemoveMemberDocument, type Role, SetGroupAvatarDocument,
  SetMemberRoleDocument, UpdateGroupDocument,
} from '../gql/graphql';
import { leave } from '../live/apply';
import { PictureButtons } from '../settings/picture';
import { explain, useAction } from '../ui/action';
import { Avatar } from '../ui/avatar';
import { useFocus, useMe, useParley } from '../ui/context';
import { Dialog } from '../ui/dialog';
import { Field } from '../ui/field';
import { Icon } from '../ui/icons';
import { nameOf, Waiting } from './conversation-list';
import { Choices } from './new-group';
import { Silence } from './silence';

type Shown = MembersQuery['conversation'];
type Member = Shown['members']['nodes'][number];

/** Who is in a conversation, and what the viewer may change. */
export function Details({ id }: { id: string }) {
  const { data, error } = useQuery(MembersDocument, { variables: { id } });
  const conversation = data?.conversation;
  const heading = useFocus();
  return (
    <section className="pane pane-details" aria-label="Details">
      <header className="pane-head">
        <h2 ref={heading} tabIndex={-1}>Details</h2>
        <Link href={`/conversations/${id}`} className="icon-button">
          <Icon name="close" />
          <span className="hidden">Close the details</span>
        </Link>
      </header>
      {conversation?.role ? <Shown conversation={conversation} /> : error ? <p className="problem">{explain(error)}</p> : !conversation && <Waiting />}
    </section>
  );
}

function Shown({ conversation }: { conversation: Shown }) {
  const { id, kind, peer, memberCount, members } = conversation;
  const client = useApolloClient();
  const me = useMe();
  const after = members.pageInfo.endCursor;
  const [more, busy] = useAction(() => client.query({ query: MembersDocument, variables: { id, after }, fetchPolicy: 'network-only' }));
  const name = nameOf(conversation);
  return (
    <>
      <div className="details-head">
        <Avatar id={peer?.id ?? id} name={name} url={peer ? peer.avatarUrl : conversation.avatarUrl} group={kind === 'GROUP'} size="5rem" />
        <h2>{name}</h2>
        <p>{kind === 'GROUP' ? `${memberCount} ${memberCount === 1 ? 'member' : 'members'}` : `@${peer?.username}`}</p>
      </div>
      <Silence conversation={conversation} />
      {kind === 'DIRECT' ? (
        <div className="details-buttons">
          <Link href={`/people/${peer?.id}`} className="button">
            About {name}
          </Link>
          <FromTheStart id={id} />
        </div>
      ) : (
        <>
          {conversation.role !== 'MEMBER' && <Manage conversation={conversation} />}
          <h3 className="rows-title">Members</h3>
          <ul>
            {members.nodes.map((member) => (
              <MemberRow key={member.user.id} member={member} conversation={conversation} self={member.user.id === me} />
            ))}
          </ul>
          {members.pageInfo.hasNextPage && (
            <button type="button" className="button wide" aria-busy={busy} onClick={() => void more()}>
              Show more
            </button>
          )}
          <div className="details-buttons">
            <FromTheStart id={id} />
          </div>
          <Quit conversation={conversation} />
        </>
      )}
    </>
  );
}

/** Leads to the first message. */
function FromTheStart({ id }: { id: string }) {
  const { fromTheStart, live } = useParley();
  const [, navigate] = useLocation();
  const [run, busy] = useAction(async () => {
    await live.history.load(id, 'oldest');
    fromTheStart.set({ id });
    navigate(`/conversations/${id}`);
  });
  return (
    <button type="button" className="button" aria-busy={busy} onClick={() => void run()}>
      Read from the start
    </button>
  );
}

const roles: Record<Role, string> = { OWNER: 'owner', ADMIN: 'admin', MEMBER: '' };

/** What its owner and its admins change. */
function Manage({ conversation }: { conversation: Shown }) {
  const { id, title, members } = conversation;
  const [open, setOpen] = useState<'add' | 'rename' | null>(null);
  const [name, setName] = useState('');
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  const close = () => setOpen(null);
  const [rename, renaming] = useThen(useMutation(UpdateGroupDocument, { variables: { conversationId: id, title: name.trim() } })[0], close);
  const [add, adding] = useThen(useMutation(AddMembersDocument, { variables: { conversationId: id, userIds: [...chosen] } })[0], close);
  const [setAvatar] = useMutation(SetGroupAvatarDocument);
  return (
    <div className="details-buttons">
      <PictureButtons has={conversation.avatarUrl !== null} set={(fileId) => setAvatar({ variables: { conversationId: id, fileId } })} />
      <button type="button" className="button" onClick={() => (setChosen(new Set()), setOpen('add'))}>
        <Icon name="plus" />
        Add people
      </button>
      <button type="button" className="button" onClick={() => (setName(title ?? ''), setOpen('rename'))}>
        <Icon name="pencil" />
        Rename
      </button>
      {open === 'add' && (
        <Dialog title={`Add people to ${title}`} confirm="Add" busy={adding} disabled={chosen.size === 0} onConfirm={add} onClose={close}>
          <Choices label="Your friends" chosen={chosen} onChoose={setChosen} without={new Set(members.nodes.map(({ user }) => user.id))} />
        </Dialog>
      )}
      {open === 'rename' && (
        <Dialog title="Rename the group" confirm="Rename" busy={renaming} disabled={name.trim() === ''} onConfirm={rename} onClose={close}>
          <Field label="Its name" value={name} onChange={(event) => setName(event.target.value)} maxLength={100} autoFocus />
        </Dialog>
      )}
    </div>
  );
}

/** Getting out of it, or rid of it. */
function Quit({ conversation }: { conversation: Shown }) {
  const { id, role, title } = conversation;
  const { client, live } = useParley();
  const [, navigate] = useLocation();
  const [open, setOpen] = useState<'leave' | 'delete' | null>(null);
  const close = () => setOpen(null);
  const gone = () => {
    close();
    navigate('/');
    leave(client.cache, live.history, id);
  };
  const [quit, quitting] = useThen(useMutation(LeaveGroupDocument, { variables: { conversationId: id } })[0], gone);
  const [remove, removing] = useThen(useMutation(DeleteGroupDocument, { variables: { conversationId: id } })[0], gone);
  return (
    <div className="details-buttons">
      <button type="button" className="button" onClick={() => setOpen('leave')}>
        Leave
      </button>
      {role === 'OWNER' && (
        <button type="button" className="button danger" onClick={() => setOpen('delete')}>
          Delete for everybody
        </button>
      )}
      {open === 'leave' && (
        <Dialog title={`Leave ${title}?`} confirm="Leave" danger busy={quitting} onConfirm={quit} onClose={close}>
          <p>{role === 'OWNER' ? 'Somebody else will own it: the admin, or else the member, who has been in it longest.' : 'You see nothing more of it, until somebody adds you again.'}</p>
        </Dialog>
      )}
      {open === 'delete' && (
        <Dialog title={`Delete ${title}?`} confirm="Delete" danger busy={removing} onConfirm={remove} onClose={close}>
          <p>It is gone with all of its messages, for everybody.</p>
        </Dialog>
      )}
    </div>
  );
}

/** Does something, and something else once that is done. */
function useThen(work: () => Promise<unknown>, then: () => void): [run: () => void, busy: boolean] {
  const [run, busy] = useAction(work);
  return [() => void run().then((done) => done && then()), busy];
}

function MemberRow({ member: { user, role }, conversation, self }: { member: Member; conversation: Shown; self: boolean }) {
  const online = user.presence?.status === 'ONLINE';
  return (
    <li className="member">
      <Link href={`/people/${user.id}`} className="row">
        <Avatar id={user.id} name={user.displayName} url={user.avatarUrl} size="2.25rem" online={online} />
        <span className="row-text">
          <span className="row-top">
            <span className="row-name">{self ? 'You' : user.displayName}</span>
            {user.bot && <span className="tag">bot</span>}
            <span className="row-time">{roles[role]}</span>
          </span>
        </span>
      </Link>
      {!self && <MemberMenu userId={user.id} name={user.displayName} role={role} conversation={conversation} />}
    </li>
  );
}

function MemberMenu({ userId, name, role, conversation }: { userId: string; name: string; role: Role; conversation: Shown }) {
  const conversationId = conversation.id;
  const [change] = useMutation(SetMemberRoleDocument);
  const [set, setting] = useAction((role: Role) => change({ variables: { conversationId, userId, role } }));
  const [remove, removing] = useAction(useMutation(RemoveMemberDocument, { variables: { conversationId, userId } })[0]);
  const owner = conversation.role === 'OWNER';
  if (!owner && !(conversation.role === 'ADMIN' && role === 'MEMBER')) return null;
  return (
    <details
      className="member-menu"
      onToggle={(event) => {
        const menu = event.currentTarget;
        if (!menu.open) return;
        menu.lastElementChild?.scrollIntoView({ block: 'nearest' });
        addEventListener('click', () => (menu.open = false), { once: true });
      }}
      onKeyDown={(event) => {
        if (event.key === 'Escape') event.currentTarget.open = false;
      }}
    >
      <summary className="icon-button" aria-busy={setting || removing}>
        <Icon name="more" />
        <span className="hidden">What to do about {name}</span>
      </summary>
      <div>
        {owner && role === 'MEMBER' && (
          <button type="button" onClick={() => void set('ADMIN')}>
            Make an admin
          </button>
        )}
        {owner && role === 'ADMIN' && (
          <button type="button" onClick={() => void set('MEMBER')}>
            Make a member again
          </button>
        )}
        {owner && (
          <button type="button" onClick={() => void set('OWNER')}>
            Hand the group over
          </button>
        )}
        <button type="button" className="danger" onClick={() => void remove()}>
          Remove
        </button>
      </div>
    </details>
  );
}
