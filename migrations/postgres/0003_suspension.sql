-- +goose Up
ALTER TABLE users ADD COLUMN suspended_at timestamptz;

-- +goose Down
ALTER TABLE users DROP COLUMN suspended_at;
