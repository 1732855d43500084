package main

import (
	"net"
	"testing"
)

func TestScan(t *testing.T) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	host, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	// Flags stand before, between and behind, as in scripts that people write.
	for _, args := range [][]string{{"-z", host, port}, {"-zw2", host, port}, {"-z", "-v", "-w", "2", host, port}, {host, port, "-z"}} {
		if err := run(args); err != nil {
			t.Errorf("nc %q: %v", args, err)
		}
	}
	listener.Close()
	if err := run([]string{"-z", host, port}); err == nil {
		t.Error("a closed port takes connections")
	}
	if err := run([]string{host, port}); err == nil {
		t.Error("without -z it does nothing, and does not say so")
	}
}
