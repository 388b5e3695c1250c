-- +goose Up
ALTER TABLE users
  ADD COLUMN email text COLLATE "C", -- the user has shown that it is theirs
  ADD COLUMN email_key text COLLATE "C", -- email in lower case: one account an address
  ADD COLUMN email_verified_at timestamptz,
  ADD COLUMN unverified_email text COLLATE "C"; -- waits to take email's place; anybody may claim any
CREATE UNIQUE INDEX users_email ON users (email_key);
ALTER TABLE sessions ADD COLUMN address text NOT NULL DEFAULT '';

-- What mails are made of that lead somewhere: the link's token is made of the id, and known to nobody but the receiver.
CREATE TABLE mail_tokens (
  id uuid PRIMARY KEY,
  kind text NOT NULL,
  user_id uuid, -- null: somebody asked about a user who does not exist
  email text COLLATE "C" NOT NULL,
  created_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL
);
CREATE INDEX mail_tokens_user ON mail_tokens (user_id);
CREATE INDEX mail_tokens_expires ON mail_tokens (expires_at);

-- From what users signed in.
CREATE TABLE devices (
  user_id uuid NOT NULL REFERENCES users,
  hash uuid NOT NULL, -- 16 bytes of SHA-256
  seen_at timestamptz NOT NULL,
  PRIMARY KEY (user_id, hash)
);

-- +goose Down
DROP TABLE devices;
DROP TABLE mail_tokens;
ALTER TABLE sessions DROP COLUMN address;
DROP INDEX users_email;
ALTER TABLE users DROP COLUMN email, DROP COLUMN email_key, DROP COLUMN email_verified_at, DROP COLUMN unverified_email;
