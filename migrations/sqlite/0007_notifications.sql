-- +goose Up
-- What users want to be told: only what differs from the defaults, which the program knows. NULL is the default.
CREATE TABLE notification_settings (
  user_id blob PRIMARY KEY REFERENCES users,
  quiet_start integer, -- minutes since midnight in time_zone; both or none
  quiet_end integer,
  time_zone text, -- IANA
  digest integer,
  digest_hour integer
) STRICT, WITHOUT ROWID;
CREATE TABLE notification_kinds (
  user_id blob NOT NULL REFERENCES users,
  kind text NOT NULL,
  in_app integer,
  push integer,
  mail integer,
  PRIMARY KEY (user_id, kind)
) STRICT, WITHOUT ROWID;
-- Of a membership, and so gone with it.
ALTER TABLE memberships ADD COLUMN notification_level text;
ALTER TABLE memberships ADD COLUMN muted_until integer;

-- The list that users see. Ids sort by time. All changes of a user's entries lock the user's row first.
CREATE TABLE notifications (
  id blob PRIMARY KEY,
  user_id blob NOT NULL REFERENCES users,
  kind text NOT NULL,
  actor_id blob,
  conversation_id blob,
  subject_id blob, -- a friend request, a message or a session: told once; NULL where each time is another
  seq integer NOT NULL DEFAULT 0, -- of the message
  created_at integer NOT NULL,
  read_at integer
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX notifications_subject ON notifications (user_id, kind, subject_id);
CREATE INDEX notifications_user ON notifications (user_id, id);
CREATE INDEX notifications_unread ON notifications (user_id, id) WHERE read_at IS NULL;
CREATE INDEX notifications_mentions ON notifications (user_id, conversation_id, seq) WHERE read_at IS NULL AND kind = 'MENTION';

-- +goose Down
DROP TABLE notifications;
DROP TABLE notification_kinds;
DROP TABLE notification_settings;
ALTER TABLE memberships DROP COLUMN notification_level;
ALTER TABLE memberships DROP COLUMN muted_until;
