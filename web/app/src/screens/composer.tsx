import { useMutation } from '@apollo/client/react';
import { type FormEvent, type KeyboardEvent, useContext, useEffect, useRef, useState } from 'react';
import { type ConversationQuery, SetTypingDocument } from '../gql/graphql';
import { useParley, WholePage } from '../ui/context';
import { Icon } from '../ui/icons';
import { nameOf } from './conversation-list';
import { sends } from './sends';

/** Characters that a message may have. */
const longest = 4_000;
/** How often the others are told that typing goes on, in milliseconds. */
const every = 3_000;

export function Composer({ conversation, sent }: { conversation: ConversationQuery['conversation']; sent(): void }) {
  const { outbox, drafts } = useParley();
  const whole = useContext(WholePage);
  const { id, writable } = conversation;
  const [text, setText] = useState(() => drafts.get(id) ?? '');
  const field = useRef<HTMLTextAreaElement>(null);
  const [say] = useMutation(SetTypingDocument, { fetchPolicy: 'no-cache' });
  const told = useRef(0); // when typing was last told of; 0 when it is over

  const type = (typing: boolean) => {
    const now = Date.now();
    if (typing ? now - told.current < every : told.current === 0) return;
    told.current = typing ? now : 0;
    say({ variables: { conversationId: id, typing } }).catch(() => {}); // a signal: who does not get it misses nothing
  };

  useEffect(() => {
    drafts.set(id, text);
  }, [drafts, id, text]);
  // On a device with a keyboard one can write at once.
  useEffect(() => {
    if (whole && matchMedia('(hover: hover) and (width >= 48rem)').matches) field.current?.focus({ preventScroll: true });
  }, [whole]);
  const latest = useRef(type);
  latest.current = type;
  useEffect(() => () => latest.current(false), []);

  const length = [...text].length;
  const empty = text.trim() === '';
  const submit = (event?: FormEvent) => {
    event?.preventDefault();
    if (empty || length > longest) return;
    outbox.send(id, text.trim());
    told.current = 0; // the message ends it
    setText('');
    sent();
    field.current?.focus();
  };
  const key = (event: KeyboardEvent) => {
    if (!sends(event.nativeEvent)) return;
    if (!matchMedia('(hover: hover)').matches) return; // on a screen keyboard it is a new line
    event.preventDefault();
    submit();
  };

  if (!writable) {
    return <p className="composer-silent">You are not friends any more. What was said stays; nothing new can be said.</p>;
  }
  return (
    <form className="composer" onSubmit={submit}>
      <label className="composer-field">
        <span className="hidden">Message to {nameOf(conversation)}</span>
        <textarea
          ref={field}
          rows={1}
          value={text}
          placeholder="Write a message"
          enterKeyHint="enter"
          aria-invalid={length > longest}
          onChange={(event) => {
            setText(event.target.value);
            type(event.target.value.trim() !== '');
          }}
          onKeyDown={key}
        />
        {length > longest - 300 && (
          <span className={length > longest ? 'composer-count over' : 'composer-count'} role="status">
            {longest - length}
          </span>
        )}
      </label>
      <button type="submit" className="composer-send" disabled={empty || length > longest} title="Send">
        <Icon name="send" />
        <span className="hidden">Send</span>
      </button>
    </form>
  );
}
