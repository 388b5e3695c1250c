-- +goose Up
ALTER TABLE users ADD COLUMN email text; -- the user has shown that it is theirs
ALTER TABLE users ADD COLUMN email_key text; -- email in lower case: one account an address
ALTER TABLE users ADD COLUMN email_verified_at integer;
ALTER TABLE users ADD COLUMN unverified_email text; -- waits to take email's place; anybody may claim any
CREATE UNIQUE INDEX users_email ON users (email_key);
ALTER TABLE sessions ADD COLUMN address text NOT NULL DEFAULT '';

-- What mails are made of that lead somewhere: the link's token is made of the id, and known to nobody but the receiver.
CREATE TABLE mail_tokens (
  id blob PRIMARY KEY,
  kind text NOT NULL,
  user_id blob, -- null: somebody asked about a user who does not exist
  email text NOT NULL,
  created_at integer NOT NULL,
  expires_at integer NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX mail_tokens_user ON mail_tokens (user_id);
CREATE INDEX mail_tokens_expires ON mail_tokens (expires_at);

-- From what users signed in.
CREATE TABLE devices (
  user_id blob NOT NULL REFERENCES users,
  hash blob NOT NULL, -- 16 bytes of SHA-256
  seen_at integer NOT NULL,
  PRIMARY KEY (user_id, hash)
) STRICT, WITHOUT ROWID;

-- +goose Down
DROP TABLE devices;
DROP TABLE mail_tokens;
ALTER TABLE sessions DROP COLUMN address;
DROP INDEX users_email;
ALTER TABLE users DROP COLUMN email;
ALTER TABLE users DROP COLUMN email_key;
ALTER TABLE users DROP COLUMN email_verified_at;
ALTER TABLE users DROP COLUMN unverified_email;
