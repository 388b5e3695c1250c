package ws

import (
	"encoding/json"
	"testing"
)

// Whatever parses is an object with a type, and its id survives being written into an envelope.
func FuzzMessage(f *testing.F) {
	for _, s := range []string{`{"type":"ping"}`, `{"id":"a\"b","type":"subscribe","payload":{"query":"{me{id}}","variables":{"a":1}}}`, `{"type":"connection_init","payload":{"headers":{"Authorization":"x"}}}`, `[]`, `null`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parse(b)
		if err != nil {
			return
		}
		var back string
		if json.Unmarshal([]byte(`"`+m.id+`"`), &back) != nil || back != m.rawID {
			t.Errorf("id %q became %q", m.rawID, m.id)
		}
		for _, frame := range [][]byte{modernFraming.Next(nil, m.id, []byte("{}")), legacyFraming.Complete(nil, m.id), modernFraming.Error(nil, m.id, []byte("[]"))} {
			h := 2
			if frame[1] == 126 {
				h = 4
			}
			if frame[1] == 127 {
				h = 10
			}
			if !json.Valid(frame[h:]) {
				t.Errorf("%s", frame)
			}
		}
		authorization(m.payload)
	})
}
