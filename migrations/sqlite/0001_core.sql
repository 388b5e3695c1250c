-- +goose Up
CREATE TABLE users (
  id blob PRIMARY KEY,
  username text NOT NULL UNIQUE,
  display_name text NOT NULL,
  display_key text NOT NULL, -- display_name in lower case, for the search
  bio text NOT NULL DEFAULT '',
  password_hash text NOT NULL,
  created_at integer NOT NULL,
  last_seen_at integer
) STRICT, WITHOUT ROWID;
CREATE INDEX users_display ON users (display_key);

CREATE TABLE sessions (
  id blob PRIMARY KEY,
  user_id blob NOT NULL REFERENCES users,
  created_at integer NOT NULL,
  last_used_at integer NOT NULL,
  expires_at integer NOT NULL,
  ended_at integer,
  user_agent text NOT NULL DEFAULT '',
  generation integer NOT NULL DEFAULT 1 -- of the newest refresh token: an older one is a reuse
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_user ON sessions (user_id, id) WHERE ended_at IS NULL;
CREATE INDEX sessions_ended ON sessions (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX sessions_expires ON sessions (expires_at);

CREATE TABLE friend_requests (
  id blob PRIMARY KEY,
  from_id blob NOT NULL REFERENCES users,
  to_id blob NOT NULL REFERENCES users,
  low_id blob NOT NULL, -- the two, in order: one pending request a pair
  high_id blob NOT NULL,
  status text NOT NULL,
  created_at integer NOT NULL,
  answered_at integer
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX friend_requests_pending ON friend_requests (low_id, high_id) WHERE status = 'PENDING';
CREATE INDEX friend_requests_to ON friend_requests (to_id, status, id);
CREATE INDEX friend_requests_from ON friend_requests (from_id, status, id);

CREATE TABLE conversations (
  id blob PRIMARY KEY,
  kind text NOT NULL,
  title text NOT NULL DEFAULT '',
  created_at integer NOT NULL,
  updated_at integer NOT NULL,
  member_count integer NOT NULL,
  silent integer NOT NULL DEFAULT 0,
  last_seq integer NOT NULL DEFAULT 0,
  last_message_id blob,
  deleted_at integer
) STRICT, WITHOUT ROWID;

-- Two rows a friendship, one for each side.
CREATE TABLE friendships (
  user_id blob NOT NULL REFERENCES users,
  friend_id blob NOT NULL REFERENCES users,
  since integer NOT NULL,
  conversation_id blob NOT NULL, -- their direct one, made after this row in the same transaction
  PRIMARY KEY (user_id, friend_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX friendships_since ON friendships (user_id, since, friend_id);

CREATE TABLE blocks (
  blocker_id blob NOT NULL REFERENCES users,
  blocked_id blob NOT NULL REFERENCES users,
  created_at integer NOT NULL,
  PRIMARY KEY (blocker_id, blocked_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX blocks_created ON blocks (blocker_id, created_at, blocked_id);

-- The one direct conversation of two users, for ever.
CREATE TABLE direct_conversations (
  low_id blob NOT NULL REFERENCES users,
  high_id blob NOT NULL REFERENCES users,
  conversation_id blob NOT NULL REFERENCES conversations,
  PRIMARY KEY (low_id, high_id)
) STRICT, WITHOUT ROWID;

-- A row for each span of the log in which a user belongs to a conversation, both ends inclusive. A position is -1 only
-- inside the transaction that is about to learn it.
CREATE TABLE memberships (
  conversation_id blob NOT NULL REFERENCES conversations,
  user_id blob NOT NULL REFERENCES users,
  role text NOT NULL,
  joined_at integer NOT NULL,
  joined_position integer NOT NULL,
  left_position integer,
  read_seq integer NOT NULL,
  read_at integer,
  PRIMARY KEY (conversation_id, user_id, joined_position)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX memberships_current ON memberships (conversation_id, user_id) WHERE left_position IS NULL;
CREATE INDEX memberships_user ON memberships (user_id, conversation_id) WHERE left_position IS NULL;
CREATE INDEX memberships_ended ON memberships (user_id, left_position) WHERE left_position IS NOT NULL;
CREATE INDEX memberships_joined ON memberships (conversation_id, joined_position, user_id) WHERE left_position IS NULL;

CREATE TABLE messages (
  position integer PRIMARY KEY,
  id blob NOT NULL UNIQUE,
  conversation_id blob NOT NULL,
  seq integer NOT NULL,
  sender_id blob NOT NULL,
  client_key text NOT NULL,
  body text NOT NULL,
  created_at integer NOT NULL,
  UNIQUE (conversation_id, seq),
  UNIQUE (sender_id, client_key)
) STRICT;

-- Times are microseconds since 1970; ids are the 16 bytes of a UUID.
-- The log. position comes from event_head alone, under its row lock: commit order is position order.
CREATE TABLE event_head (
  one integer PRIMARY KEY DEFAULT 1 CHECK (one = 1),
  epoch integer NOT NULL,
  position integer NOT NULL,
  trimmed integer NOT NULL DEFAULT 0 -- events up to here are past the retention and gone
) STRICT;
INSERT INTO event_head (epoch, position) VALUES (abs(random()) % 4294967295, 0);

CREATE TABLE events (
  position integer PRIMARY KEY,
  topic_kind integer NOT NULL,
  topic_id blob NOT NULL,
  type text NOT NULL,
  actor_id blob,
  subject_id blob,
  seq integer NOT NULL DEFAULT 0,
  detail text NOT NULL DEFAULT '',
  at integer NOT NULL
) STRICT;
CREATE INDEX events_topic ON events (topic_id, position);

-- +goose Down
DROP TABLE events;
DROP TABLE event_head;
DROP TABLE messages;
DROP TABLE memberships;
DROP TABLE direct_conversations;
DROP TABLE blocks;
DROP TABLE friendships;
DROP TABLE conversations;
DROP TABLE friend_requests;
DROP TABLE sessions;
DROP TABLE users;
