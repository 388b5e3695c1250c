-- +goose Up
-- What may be tried only so often, wherever it is tried: one row for each key that is not full, and for a minute after.
CREATE TABLE limits (
  key uuid PRIMARY KEY, -- a hash: an attacker chooses what is in it
  full_at bigint NOT NULL -- when nothing counts any more, in microseconds since 1970 on the database's own clock
);
CREATE INDEX limits_full ON limits (full_at);

-- +goose Down
DROP TABLE limits;
