-- +goose Up
ALTER TABLE users ADD COLUMN avatar_id blob;
ALTER TABLE conversations ADD COLUMN avatar_id blob;

-- Without sha256 a file is still being written, or whoever wrote it was killed: it is never shown, and expires.
CREATE TABLE files (
  id blob PRIMARY KEY,
  owner_id blob NOT NULL REFERENCES users,
  purpose text NOT NULL,
  parent_id blob REFERENCES files ON DELETE CASCADE, -- of a thumbnail
  content_type text NOT NULL DEFAULT '',
  size integer NOT NULL, -- of one that is being written: how large it may become
  width integer NOT NULL DEFAULT 0,
  height integer NOT NULL DEFAULT 0,
  orientation integer NOT NULL DEFAULT 0,
  sha256 blob,
  created_at integer NOT NULL,
  expires_at integer -- NULL: when what uses it lets go of it
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX files_thumbnail ON files (parent_id, width) WHERE parent_id IS NOT NULL;
CREATE INDEX files_expiring ON files (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX files_owner ON files (owner_id, purpose) WHERE expires_at IS NOT NULL;

-- With a rowid: a table without one would keep large rows in the tree that is searched.
CREATE TABLE file_chunks (
  file_id blob NOT NULL REFERENCES files ON DELETE CASCADE,
  n integer NOT NULL,
  data blob NOT NULL,
  PRIMARY KEY (file_id, n)
) STRICT;

-- The newest export that a user has asked for.
CREATE TABLE exports (
  user_id blob PRIMARY KEY REFERENCES users,
  requested_at integer NOT NULL,
  expires_at integer NOT NULL,
  file_id blob -- NULL: it is being made
) STRICT, WITHOUT ROWID;
CREATE INDEX exports_expiring ON exports (expires_at);

-- +goose Down
DROP TABLE exports;
DROP TABLE file_chunks;
DROP TABLE files;
ALTER TABLE conversations DROP COLUMN avatar_id;
ALTER TABLE users DROP COLUMN avatar_id;
