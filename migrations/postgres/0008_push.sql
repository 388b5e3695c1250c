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

-- +goose Down
DROP TABLE push_subscriptions;
