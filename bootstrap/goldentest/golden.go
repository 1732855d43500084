// Package goldentest compares what a test made with a file that a person has
// read.
//
// It keeps the promise that no expected text changes unasked: a file is written
// only under UPDATE_GOLDEN=1, which `make golden` sets, and shows up in the
// next diff.
package goldentest

import (
	"os"
	"path/filepath"
	"testing"
)

// Updating reports whether expected texts are to be written anew.
func Updating() bool { return os.Getenv("UPDATE_GOLDEN") != "" }

// Equal compares got with the file.
func Equal(t testing.TB, file, got string) {
	t.Helper()
	if Updating() {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v; `make golden` writes what is expected", err)
	}
	if got != string(want) {
		t.Errorf("got\n%s\n%s has\n%s", got, file, want)
	}
}
