package live

import "testing"

// Who has left holds nobody else in memory: its socket may stay open for days.
func TestLeavingUnlinks(t *testing.T) {
	t.Parallel()
	l := New(Config{})
	ms := make([]member, 3)
	for i := range ms {
		l.beginJoin(&ms[i])
	}
	for _, i := range []int{1, 2, 0} {
		l.leave(&ms[i])
		if m := &ms[i]; m.next != nil || m.prev != nil {
			t.Errorf("listener %d holds others", i)
		}
	}
	if len(l.viewers) != 0 {
		t.Errorf("left behind: %v", l.viewers)
	}
}
