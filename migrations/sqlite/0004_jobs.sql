-- +goose Up
-- Up to where jobs were made of what the log tells: one row.
CREATE TABLE job_cursor (
  position integer NOT NULL
) STRICT;
INSERT INTO job_cursor (position) SELECT position FROM event_head;

-- +goose Down
DROP TABLE job_cursor;
