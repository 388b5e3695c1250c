-- +goose Up
ALTER TABLE users ADD COLUMN suspended_at integer;

-- +goose Down
ALTER TABLE users DROP COLUMN suspended_at;
