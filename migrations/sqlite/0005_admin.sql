-- +goose Up
ALTER TABLE users ADD COLUMN admin integer NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE users DROP COLUMN admin;
