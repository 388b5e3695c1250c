package main

import (
	"testing"

	"github.com/google/uuid"
)

// The pairs are of the TypeID specification.
func TestTextIsATypeID(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ id, want string }{
		{"00000000-0000-0000-0000-000000000000", ""},
		{"00000000-0000-0000-0000-000000000001", "usr_00000000000000000000000001"},
		{"ffffffff-ffff-ffff-ffff-ffffffffffff", "usr_7zzzzzzzzzzzzzzzzzzzzzzzzz"},
		{"01890a5d-ac96-774b-bcce-b302099a8057", "usr_01h455vb4pex5vsknk084sn02q"},
	} {
		id := [16]byte(uuid.MustParse(c.id))
		if got := text("usr", &id); got != c.want {
			t.Errorf("%s: %q, want %q", c.id, got, c.want)
		}
	}
	if got := text("usr", nil); got != "" {
		t.Errorf("no id: %q", got)
	}
}
