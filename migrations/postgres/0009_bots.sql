-- +goose Up
ALTER TABLE users ADD COLUMN owner_id uuid; -- of a bot; null: a person
CREATE INDEX users_owner ON users (owner_id, id) WHERE owner_id IS NOT NULL;

-- Those that were revoked are gone.
CREATE TABLE api_keys (
  id uuid PRIMARY KEY,
  bot_id uuid NOT NULL REFERENCES users,
  name text NOT NULL,
  scopes bigint NOT NULL,
  created_at timestamptz NOT NULL,
  expires_at timestamptz,
  session_id uuid NOT NULL -- that its newest secret begins
);
CREATE INDEX api_keys_bot ON api_keys (bot_id, id);

-- A secret of an API key is a session of the bot's.
ALTER TABLE sessions ADD COLUMN key_id uuid;
ALTER TABLE sessions ADD COLUMN secret_hash bytea;
CREATE INDEX sessions_key ON sessions (key_id) WHERE key_id IS NOT NULL AND ended_at IS NULL;

CREATE TABLE incoming_webhooks (
  id uuid PRIMARY KEY,
  conversation_id uuid NOT NULL REFERENCES conversations,
  bot_id uuid NOT NULL REFERENCES users,
  name text NOT NULL,
  created_at timestamptz NOT NULL,
  secret_hash bytea NOT NULL,
  signing_secret bytea -- sealed; null: what comes need not be signed
);
CREATE INDEX incoming_webhooks_conversation ON incoming_webhooks (conversation_id, id);
CREATE INDEX incoming_webhooks_bot ON incoming_webhooks (bot_id);

-- +goose Down
DROP TABLE incoming_webhooks;
DROP INDEX sessions_key;
ALTER TABLE sessions DROP COLUMN secret_hash, DROP COLUMN key_id;
DROP TABLE api_keys;
DROP INDEX users_owner;
ALTER TABLE users DROP COLUMN owner_id;
