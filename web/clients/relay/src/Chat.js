// What the compiler makes artefacts of. A build with babel-plugin-relay would put these beside the components that use them;
// chat.mjs has the components, and takes the artefacts as they are.
import { graphql } from 'react-relay';

graphql`
  query ChatQuery($id: ID!) {
    cursor
    conversation(id: $id) {
      id
      ...Chat_header
      ...Chat_messages
    }
  }
`;

graphql`
  fragment Chat_header on Conversation @refetchable(queryName: "ChatHeaderQuery") {
    title
    memberCount
  }
`;

// The newest page first, and older ones before it.
graphql`
  fragment Chat_messages on Conversation
  @refetchable(queryName: "ChatMessagesQuery")
  @argumentDefinitions(count: { type: "Int", defaultValue: 2 }, cursor: { type: "String" }) {
    messages(last: $count, before: $cursor) @connection(key: "Chat__messages") {
      __id
      edges {
        node {
          id
          seq
          ...Chat_message
        }
      }
    }
  }
`;

graphql`
  fragment Chat_message on Message {
    body
    sender {
      username
    }
  }
`;

graphql`
  mutation ChatRenameMutation($input: UpdateGroupInput!) {
    updateGroup(input: $input) {
      conversation {
        id
        title
      }
    }
  }
`;

graphql`
  mutation ChatSendMutation($input: SendMessageInput!, $connections: [ID!]!) {
    sendMessage(input: $input) {
      message @appendNode(connections: $connections, edgeTypeName: "MessageEdge") {
        id
        seq
        ...Chat_message
      }
    }
  }
`;

// Appending twice does no harm: Relay looks whether the node is there.
graphql`
  subscription ChatSubscription($conversationId: ID!, $after: Cursor, $connections: [ID!]!) {
    messageAdded(conversationId: $conversationId, after: $after) {
      cursor
      message @appendNode(connections: $connections, edgeTypeName: "MessageEdge") {
        id
        seq
        ...Chat_message
      }
    }
  }
`;

// A list of the viewer's needs no object to be refetched by.
graphql`
  query ChatRoomsQuery {
    ...Chat_rooms
  }
`;

graphql`
  fragment Chat_rooms on Query
  @refetchable(queryName: "ChatRoomsPaginationQuery")
  @argumentDefinitions(count: { type: "Int", defaultValue: 1 }, cursor: { type: "String" }) {
    conversations(first: $count, after: $cursor) @connection(key: "Chat__conversations") {
      edges {
        node {
          id
          title
        }
      }
    }
  }
`;
