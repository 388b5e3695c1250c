package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Every mutant still finds what it changes, and says so where it does not.
func TestMutate(t *testing.T) {
	t.Parallel()
	for _, name := range mutantNames() {
		flags, err := mutate(name, "../..", t.TempDir())
		if err != nil || len(flags) != 2 {
			t.Errorf("%v %v", flags, err)
		}
	}
	if _, err := mutate("nobody", "../..", t.TempDir()); err == nil {
		t.Error("there is no such mutant")
	}
	root := t.TempDir()
	for _, e := range mutants["entitlement"].edits {
		file := filepath.Join(root, e.file)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte("something else"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := mutate("entitlement", root, t.TempDir()); err == nil || !strings.Contains(err.Error(), "has 0 times") {
		t.Errorf("got %v where there is nothing to change", err)
	}
}
