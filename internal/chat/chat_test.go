package chat_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/parley-chat/parley/internal/chat"
)

func TestIDIsATypeID(t *testing.T) {
	t.Parallel()
	// From valid.json of the TypeID specification.
	for text, id := range map[string]string{
		"msg_00000000000000000000000000": "00000000-0000-0000-0000-000000000000",
		"msg_0000000000000000000000000g": "00000000-0000-0000-0000-000000000010",
		"msg_7zzzzzzzzzzzzzzzzzzzzzzzzz": "ffffffff-ffff-ffff-ffff-ffffffffffff",
		"msg_01h455vb4pex5vsknk084sn02q": "01890a5d-ac96-774b-bcce-b302099a8057",
	} {
		want := chat.ID{Kind: chat.KindMessage, UUID: uuid.MustParse(id)}
		if got, err := chat.ParseID(text); err != nil || got != want {
			t.Errorf("%s is %v, %v", text, got.UUID, err)
		}
		if want.String() != text {
			t.Errorf("%s is %s", id, want)
		}
	}
	for _, text := range []string{
		"", "_", "msg", "msg_", "msg_8zzzzzzzzzzzzzzzzzzzzzzzzz", "msg_01h455vb4pex5vsknk084sn02", "msg_01h455vb4pex5vsknk084sn02qq",
		"msg_01H455VB4PEX5VSKNK084SN02Q", "MSG_01h455vb4pex5vsknk084sn02q", "xyz_01h455vb4pex5vsknk084sn02q", "msg_01h455vb4pex5vsknk084sn0iq", "msg_01h455vb4pex5vsknk084sn0 q",
	} {
		if id, err := chat.ParseID(text); err == nil {
			t.Errorf("%q is %v", text, id)
		}
	}
}

func TestIDsSortByAge(t *testing.T) {
	t.Parallel()
	var texts []string
	for range 1000 {
		texts = append(texts, chat.NewID(chat.KindUser).String())
	}
	if !slices.IsSorted(texts) {
		t.Error("ids are not in the order in which they were made")
	}
}

func TestIDInJSON(t *testing.T) {
	t.Parallel()
	in := chat.Detail{Conversation: chat.NewID(chat.KindConversation), Members: []chat.ID{chat.NewID(chat.KindUser)}, Role: chat.RoleAdmin}
	b, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	var out chat.Detail
	if err := json.Unmarshal(b, &out); err != nil || out.Conversation != in.Conversation || out.Members[0] != in.Members[0] || out.Role != in.Role {
		t.Errorf("%s became %+v, %v", b, out, err)
	}
	var id chat.ID
	for _, v := range []any{json.Number("1"), 1, int64(1), true, nil, "x"} {
		if err := id.UnmarshalGQL(v); chat.CodeOf(err) != chat.CodeBadInput {
			t.Errorf("%v: %v", v, err)
		}
	}
}

func FuzzParseID(f *testing.F) {
	f.Add("msg_01h455vb4pex5vsknk084sn02q")
	f.Fuzz(func(t *testing.T, s string) {
		if id, err := chat.ParseID(s); err == nil && id.String() != s {
			t.Errorf("%q and %q are the same id", s, id)
		}
	})
}

func FuzzParseCursor(f *testing.F) {
	for _, c := range []chat.Cursor{{}, {1, 1}, {1 << 31, 1 << 40}, {1<<32 - 1, 1<<63 - 1}} {
		if got, err := chat.ParseCursor(c.String()); err != nil || got != c {
			f.Errorf("%+v became %+v, %v", c, got, err)
		}
		f.Add(c.String())
	}
	f.Add("")
	f.Add("AAAAAIA") // a longer text for the same position
	f.Fuzz(func(t *testing.T, s string) {
		c, err := chat.ParseCursor(s)
		if err == nil && (c.String() != s || c.Position < 0) || err != nil && !errors.Is(err, chat.ErrInvalidCursor) {
			t.Errorf("%q is %+v, %v", s, c, err)
		}
	})
}

func TestCodeOf(t *testing.T) {
	t.Parallel()
	for want, err := range map[chat.Code]error{
		"":                   nil,
		chat.CodeNotFound:    fmt.Errorf("wrapped: %w", chat.ErrNotFound),
		chat.CodeUnavailable: fmt.Errorf("wrapped: %w", context.DeadlineExceeded),
		chat.CodeInternal:    errors.New("boom"),
		chat.CodeForbidden:   chat.Forbidden("no"),
		chat.CodeConflict:    chat.Conflict("no"),
		chat.CodeBadInput:    chat.BadInput("no", "input", "body"),
		chat.CodeRateLimited: &chat.Error{Code: chat.CodeRateLimited, Cause: chat.ErrNotFound},
		chat.CodeTooComplex:  errors.Join(errors.New("x"), &chat.Error{Code: chat.CodeTooComplex}),
	} {
		if got := chat.CodeOf(err); got != want {
			t.Errorf("%v is %q", err, got)
		}
	}
	if e := (&chat.Error{Code: "C", Message: "m", Cause: errors.New("why")}); !strings.Contains(e.Error(), "why") || e.Unwrap() == nil {
		t.Error("the cause is lost")
	}
}

func TestPage(t *testing.T) {
	t.Parallel()
	n := func(i int) *int { return &i }
	for _, c := range []struct {
		first, last *int
		path        string
	}{{n(0), nil, "first"}, {n(101), nil, "first"}, {nil, n(0), "last"}, {nil, n(-5), "last"}, {n(1), n(1), "last"}} {
		_, err := chat.PageOf(c.first, nil, c.last, nil)
		var e *chat.Error
		if !errors.As(err, &e) || e.Code != chat.CodeBadInput || e.Path[0] != c.path {
			t.Errorf("%v", err)
		}
	}
	p, err := chat.PageOf(nil, nil, nil, nil)
	if err != nil || p.Limit != chat.DefaultPage || p.Backward {
		t.Errorf("%+v %v", p, err)
	}
	place := func(i int) string { return fmt.Sprint(i) }
	l := chat.NewList(chat.Page{Limit: 2}, []int{1, 2, 3}, place)
	if !slices.Equal(l.Nodes, []int{1, 2}) || !l.Info.HasNextPage || l.Info.HasPreviousPage || *l.Info.EndCursor != "2" {
		t.Errorf("%+v", l)
	}
	l = chat.NewList(chat.Page{Limit: 2, Backward: true, Before: "10"}, []int{9, 8, 7}, place)
	if !slices.Equal(l.Nodes, []int{8, 9}) || !l.Info.HasNextPage || !l.Info.HasPreviousPage || *l.Info.StartCursor != "8" {
		t.Errorf("%+v", l)
	}
	if l = chat.NewList(chat.Page{Limit: 2}, nil, place); l.Info.StartCursor != nil || l.Info.HasNextPage {
		t.Errorf("%+v", l)
	}
}

func TestSpanIncludesItsEnds(t *testing.T) {
	t.Parallel()
	s := chat.Span{From: 4, To: 9} // joined at 5, left at 9
	for p := chat.Position(0); p < 12; p++ {
		if s.Covers(p) != (p >= 5 && p <= 9) {
			t.Errorf("%d", p)
		}
	}
	if s.To = 0; !s.Covers(1000) || s.Covers(4) {
		t.Error("an open span ends")
	}
}

func TestClosedEventsTellNothing(t *testing.T) {
	t.Parallel()
	c := chat.Conversation{ID: chat.NewID(chat.KindConversation), Kind: chat.Group, Title: "t", MemberCount: 3, LastSeq: 5}
	e := &chat.Event{Rows: chat.Rows{Conversation: &c}}
	closed := e.Close().Rows.Conversation
	if *closed != (chat.Conversation{ID: c.ID, Kind: c.Kind, CreatedAt: c.CreatedAt, UpdatedAt: c.CreatedAt, Closed: true}) {
		t.Errorf("%+v", closed)
	}
	if c.Title != "t" || e.Rows.Conversation != &c {
		t.Error("a shared event was changed")
	}
}

// TestLogEvents reads the constants, so that none is forgotten.
func TestLogEvents(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("event.go")
	if err != nil {
		t.Fatal(err)
	}
	log, _, _ := strings.Cut(string(source), "// LogEvents are")
	found := regexp.MustCompile(`EventType = "([A-Z_]+)"`).FindAllStringSubmatch(log, -1)
	if len(found) != len(chat.LogEvents) || len(found) == 0 {
		t.Errorf("%d events, %d in LogEvents", len(found), len(chat.LogEvents))
	}
	for _, f := range found {
		if !slices.Contains(chat.LogEvents, chat.EventType(f[1])) {
			t.Errorf("%s is not in LogEvents", f[1])
		}
	}
}
