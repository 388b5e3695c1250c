package store

import (
	"context"
	"fmt"
)

// durable refuses a PostgreSQL server that may take back what it has acknowledged: with fsync=off a power cut loses
// everything, with synchronous_commit=off any crash loses the newest changes. full_page_writes=off is right where the file
// system never tears a page (ZFS), which cannot be seen from here: it is only warned of.
func (s *Store) durable(ctx context.Context) error {
	on := func(name string) (bool, error) {
		v, err := one(s.db.WithContext(ctx), value[string], "SELECT current_setting(?)", name)
		return v != "off", err
	}
	for _, x := range []struct{ name, cost string }{
		{"fsync", "a power cut can destroy the database"},
		{"synchronous_commit", "a crash of the server takes back messages that were acknowledged"},
	} {
		if ok, err := on(x.name); err != nil {
			return err
		} else if !ok {
			return fmt.Errorf("PostgreSQL runs with %[1]s=off: %[2]s. In production Parley refuses that: ALTER SYSTEM SET %[1]s = on; "+
				"SELECT pg_reload_conf(); and if SHOW %[1]s still says off, look for it in the server's command line, the database "+
				"(ALTER DATABASE … RESET) and the user (ALTER ROLE … RESET)", x.name, x.cost)
		}
	}
	ok, err := on("full_page_writes")
	if err == nil && !ok {
		s.log.WarnContext(ctx, "PostgreSQL runs with full_page_writes=off: a power cut can destroy the database, unless its file system never tears a page")
	}
	return err
}
