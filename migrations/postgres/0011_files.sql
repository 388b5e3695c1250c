-- +goose Up
ALTER TABLE users ADD COLUMN avatar_id uuid;
ALTER TABLE conversations ADD COLUMN avatar_id uuid;

-- Without sha256 a file is still being written, or whoever wrote it was killed: it is never shown, and expires.
CREATE TABLE files (
  id uuid PRIMARY KEY,
  owner_id uuid NOT NULL REFERENCES users,
  purpose text NOT NULL,
  parent_id uuid REFERENCES files ON DELETE CASCADE, -- of a thumbnail
  content_type text NOT NULL DEFAULT '',
  size bigint NOT NULL, -- of one that is being written: how large it may become
  width bigint NOT NULL DEFAULT 0,
  height bigint NOT NULL DEFAULT 0,
  orientation bigint NOT NULL DEFAULT 0,
  sha256 bytea,
  created_at timestamptz NOT NULL,
  expires_at timestamptz -- NULL: when what uses it lets go of it
);
CREATE UNIQUE INDEX files_thumbnail ON files (parent_id, width) WHERE parent_id IS NOT NULL;
CREATE INDEX files_expiring ON files (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX files_owner ON files (owner_id, purpose) WHERE expires_at IS NOT NULL;

CREATE TABLE file_chunks (
  file_id uuid NOT NULL REFERENCES files ON DELETE CASCADE,
  n bigint NOT NULL,
  data bytea NOT NULL,
  PRIMARY KEY (file_id, n)
);
ALTER TABLE file_chunks ALTER COLUMN data SET STORAGE EXTERNAL; -- compressed already

-- The newest export that a user has asked for.
CREATE TABLE exports (
  user_id uuid PRIMARY KEY REFERENCES users,
  requested_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  file_id uuid -- NULL: it is being made
);
CREATE INDEX exports_expiring ON exports (expires_at);

-- +goose Down
DROP TABLE exports, file_chunks, files;
ALTER TABLE conversations DROP COLUMN avatar_id;
ALTER TABLE users DROP COLUMN avatar_id;
