-- +goose Up
CREATE TABLE webhooks (
  id blob PRIMARY KEY,
  conversation_id blob REFERENCES conversations, -- NULL: of the whole installation
  owner_id blob NOT NULL REFERENCES users,
  url text NOT NULL,
  types text NOT NULL DEFAULT '', -- separated by commas; empty: all
  secret text NOT NULL, -- sealed, as is the one before
  old_secret text NOT NULL DEFAULT '',
  old_until integer,
  enabled integer NOT NULL DEFAULT 1,
  reason text NOT NULL DEFAULT '', -- why it was disabled; empty: somebody did
  since_position integer NOT NULL, -- it hears of events after this one
  pending integer NOT NULL DEFAULT 0, -- deliveries
  failing_since integer,
  created_at integer NOT NULL,
  deleted_at integer -- its deliveries are purged, and then it
) STRICT, WITHOUT ROWID;
CREATE INDEX webhooks_conversation ON webhooks (conversation_id, id) WHERE deleted_at IS NULL;
CREATE INDEX webhooks_deleted ON webhooks (deleted_at) WHERE deleted_at IS NOT NULL;

-- What is delivered is made of the event when it is sent, and is not kept here.
CREATE TABLE webhook_deliveries (
  webhook_id blob NOT NULL REFERENCES webhooks,
  position integer NOT NULL, -- of the event; negative: a ping, which goes first
  id blob NOT NULL UNIQUE,
  type text NOT NULL,
  status text NOT NULL,
  attempts integer NOT NULL DEFAULT 0,
  queued_at integer NOT NULL,
  attempted_at integer,
  next_at integer NOT NULL,
  http_status integer NOT NULL DEFAULT 0,
  reason text NOT NULL DEFAULT '',
  PRIMARY KEY (webhook_id, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX webhook_deliveries_pending ON webhook_deliveries (webhook_id, position) WHERE status = 'PENDING';
CREATE INDEX webhook_deliveries_status ON webhook_deliveries (webhook_id, status, id);
CREATE INDEX webhook_deliveries_delivered ON webhook_deliveries (id) WHERE status = 'DELIVERED';

-- +goose Down
DROP TABLE webhook_deliveries;
DROP TABLE webhooks;
