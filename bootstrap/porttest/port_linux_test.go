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

func TestAKeptPortIsTakenByItsServer(t *testing.T) {
	at := address(Keep(t))
	if c, err := net.Dial("tcp", at); err == nil {
		_ = c.Close()
		t.Fatal("somebody listens on it")
	}
	for range 2 { // once, and started anew
		serves(t, at)
	}
}

func TestAKeptPortIsGivenToNobody(t *testing.T) {
	port := Keep(t)
	nobodyGets(t, port)
	for range 2 {
		serves(t, address(port))
		nobodyGets(t, port)
	}
}

func address(port int) string { return "127.0.0.1:" + strconv.Itoa(port) }

// serves is a server's life.
func serves(t *testing.T, at string) {
	t.Helper()
	server, err := net.Listen("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = c.Close(), server.Close()
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
		t.Skip("before Linux 6.3 the kernel cannot be told which ports to choose from, and a choice among all proves nothing")
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
