package history_test

import (
	"encoding/base64"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/parley-chat/parley/bench/chaos/history"
)

func TestCursorIsEpochAndPosition(t *testing.T) {
	t.Parallel()
	for _, pos := range []int64{0, 1, 127, 128, 1 << 40} {
		text := base64.RawURLEncoding.EncodeToString(binary.AppendUvarint([]byte{1, 2, 3, 4}, uint64(pos)))
		if epoch, got, err := history.Cursor(text); epoch != 0x01020304 || got != pos || err != nil {
			t.Errorf("%s: %x %d %v", text, epoch, got, err)
		}
	}
	for _, text := range []string{"", "AQID", "AQIDBA", "AQIDBIA", "AQIDBAEB", "!"} {
		if _, _, err := history.Cursor(text); err == nil {
			t.Errorf("%q is a cursor", text)
		}
	}
}

func TestReadSaysWhereAFileIsBroken(t *testing.T) {
	t.Parallel()
	n := 0
	err := history.Read(strings.NewReader("{\"k\":\"event\",\"pos\":1}\n{\"k\":\"event\"}\n{\"k\":"), func(r *history.Record) error {
		if n++; n == 2 && r.Pos != 0 {
			t.Error("a line holds what the one before had")
		}
		return nil
	})
	if n != 2 || err == nil || !strings.Contains(err.Error(), "line 3") {
		t.Errorf("%d records, %v", n, err)
	}
}
