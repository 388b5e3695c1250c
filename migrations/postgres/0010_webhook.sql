-- +goose Up
CREATE TABLE webhooks (
  id uuid PRIMARY KEY,
  conversation_id uuid REFERENCES conversations, -- NULL: of the whole installation
  owner_id uuid NOT NULL REFERENCES users,
  url text NOT NULL,
  types text NOT NULL DEFAULT '', -- separated by commas; empty: all
  secret text NOT NULL, -- sealed, as is the one before
  old_secret text NOT NULL DEFAULT '',
  old_until timestamptz,
  enabled boolean NOT NULL DEFAULT true,
  reason text NOT NULL DEFAULT '', -- why it was disabled; empty: somebody did
  since_position bigint NOT NULL, -- it hears of events after this one
  pending integer NOT NULL DEFAULT 0, -- deliveries
  failing_since timestamptz,
  created_at timestamptz NOT NULL,
  deleted_at timestamptz -- its deliveries are purged, and then it
);
CREATE INDEX webhooks_conversation ON webhooks (conversation_id, id) WHERE deleted_at IS NULL;
CREATE INDEX webhooks_deleted ON webhooks (deleted_at) WHERE deleted_at IS NOT NULL;

-- What is delivered is made of the event when it is sent, and is not kept here.
CREATE TABLE webhook_deliveries (
  webhook_id uuid NOT NULL REFERENCES webhooks,
  position bigint NOT NULL, -- of the event; negative: a ping, which goes first
  id uuid NOT NULL UNIQUE,
  type text NOT NULL,
  status text NOT NULL,
  attempts integer NOT NULL DEFAULT 0,
  queued_at timestamptz NOT NULL,
  attempted_at timestamptz,
  next_at timestamptz NOT NULL,
  http_status integer NOT NULL DEFAULT 0,
  reason text NOT NULL DEFAULT '',
  PRIMARY KEY (webhook_id, position)
);
CREATE INDEX webhook_deliveries_pending ON webhook_deliveries (webhook_id, position) WHERE status = 'PENDING';
CREATE INDEX webhook_deliveries_status ON webhook_deliveries (webhook_id, status, id);
CREATE INDEX webhook_deliveries_delivered ON webhook_deliveries (id) WHERE status = 'DELIVERED';

-- +goose Down
DROP TABLE webhook_deliveries;
DROP TABLE webhooks;
