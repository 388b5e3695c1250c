package chat

import "time"

// Webhook is an address of somebody else's that is told of events as they happen.
type Webhook struct {
	ID           ID
	Conversation ID // whose events; zero: all of the installation
	Owner        ID // who made it, or enabled it or changed its address last
	URL          string
	Types        []EventType // nil: all
	Secret       string      // sealed
	OldSecret    string      // sealed; signs too until OldUntil
	OldUntil     time.Time
	Enabled      bool
	Reason       string   // why the server disabled it; empty: it did not
	Since        Position // it hears of events after this one
	Pending      int      // deliveries
	FailingSince time.Time
	CreatedAt    time.Time
}

// DeliveryStatus says where a delivery stands.
type DeliveryStatus string

// The states of a delivery.
const (
	DeliveryPending   DeliveryStatus = "PENDING"
	DeliveryDelivered DeliveryStatus = "DELIVERED"
	DeliveryDead      DeliveryStatus = "DEAD" // given up; may be replayed
)

// PingDelivery is the type of a delivery that is a test, and of no event.
const PingDelivery EventType = "PING"

// WebhookDelivery is an event on its way to a webhook.
type WebhookDelivery struct {
	ID          ID
	Webhook     ID
	Position    Position // of the event; negative for a ping
	Type        EventType
	Status      DeliveryStatus
	Attempts    int
	QueuedAt    time.Time
	AttemptedAt time.Time // the last time; zero: never
	NextAt      time.Time // of the next attempt while pending
	HTTPStatus  int       // of the last attempt; 0: nothing was answered
	Reason      string    // why the last attempt failed
}
