package porttest

import (
	"errors"
	"net"
	"strconv"
	"syscall"
	"testing"
)

// ipLocalPortRange limits what the kernel chooses from; Linux has it since 6.3.
const ipLocalPortRange = 51

func TestAKeptPortIsGivenToNobodyAndTakenByItsServer(t *testing.T) {
	port := Keep(t)
	at := "127.0.0.1:" + strconv.Itoa(port)
	if c, err := net.Dial("tcp", at); err == nil {
		_ = c.Close()
		t.Fatal("somebody listens on it")
	}
	nobodyGets(t, port)
	for range 2 { // once, and started anew
		server, err := net.Listen("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		c, err := net.Dial("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = c.Close(), server.Close()
		nobodyGets(t, port)
	}
}

// nobodyGets has the kernel choose from this one port.
func nobodyGets(t *testing.T, port int) {
	t.Helper()
	var old error
	only := func(_, _ string, raw syscall.RawConn) error {
		return raw.Control(func(fd uintptr) {
			old = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IP, ipLocalPortRange, port<<16|port)
		})
	}
	somewhere, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer somewhere.Close()
	listened, listenErr := (&net.ListenConfig{Control: only}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if listenErr == nil {
		_ = listened.Close()
	}
	if errors.Is(old, syscall.ENOPROTOOPT) {
		t.Skip("this kernel cannot be told what to choose from")
	}
	if listenErr == nil {
		t.Errorf("port %d was given to another server", port)
	}
	c, err := (&net.Dialer{Control: only}).DialContext(t.Context(), "tcp", somewhere.Addr().String())
	if err == nil {
		_ = c.Close()
		t.Errorf("port %d was given to a client", port)
	}
}
