-- +goose Up
-- Browsers that are pushed to, each for as long as its session lasts.
CREATE TABLE push_subscriptions (
  id blob PRIMARY KEY,
  user_id blob NOT NULL REFERENCES users,
  session_id blob NOT NULL REFERENCES sessions ON DELETE CASCADE,
  endpoint text NOT NULL,
  endpoint_hash text NOT NULL UNIQUE, -- SHA-256: an endpoint may be longer than an index takes
  p256dh text NOT NULL,
  auth text NOT NULL,
  created_at integer NOT NULL,
  failures integer NOT NULL DEFAULT 0 -- refusals in a row
) STRICT, WITHOUT ROWID;
CREATE INDEX push_subscriptions_user ON push_subscriptions (user_id, created_at, id);
CREATE INDEX push_subscriptions_session ON push_subscriptions (session_id);

-- +goose Down
DROP TABLE push_subscriptions;
