package main

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func settingsOf(t *testing.T, env map[string]string) settings {
	t.Helper()
	s, err := settingsFrom(func(name string) string { return env[name] })
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSettingsReportEveryMistake(t *testing.T) {
	_, err := settingsFrom(func(name string) string {
		return map[string]string{"SRC_PORT": "0", "DEST_PORT": "http", "DEST_PROTO": "SCTP", "DEST_IPS": "nowhere", "SRC_RANGES": "10.0.0.0/33"}[name]
	})
	if err == nil {
		t.Fatal("five mistakes went unnoticed")
	}
	for _, name := range []string{"SRC_PORT", "DEST_PORT", "DEST_PROTO", "DEST_IPS", "SRC_RANGES"} {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("the error does not name %s: %v", name, err)
		}
	}
}

func TestSettingsFromServicePod(t *testing.T) {
	s := settingsOf(t, map[string]string{
		"SRC_PORT": "80", "DEST_PORT": "8000", "DEST_PROTO": "TCP",
		"DEST_IPS": "10.43.0.7,fd00::7", "SRC_RANGES": "192.168.0.0/16,fd00::/8",
	})
	if want := []string{"10.43.0.7:8000", "[fd00::7]:8000"}; strings.Join(s.targets, " ") != strings.Join(want, " ") {
		t.Errorf("targets = %v, want %v", s.targets, want)
	}
	for client, want := range map[string]bool{"192.168.1.2": true, "::ffff:192.168.1.2": true, "10.0.0.1": false, "fd12::1": true, "2001:db8::1": false} {
		if got := s.allows(netip.MustParseAddr(client)); got != want {
			t.Errorf("allows(%s) = %t, want %t", client, got, want)
		}
	}
}

// startTCP runs a forwarder on a free port and returns that port's address.
func startTCP(t *testing.T, s settings) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- acceptTCP(ctx, listener, s, slog.New(slog.DiscardHandler)) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("forwarder ended with: %v", err)
		}
	})
	return listener.Addr().String()
}

// reverseServer answers each connection with what it sent, backwards, but only
// once the client has shut down its side.
func reverseServer(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				sent, _ := io.ReadAll(conn)
				for i, j := 0, len(sent)-1; i < j; i, j = i+1, j-1 {
					sent[i], sent[j] = sent[j], sent[i]
				}
				conn.Write(sent)
			}()
		}
	}()
	return listener.Addr().String()
}

func TestTCPKeepsTheWayBackOpenAfterHalfClose(t *testing.T) {
	forwarder := startTCP(t, settings{targets: []string{reverseServer(t)}})
	if got := exchange(t, forwarder, "abc"); got != "cba" {
		t.Errorf("answer = %q, want %q", got, "cba")
	}
}

func TestTCPTriesTheNextTarget(t *testing.T) {
	// Not a port that was free a moment ago: another test may have it by now.
	const dead = "127.0.0.1:1"
	forwarder := startTCP(t, settings{targets: []string{dead, reverseServer(t)}})
	if got := exchange(t, forwarder, "xy"); got != "yx" {
		t.Errorf("answer = %q, want %q", got, "yx")
	}
}

func TestTCPTurnsAwayForeignClients(t *testing.T) {
	forwarder := startTCP(t, settings{
		targets: []string{reverseServer(t)},
		sources: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")},
	})
	if got := exchange(t, forwarder, "abc"); got != "" {
		t.Errorf("a client outside the ranges got %q", got)
	}
}

// exchange sends text, shuts down the sending side and returns the answer; a
// connection that is reset has none.
func exchange(t *testing.T, address, text string) string {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, text); err != nil {
		return ""
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		return ""
	}
	answer, _ := io.ReadAll(conn)
	return string(answer)
}

func TestUDPAnswersEachClient(t *testing.T) {
	echo, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { echo.Close() })
	go func() {
		buffer := make([]byte, maxDatagram)
		for {
			n, from, err := echo.ReadFrom(buffer)
			if err != nil {
				return
			}
			echo.WriteTo(append([]byte("re: "), buffer[:n]...), from)
		}
	}()
	listener, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	s := settings{protocol: "udp", targets: []string{echo.LocalAddr().String()}}
	go func() { done <- relayUDP(ctx, listener, s, slog.New(slog.DiscardHandler)) }()
	for _, text := range []string{"one", "two"} {
		client, err := net.Dial("udp", listener.LocalAddr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		client.SetDeadline(time.Now().Add(10 * time.Second))
		io.WriteString(client, text)
		answer := make([]byte, 64)
		n, err := client.Read(answer)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(answer[:n]); got != "re: "+text {
			t.Errorf("answer = %q, want %q", got, "re: "+text)
		}
	}
	cancel()
	select {
	case err := <-done:
		if err != nil {
			t.Errorf("relay ended with: %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("the relay did not stop when told to")
	}
}
