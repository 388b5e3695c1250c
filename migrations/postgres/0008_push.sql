-- +goose Up
-- Browsers that are pushed to, each for as long as its session lasts.
CREATE TABLE push_subscriptions (
  id uuid PRIMARY KEY,
  user_id uuid NOT NULL REFERENCES users,
  session_id uuid NOT NULL REFERENCES sessions ON DELETE CASCADE,
  endpoint text NOT NULL,
  endpoint_hash text NOT NULL UNIQUE, -- SHA-256: an endpoint may be longer than an index takes
  p256dh text NOT NULL,
  auth text NOT NULL,
  created_at timestamptz NOT NULL,
  failures bigint NOT NULL DEFAULT 0 -- refusals in a row
);
CREATE INDEX push_subscriptions_user ON push_subscriptions (user_id, created_at, id);
CREATE INDEX push_subscriptions_session ON push_subscriptions (session_id);

-- When whose digest is due: of those who have said something of their address.
CREATE TABLE digests (
  user_id uuid PRIMARY KEY REFERENCES users,
  due_at timestamptz, -- null: they want none
  due_on text NOT NULL DEFAULT '', -- the day by their clocks, as 2026-11-21
  told_on text NOT NULL DEFAULT '', -- that of the last one
  told_position bigint NOT NULL DEFAULT 0 -- messages up to here were in one
);
CREATE INDEX digests_due ON digests (due_at);

-- +goose Down
DROP TABLE digests;
DROP TABLE push_subscriptions;
