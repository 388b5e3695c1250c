package request

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"reflect"
	"testing"
)

// Object finds what encoding/json finds, whatever is thrown at it.
func FuzzObject(f *testing.F) {
	for _, s := range []string{
		`{}`, ` { } `, `{"a":1}`, `{"a":-1.5e3 ,"b":[{"c":"}\"]"},2],"d":{"e":null}}`, "\n{\t\"a\\u0062\" : true , \"\\\"\":\"\\\\\"\r}", `{"a":1,"a":2}`,
		`[]`, `null`, `1`, `"x"`, `{"a"}`, `{"a":1}{`, `{"a":1,}`, ``, `{`, `{"a":nul}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var want map[string]json.RawMessage
		wantOK := json.Unmarshal(text, &want) == nil && want != nil
		got := map[string]json.RawMessage{}
		ok := Object(text, func(name, value []byte) { got[string(bytes.ToValidUTF8(name, []byte("\uFFFD")))] = value })
		if ok != wantOK {
			t.Fatalf("%q: %v, encoding/json says %v", text, ok, wantOK)
		}
		if !json.Valid(text) || !ok {
			return
		}
		if bytes.ContainsRune(text, '\uFFFD') || !json.Valid(bytes.ToValidUTF8(text, nil)) || len(bytes.ToValidUTF8(text, nil)) != len(text) {
			return // encoding/json replaces what is not UTF-8, which no transport lets through
		}
		if !maps.EqualFunc(got, want, func(a, b json.RawMessage) bool { return bytes.Equal(a, b) }) {
			t.Fatalf("%q: %q, encoding/json says %q", text, got, want)
		}
		var all map[string]any
		d := json.NewDecoder(bytes.NewReader(text))
		d.UseNumber()
		if m, _ := members(bytes.TrimSpace(text)); d.Decode(&all) != nil || !reflect.DeepEqual(m, all) {
			t.Errorf("%q: %v, encoding/json says %v", text, m, all)
		}
		for name, value := range got {
			var s string
			err := json.Unmarshal(value, &s)
			if r, ok := Text(value); ok != (err == nil && !Null(value)) || ok && r != s {
				t.Errorf("%s: %q %v, encoding/json says %q %v", name, r, ok, s, err)
			}
		}
	})
}

func TestParse(t *testing.T) {
	for body, want := range map[string]error{
		`{"query":"{me{id}}"}`: nil,
		`{"query":"{me{id}}","operationName":null,"variables":null,"extensions":null,"other":[1]}`: nil,
		`{"extensions":{"persistedQuery":{"version":1}}}`:                                          nil,
		` [{"query":"{me{id}}"}]`: ErrBatch,
		`{"query":""}`:            nil,
		`{"query":null}`:          ErrNoQuery,
		`{}`:                      ErrNoQuery,
		``:                        ErrNotObject,
		`null`:                    ErrNotObject,
		`"query"`:                 ErrNotObject,
		`{"query":"{me{id}}"} x`:  ErrNotObject,
		"{\"query\":\"\xff\"}":    ErrNotObject,
	} {
		if _, err := Parse([]byte(body)); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", body, err, want)
		}
	}
	for _, name := range []string{"query", "operationName", "variables", "extensions"} {
		want := name + " has the wrong type"
		if _, err := Parse([]byte(`{"query":"{me{id}}","` + name + `":[1]}`)); err == nil || err.Error() != want {
			t.Errorf("%s of a wrong type: %v", name, err)
		}
	}
	p, err := Parse([]byte(`{"query":"query Q($n: Int) {\n}","operationName":"Q","variables":{"n":9007199254740993,"o":{"l":[null]}}}`))
	if err != nil || p.Query != "query Q($n: Int) {\n}" || p.OperationName != "Q" ||
		!reflect.DeepEqual(p.Variables, map[string]any{"n": json.Number("9007199254740993"), "o": map[string]any{"l": []any{nil}}}) {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestParseQuery(t *testing.T) {
	p, err := ParseQuery(`query=%7Bme%7Bid%7D%7D&variables=%7B%22a%22%3A1%7D&extensions=null`)
	if err != nil || p.Query != "{me{id}}" || p.Variables["a"] != json.Number("1") || p.Extensions != nil {
		t.Errorf("%+v, %v", p, err)
	}
	for raw, want := range map[string]string{
		"query=%zz": ErrURL.Error(), "query=%ff": ErrURL.Error(), "": ErrNoQuery.Error(),
		"query={me{id}}&variables=[]": "variables is not a JSON object", "query={me{id}}&extensions=x": "extensions is not a JSON object",
	} {
		if _, err := ParseQuery(raw); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", raw, err, want)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	body := []byte(`{"query":"mutation($i: SendMessageInput!) { sendMessage(input: $i) { cursor message { id seq createdAt } } }","variables":{"i":{"conversationId":"cnv_01hf0000000000000000000000","body":"the quick brown fox jumps over the lazy dog","clientKey":"abc-1"}}}`)
	b.Run("encoding/json", func(b *testing.B) {
		for b.Loop() {
			var p struct {
				Query         string
				OperationName string
				Variables     map[string]any
				Extensions    map[string]any
			}
			d := json.NewDecoder(bytes.NewReader(body))
			d.UseNumber()
			if d.Decode(&p) != nil {
				b.Fatal()
			}
		}
	})
	b.Run("Parse", func(b *testing.B) {
		for b.Loop() {
			if _, err := Parse(body); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func TestWantsStream(t *testing.T) {
	for accept, want := range map[string]bool{
		"": false, "*/*": false, "text/*": false, "application/json": false,
		"text/event-stream": true, "Text/Event-Stream; charset=utf-8": true,
		"application/json, text/event-stream": false, "text/event-stream, application/json": true, "text/event-stream, multipart/mixed": true,
		"application/graphql-response+json, application/graphql+json, application/json, text/event-stream, multipart/mixed": false, // urql
		"application/json, text/event-stream;q=0.5": false, "application/json;q=0.5, text/event-stream": true,
		"text/event-stream;q=0": false, "text/event-streams": false,
	} {
		if got := WantsStream([]string{accept}); got != want {
			t.Errorf("%q: %v", accept, got)
		}
	}
}
