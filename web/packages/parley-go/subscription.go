package parley

import (
	"bytes"
	"context"
	"encoding/json"
	"reflect"
	"sync"

	"github.com/Khan/genqlient/graphql"
)

// subscription is one operation, over as many connections as it takes.
type subscription struct {
	id, query, name string
	resumes         bool // takes $after
	channel         reflect.Value
	forward         graphql.ForwardDataFunction

	queue chan json.RawMessage // run sends and closes
	ended bool                 // queue is closed; guarded by the client's mutex
	quit  chan struct{}        // closed by unwant: nobody takes anything any more
	once  sync.Once
	done  chan struct{} // closed at the end of deliver, after the channel

	mu        sync.Mutex
	variables map[string]json.RawMessage
	cursor    string // of the newest event
}

// payload is what to ask for now.
func (s *subscription) payload() (json.RawMessage, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return json.Marshal(struct {
		Query     string                     `json:"query"`
		Name      string                     `json:"operationName,omitempty"`
		Variables map[string]json.RawMessage `json:"variables,omitempty"`
	}{s.query, s.name, s.variables})
}

// goOn has the next connection begin after a cursor.
func (s *subscription) goOn(cursor string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cursor = cursor
	if s.resumes {
		s.variables["after"], _ = json.Marshal(cursor)
	}
}

// fresh notes the cursor of an event, and says whether the event is a new one. CaughtUp repeats a cursor.
func (s *subscription) fresh(payload json.RawMessage) bool {
	if !bytes.Contains(payload, []byte(`"cursor"`)) {
		return true
	}
	var result struct {
		Data map[string]struct {
			Typename string `json:"__typename"`
			Cursor   string `json:"cursor"`
		} `json:"data"`
	}
	_ = json.Unmarshal(payload, &result) // what it is not, it is not
	for _, event := range result.Data {
		if event.Cursor == "" {
			continue
		}
		if event.Cursor == s.last() && event.Typename != "CaughtUp" && event.Typename != "" {
			return false
		}
		s.goOn(event.Cursor)
	}
	return true
}

func (s *subscription) last() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cursor
}

// push waits for a place in the queue, and fails when the client is closed meanwhile.
func (s *subscription) push(ctx context.Context, payload json.RawMessage) error {
	select {
	case s.queue <- payload:
	case <-s.quit:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// deliver hands on what comes until the queue is closed or nobody wants it.
func (s *subscription) deliver(skipped func(operation string, err error)) {
	defer s.channel.Close()
	for {
		select {
		case <-s.quit:
			return
		default:
		}
		select {
		case <-s.quit:
			return
		case payload, ok := <-s.queue:
			if !ok {
				return
			}
			if err := s.forward(s.channel.Interface(), payload); err != nil {
				skipped(s.name, err)
			}
		}
	}
}

// unwant has deliver come to an end.
func (s *subscription) unwant() {
	s.once.Do(func() { close(s.quit) })
}

func (s *subscription) unwanted() bool {
	select {
	case <-s.quit:
		return true
	default:
		return false
	}
}

// drain waits for the end of deliver, which may be sending on the channel: what it sends is thrown away.
func (s *subscription) drain() {
	for {
		chosen, _, open := reflect.Select([]reflect.SelectCase{
			{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(s.done)},
			{Dir: reflect.SelectRecv, Chan: s.channel},
		})
		if chosen == 0 || !open {
			<-s.done
			return
		}
	}
}
