import { useMutation } from '@apollo/client/react';
import { useId } from 'react';
import { type ConversationItemFragment, type NotificationLevel, SetConversationNotificationsDocument } from '../gql/graphql';
import { useAction } from '../ui/action';
import { clock, full, useNow } from '../ui/time';
import { useWanted } from '../ui/wanted';
import './silence.css';

const levels: [NotificationLevel, string][] = [
  ['ALL', 'Everything'],
  ['MENTIONS', 'My name'],
  ['NONE', 'Nothing'],
];
const hours: [number, string][] = [
  [1, 'An hour'],
  [8, '8 hours'],
  [168, 'A week'],
];

/** What the viewer is told of a conversation, and for how long of nothing. */
export function Silence({ conversation }: { conversation: Pick<ConversationItemFragment, 'id' | 'kind' | 'notificationLevel' | 'mutedUntil'> }) {
  const { id, notificationLevel, mutedUntil } = conversation;
  const [mutate] = useMutation(SetConversationNotificationsDocument);
  const [mute, muting] = useAction((mutedUntil: string | null) => mutate({ variables: { input: { conversationId: id, mutedUntil } } }));
  const [chosen, choose] = useWanted(notificationLevel, (level) => mutate({ variables: { input: { conversationId: id, level } } }));
  const group = useId();
  const now = useNow();
  const muted = mutedUntil !== null && Date.parse(mutedUntil) > now ? mutedUntil : null;
  return (
    <section className="silence" aria-labelledby={`${group}-title`} aria-busy={muting}>
      <h3 id={`${group}-title`} className="rows-title">
        Notify me of
      </h3>
      <fieldset className="switch">
        <legend className="hidden">Notify me of</legend>
        {levels.map(([level, name]) => (
          <label key={level}>
            <input type="radio" name={group} checked={chosen === level} onChange={() => choose(level)} />
            {name}
          </label>
        ))}
      </fieldset>
      {chosen !== 'NONE' && (
        <div className="silence-mute">
          {muted ? (
            <>
              <p title={full(muted)}>Muted until {Date.parse(muted) - now < 86_400_000 ? clock(muted) : full(muted)}</p>
              <button type="button" className="button small" onClick={() => void mute(null)}>
                Unmute
              </button>
            </>
          ) : (
            <>
              <p id={`${group}-mute`}>Mute for</p>
              {hours.map(([count, name]) => (
                <button
                  key={count}
                  type="button"
                  className="button small"
                  aria-describedby={`${group}-mute`}
                  onClick={() => void mute(new Date(Date.now() + count * 3_600_000).toISOString())}
                >
                  {name}
                </button>
              ))}
            </>
          )}
        </div>
      )}
    </section>
  );
}
