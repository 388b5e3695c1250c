// A chat as a Relay project would write it, less the JSX, which needs a build.
import { createElement as h, useMemo, useState } from 'react';
import { useFragment, useLazyLoadQuery, useMutation, usePaginationFragment, useRefetchableFragment, useSubscription } from 'react-relay';

/**
 * @param {(name: string) => object} artefact loads what the compiler made
 * @returns {{ Chat: (props: { id: string }) => object, Rooms: () => object }}
 */
export function components(artefact) {
  const button = (name, disabled, onClick) => h('button', { id: name, disabled, onClick }, name);

  function Message({ message }) {
    const { body, sender } = useFragment(artefact('Chat_message'), message);
    return h('li', null, `${sender.username}: ${body}`);
  }

  function Header({ conversation }) {
    const [{ title, memberCount }, refetch] = useRefetchableFragment(artefact('Chat_header'), conversation);
    return h('header', null, h('h1', null, `${title} (${memberCount})`), button('refetch', false, () => refetch({}, { fetchPolicy: 'network-only' })));
  }

  function Messages({ conversation, id, after }) {
    const { data, hasPrevious, isLoadingPrevious, loadPrevious } = usePaginationFragment(artefact('Chat_messages'), conversation);
    const connections = useMemo(() => [data.messages.__id], [data.messages.__id]);
    const variables = useMemo(() => ({ conversationId: id, after, connections }), [id, after, connections]);
    useSubscription(useMemo(() => ({ subscription: artefact('ChatSubscription'), variables }), [variables]));
    const [send] = useMutation(artefact('ChatSendMutation'));
    const [rename] = useMutation(artefact('ChatRenameMutation'));
    return h(
      'main',
      null,
      button('older', !hasPrevious || isLoadingPrevious, () => loadPrevious(2)),
      h('ul', null, ...data.messages.edges.map(({ node }) => h(Message, { key: node.id, message: node }))),
      button('send', false, () => send({ variables: { connections, input: { conversationId: id, body: 'by mutation', clientKey: crypto.randomUUID() } } })),
      button('rename', false, () => rename({ variables: { input: { conversationId: id, title: 'renamed' } } })),
    );
  }

  function Chat({ id }) {
    const { cursor, conversation } = useLazyLoadQuery(artefact('ChatQuery'), { id });
    const [after] = useState(cursor);
    return h('section', null, h(Header, { conversation }), h(Messages, { conversation, id, after }));
  }

  function Rooms() {
    const query = useLazyLoadQuery(artefact('ChatRoomsQuery'), {});
    const { data, hasNext, loadNext } = usePaginationFragment(artefact('Chat_rooms'), query);
    return h(
      'nav',
      null,
      h('ul', null, ...data.conversations.edges.map(({ node }) => h('li', { key: node.id }, node.title))),
      button('more', !hasNext, () => loadNext(1)),
    );
  }

  return { Chat, Rooms };
}
