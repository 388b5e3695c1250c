package app_test

import (
	"fmt"
	"slices"
	"testing"
)

// outcome is what servers that were killed at work leave behind: what their database says has happened, and what was heard of it.
type outcome struct {
	asked []string // whom a friend request was sent to, and by whom
	mails []mailing
	said  []string // messages, in order
	heard map[string][]call
	// pictures are those of groups, and of each the widths of the thumbnails that are shown; thumbnails is how many are stored.
	pictures   map[string][]int
	thumbnails int
}

// mailing is a mail that arrived, by what it tells of.
type mailing struct{ about, id string }

// call is one to a webhook's endpoint that was answered.
type call struct{ id, message string }

// problems says what is wrong with an outcome: what should have happened at least once and has not, what happened that nobody
// asked for, what is told to be something else than it is, and what came too soon.
func (o outcome) problems() (l []string) {
	wrong := func(format string, args ...any) { l = append(l, fmt.Sprintf(format, args...)) }
	mails, ids := map[string]string{}, map[string]string{}
	for _, m := range o.mails {
		if !slices.Contains(o.asked, m.about) {
			wrong("a mail about %s, which never was", m.about)
		}
		if id, ok := mails[m.about]; ok && id != m.id {
			wrong("two mails about %s, which nobody can tell to be the same: %s and %s", m.about, id, m.id)
		}
		if about, ok := ids[m.id]; ok && about != m.about {
			wrong("two mails with the id %s, about %s and %s", m.id, about, m.about)
		}
		mails[m.about], ids[m.id] = m.id, m.about
	}
	for _, about := range o.asked {
		if mails[about] == "" {
			wrong("no mail about %s", about)
		}
	}
	for hook, calls := range o.heard {
		deliveries, messages := map[string]string{}, map[string]string{}
		var order []string
		for _, c := range calls {
			if m, ok := deliveries[c.id]; ok && m != c.message {
				wrong("%s: delivery %s is of %s and of %s", hook, c.id, m, c.message)
			}
			if id, ok := messages[c.message]; !ok {
				order = append(order, c.message)
			} else if id != c.id {
				wrong("%s: message %s is in two deliveries, %s and %s", hook, c.message, id, c.id)
			} else if order[len(order)-1] != c.message {
				wrong("%s: message %s came again after %s", hook, c.message, order[len(order)-1])
			}
			deliveries[c.id], messages[c.message] = c.message, c.id
		}
		if !slices.Equal(order, o.said) {
			wrong("%s has heard of %v, want %v", hook, order, o.said)
		}
	}
	for group, widths := range o.pictures {
		if !slices.Equal(widths, []int{64, 256}) {
			wrong("the thumbnails of %s are %v wide", group, widths)
		}
	}
	if o.thumbnails != 2*len(o.pictures) {
		wrong("%d thumbnails are stored of %d pictures", o.thumbnails, len(o.pictures))
	}
	return l
}

func TestOutcomeProblems(t *testing.T) {
	t.Parallel()
	good := func() outcome {
		return outcome{
			asked:    []string{"bob ann", "bob eve"},
			mails:    []mailing{{"bob eve", "<2>"}, {"bob ann", "<1>"}, {"bob eve", "<2>"}},
			said:     []string{"m1", "m2", "m3"},
			heard:    map[string][]call{"a": {{"d1", "m1"}, {"d1", "m1"}, {"d2", "m2"}, {"d3", "m3"}}, "b": {{"d4", "m1"}, {"d5", "m2"}, {"d6", "m3"}, {"d6", "m3"}}},
			pictures: map[string][]int{"g1": {64, 256}, "g2": {64, 256}}, thumbnails: 4,
		}
	}
	if l := good().problems(); l != nil {
		t.Error(l)
	}
	for name, lie := range map[string]func(*outcome){
		"a mail is lost":                 func(o *outcome) { o.mails = o.mails[:1] },
		"all mails are lost":             func(o *outcome) { o.mails = nil },
		"a mail of what was rolled back": func(o *outcome) { o.mails = append(o.mails, mailing{"bob dan", "<3>"}) },
		"a mail twice, differently":      func(o *outcome) { o.mails[2].id = "<3>" },
		"two mails under one id":         func(o *outcome) { o.mails[1].id = "<2>" },
		"a call is lost":                 func(o *outcome) { o.heard["b"] = o.heard["b"][1:] },
		"all calls are lost":             func(o *outcome) { o.heard["b"] = nil },
		"the last call is lost":          func(o *outcome) { o.heard["a"] = o.heard["a"][:3] },
		"a call of what was rolled back": func(o *outcome) { o.heard["a"] = append(o.heard["a"], call{"d9", "m9"}) },
		"disorder":                       func(o *outcome) { c := o.heard["b"]; c[0], c[1] = c[1], c[0] },
		"an old call again":              func(o *outcome) { o.heard["a"] = append(o.heard["a"], call{"d1", "m1"}) },
		"two deliveries of one message":  func(o *outcome) { o.heard["b"][3].id = "d7" },
		"one delivery of two messages":   func(o *outcome) { o.heard["b"][1].id = "d4" },
		"a thumbnail is missing":         func(o *outcome) { o.pictures["g1"] = []int{64, 600} },
		"a thumbnail twice":              func(o *outcome) { o.thumbnails++ },
	} {
		o := good()
		lie(&o)
		if o.problems() == nil {
			t.Errorf("%s: nothing was noticed", name)
		}
	}
}
