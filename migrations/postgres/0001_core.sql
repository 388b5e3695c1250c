-- +goose Up
CREATE TABLE users (
  id uuid PRIMARY KEY,
  username text COLLATE "C" NOT NULL UNIQUE,
  display_name text NOT NULL,
  display_key text COLLATE "C" NOT NULL, -- display_name in lower case, for the search
  bio text NOT NULL DEFAULT '',
  password_hash text NOT NULL,
  created_at timestamptz NOT NULL,
  last_seen_at timestamptz
);
CREATE INDEX users_display ON users (display_key);

CREATE TABLE sessions (
  id uuid PRIMARY KEY,
  user_id uuid NOT NULL REFERENCES users,
  created_at timestamptz NOT NULL,
  last_used_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  ended_at timestamptz,
  user_agent text NOT NULL DEFAULT '',
  generation bigint NOT NULL DEFAULT 1 -- of the newest refresh token: an older one is a reuse
);
CREATE INDEX sessions_user ON sessions (user_id, id) WHERE ended_at IS NULL;
CREATE INDEX sessions_ended ON sessions (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX sessions_expires ON sessions (expires_at);

CREATE TABLE friend_requests (
  id uuid PRIMARY KEY,
  from_id uuid NOT NULL REFERENCES users,
  to_id uuid NOT NULL REFERENCES users,
  low_id uuid NOT NULL, -- the two, in order: one pending request a pair
  high_id uuid NOT NULL,
  status text NOT NULL,
  created_at timestamptz NOT NULL,
  answered_at timestamptz
);
CREATE UNIQUE INDEX friend_requests_pending ON friend_requests (low_id, high_id) WHERE status = 'PENDING';
CREATE INDEX friend_requests_to ON friend_requests (to_id, status, id);
CREATE INDEX friend_requests_from ON friend_requests (from_id, status, id);

CREATE TABLE conversations (
  id uuid PRIMARY KEY,
  kind text NOT NULL,
  title text NOT NULL DEFAULT '',
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  member_count bigint NOT NULL,
  silent boolean NOT NULL DEFAULT false,
  last_seq bigint NOT NULL DEFAULT 0,
  last_message_id uuid,
  deleted_at timestamptz
) WITH (fillfactor = 50);

-- Two rows a friendship, one for each side.
CREATE TABLE friendships (
  user_id uuid NOT NULL REFERENCES users,
  friend_id uuid NOT NULL REFERENCES users,
  since timestamptz NOT NULL,
  conversation_id uuid NOT NULL, -- their direct one, made after this row in the same transaction
  PRIMARY KEY (user_id, friend_id)
);
CREATE INDEX friendships_since ON friendships (user_id, since, friend_id);

CREATE TABLE blocks (
  blocker_id uuid NOT NULL REFERENCES users,
  blocked_id uuid NOT NULL REFERENCES users,
  created_at timestamptz NOT NULL,
  PRIMARY KEY (blocker_id, blocked_id)
);
CREATE INDEX blocks_created ON blocks (blocker_id, created_at, blocked_id);

-- The one direct conversation of two users, for ever.
CREATE TABLE direct_conversations (
  low_id uuid NOT NULL REFERENCES users,
  high_id uuid NOT NULL REFERENCES users,
  conversation_id uuid NOT NULL REFERENCES conversations,
  PRIMARY KEY (low_id, high_id)
);

-- A row for each span of the log in which a user belongs to a conversation, both ends inclusive. A position is -1 only
-- inside the transaction that is about to learn it.
CREATE TABLE memberships (
  conversation_id uuid NOT NULL REFERENCES conversations,
  user_id uuid NOT NULL REFERENCES users,
  role text NOT NULL,
  joined_at timestamptz NOT NULL,
  joined_position bigint NOT NULL,
  left_position bigint,
  read_seq bigint NOT NULL,
  read_at timestamptz,
  PRIMARY KEY (conversation_id, user_id, joined_position)
) WITH (fillfactor = 70);
CREATE UNIQUE INDEX memberships_current ON memberships (conversation_id, user_id) WHERE left_position IS NULL;
CREATE INDEX memberships_user ON memberships (user_id, conversation_id) WHERE left_position IS NULL;
CREATE INDEX memberships_ended ON memberships (user_id, left_position) WHERE left_position IS NOT NULL;
CREATE INDEX memberships_joined ON memberships (conversation_id, joined_position, user_id) WHERE left_position IS NULL;

-- No foreign keys: a send finds the membership, which has them, and to check and lock two more rows for each message would
-- cost as much as the message. Users and conversations are never deleted.
CREATE TABLE messages (
  id uuid PRIMARY KEY,
  conversation_id uuid NOT NULL,
  seq bigint NOT NULL,
  position bigint NOT NULL,
  sender_id uuid NOT NULL,
  client_key text NOT NULL,
  body text NOT NULL,
  created_at timestamptz NOT NULL,
  UNIQUE (conversation_id, seq),
  UNIQUE (sender_id, client_key)
);

-- The log. position comes from event_head alone, under its row lock: commit order is position order.
CREATE TABLE event_head (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  epoch bigint NOT NULL,
  position bigint NOT NULL,
  trimmed bigint NOT NULL DEFAULT 0 -- events up to here are past the retention and gone
) WITH (fillfactor = 10);
INSERT INTO event_head (epoch, position) VALUES (floor(random() * 4294967295)::bigint, 0);

CREATE TABLE events (
  position bigint PRIMARY KEY,
  topic_kind smallint NOT NULL,
  topic_id uuid NOT NULL,
  type text NOT NULL,
  actor_id uuid,
  subject_id uuid,
  seq bigint NOT NULL DEFAULT 0,
  detail text NOT NULL DEFAULT '',
  at timestamptz NOT NULL
);
CREATE INDEX events_topic ON events (topic_id, position);

-- +goose Down
DROP TABLE events, event_head, messages, memberships, direct_conversations, blocks, friendships, conversations, friend_requests, sessions, users;
