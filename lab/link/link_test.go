package link_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/lab/link"
)

// far is the box's side: it hands each connection to a function of the test.
func far(t *testing.T, handle func(*net.TCPConn)) string {
	t.Helper()
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			running.Go(func() { defer conn.Close(); handle(conn.(*net.TCPConn)) })
		}
	})
	t.Cleanup(func() { listener.Close(); running.Wait() })
	return listener.Addr().String()
}

func echo(conn *net.TCPConn) { _, _ = io.Copy(conn, conn) }

func open(t *testing.T, target string) *link.Link {
	t.Helper()
	l, err := link.Listen("127.0.0.1:0", target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func dial(t *testing.T, l *link.Link) *net.TCPConn {
	t.Helper()
	conn, err := net.Dial("tcp4", l.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return conn.(*net.TCPConn)
}

// firstError is what a new connection meets, be it while it is made or after.
func firstError(l *link.Link) error {
	conn, err := net.Dial("tcp4", l.Addr())
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = conn.Read(make([]byte, 1))
	return err
}

func noise(t *testing.T, n int) []byte {
	t.Helper()
	data := make([]byte, n)
	if _, err := rand.Read(data); err != nil {
		t.Fatal(err)
	}
	return data
}

// await asks until the answer is yes.
func await(t *testing.T, what string, yes func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !yes() {
		select {
		case <-ctx.Done():
			t.Fatalf("waited in vain until %s", what)
		case <-tick.C:
		}
	}
}

// Half-close matters: SSH, HTTP and rsync-like tools all send an end and then
// still read.
func TestForwardsUnchangedAndPassesTheEndOn(t *testing.T) {
	sent := noise(t, 3<<20)
	target := far(t, func(conn *net.TCPConn) {
		// Nothing is answered until the end has come through.
		all, err := io.ReadAll(conn)
		if err != nil {
			return
		}
		sum := sha256.Sum256(all)
		_, _ = conn.Write(sum[:])
		_, _ = conn.Write(all)
	})
	l := open(t, target)
	l.SetLatency(5 * time.Millisecond)
	conn := dial(t, l)
	if _, err := conn.Write(sent); err != nil {
		t.Fatal(err)
	}
	if err := conn.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(sent)
	if !bytes.Equal(got, append(sum[:], sent...)) {
		t.Errorf("%d bytes came back, not the %d that were to", len(got), len(sent)+len(sum))
	}
	await(t, "the connection is over", func() bool { return !l.Stats().Conns[0].Running })
	stats := l.Stats()
	if stats.Up != int64(len(sent)) || stats.Down != int64(len(sent)+len(sum)) {
		t.Errorf("counted %d up and %d down, sent %d and %d", stats.Up, stats.Down, len(sent), len(sent)+len(sum))
	}
	if c := stats.Conns[0]; c.Up != stats.Up || c.Down != stats.Down {
		t.Errorf("the one connection counts %d and %d, the link %d and %d", c.Up, c.Down, stats.Up, stats.Down)
	}
}

func TestRateHoldsForAllConnectionsTogether(t *testing.T) {
	const rate = 16 * link.Mbit
	const burst = int64(rate) / 8 / 10 // what an idle wire may catch up
	for _, way := range []string{"up", "down"} {
		t.Run(way, func(t *testing.T) {
			var arrived atomic.Int64
			count := func(conn net.Conn) {
				buffer := make([]byte, 32<<10)
				for {
					n, err := conn.Read(buffer)
					arrived.Add(int64(n))
					if err != nil {
						return
					}
				}
			}
			flood := func(conn net.Conn) {
				for block := make([]byte, 32<<10); ; {
					if _, err := conn.Write(block); err != nil {
						return
					}
				}
			}
			there, here := count, flood
			if way == "down" {
				there, here = flood, count
			}
			l := open(t, far(t, func(conn *net.TCPConn) { there(conn) }))
			l.SetRate(rate)
			begin := time.Now()
			for range 2 {
				conn := dial(t, l)
				go here(conn)
			}
			await(t, "the first burst is over", func() bool { return arrived.Load() > 2*burst })
			// A computer that lets the link wait makes a measurement slower, and
			// the next one faster by what a burst makes good; the wire itself
			// would be off in all of them.
			var off float64
			for range 20 {
				from, start := arrived.Load(), time.Now()
				await(t, "four megabytes have arrived", func() bool { return arrived.Load() > from+4<<20 })
				got, took := arrived.Load()-from, time.Since(start).Seconds()
				if all, since := float64(arrived.Load()), time.Since(begin).Seconds(); all > float64(rate)/8*since+float64(burst) {
					t.Fatalf("%.0f bytes arrived in %.2f s, more than the wire takes", all, since)
				}
				if off = float64(got)*8/took/float64(rate) - 1; off > -0.03 && off < 0.03 {
					return
				}
			}
			t.Errorf("the rate is off by %+.1f %% at every try", 100*off)
		})
	}
}

func TestLatencyIsAddedEachWay(t *testing.T) {
	l := open(t, far(t, echo))
	conn := dial(t, l)
	trip := func() time.Duration {
		start := time.Now()
		if _, err := conn.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		return time.Since(start)
	}
	trip() // the connection stands
	l.SetLatency(60 * time.Millisecond)
	if took := trip(); took < 120*time.Millisecond {
		t.Errorf("there and back took %v, twice 60 ms were asked for", took)
	}
	l.SetLatency(0)
	// This computer may be slow once; a delay that is still there is in every trip.
	fastest := trip()
	for range 20 {
		fastest = min(fastest, trip())
	}
	if fastest > 60*time.Millisecond {
		t.Errorf("there and back took %v after the delay was taken off", fastest)
	}
}

// What arrives after a cut must be exactly what was allowed: tests of resumed
// uploads reckon with it.
func TestCutAfterIsExactToTheByte(t *testing.T) {
	for _, n := range []int64{1, 4096, 100_001, 1<<20 + 7} {
		arrived := make(chan int64, 1)
		target := far(t, func(conn *net.TCPConn) {
			got, _ := io.Copy(io.Discard, conn) // ends with the reset
			arrived <- got
		})
		l := open(t, target)
		l.CutAfter(link.Up, n)
		conn := dial(t, l)
		_, err := io.Copy(conn, bytes.NewReader(noise(t, 2<<20)))
		if err == nil {
			_, err = conn.Read(make([]byte, 1))
		}
		if !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
			t.Errorf("after the cut: %v, not a reset", err)
		}
		if got := <-arrived; got != n {
			t.Errorf("%d bytes arrived of the %d before the cut", got, n)
		}
		if stats := l.Stats(); stats.Up != n || !stats.Cut {
			t.Errorf("the link counts %d bytes and cut=%t, want %d and true", stats.Up, stats.Cut, n)
		}
	}
}

func TestCutAfterCountsOverAllConnections(t *testing.T) {
	const n = 300_000
	var arrived atomic.Int64
	var ended sync.WaitGroup
	ended.Add(3)
	l := open(t, far(t, func(conn *net.TCPConn) {
		defer ended.Done()
		got, _ := io.Copy(io.Discard, conn) // ends with the reset
		arrived.Add(got)
	}))
	l.SetRate(200 * link.Mbit)
	var conns []*net.TCPConn
	for range 3 {
		conns = append(conns, dial(t, l))
	}
	await(t, "all are through", func() bool { return l.Stats().Opened == 3 })
	l.CutAfter(link.Up, n)
	block := noise(t, n)
	for _, conn := range conns {
		go func() { _, _ = conn.Write(block) }()
	}
	ended.Wait()
	// The connection with the last byte must not reset the others while they
	// still hand on theirs.
	if got := arrived.Load(); got != n || l.Stats().Up != n {
		t.Errorf("%d bytes arrived and %d were handed on, want %d", got, l.Stats().Up, n)
	}
}

// Else a test that waits for the cut would wait for a box that hangs.
func TestCutAfterDoesNotWaitForOneThatTakesNothing(t *testing.T) {
	const n = 100_000
	first := make(chan struct{}, 1)
	first <- struct{}{}
	arrived := make(chan int64, 1)
	gone := make(chan struct{})
	l := open(t, far(t, func(conn *net.TCPConn) {
		select {
		case <-first:
			<-gone
		default:
			got, _ := io.Copy(io.Discard, conn) // ends with the reset
			arrived <- got
		}
	}))
	deaf := dial(t, l)
	await(t, "the deaf one is through", func() bool { return l.Stats().Opened == 1 })
	full := make(chan struct{})
	go func() {
		defer close(full)
		_, _ = io.Copy(deaf, bytes.NewReader(make([]byte, 64<<20)))
	}()
	held, still := int64(0), 0
	await(t, "nothing more goes to the deaf one", func() bool {
		if up := l.Stats().Up; up == 0 || up != held {
			held, still = up, 0
		} else {
			still++
		}
		return still == 100
	})
	conn := dial(t, l)
	l.CutAfter(link.Up, n)
	_, _ = conn.Write(noise(t, 2*n))
	if got := <-arrived; got != n {
		t.Errorf("%d bytes arrived beside the deaf one, want %d", got, n)
	}
	<-full
	close(gone)
	if stats := l.Stats(); !stats.Cut {
		t.Error("the link is not cut")
	}
}

func TestCutResetsAndRefusesUntilRestored(t *testing.T) {
	l := open(t, far(t, echo))
	conn := dial(t, l)
	if _, err := conn.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	l.Cut()
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("an open connection: %v, not a reset", err)
	}
	if err := firstError(l); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("a new connection: %v, not a reset", err)
	}
	if got := l.Stats().Refused; got != 1 {
		t.Errorf("%d refused, want 1", got)
	}
	l.Restore()
	again := dial(t, l)
	if _, err := again.Write([]byte("y")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(again, make([]byte, 1)); err != nil {
		t.Errorf("after Restore: %v", err)
	}
}

func TestStallIsSilentAndLosesNothing(t *testing.T) {
	l := open(t, far(t, echo))
	conn := dial(t, l)
	l.Stall()
	sent := noise(t, 20_000)
	if _, err := conn.Write(sent); err != nil {
		t.Fatal(err)
	}
	late := dial(t, l)
	if _, err := late.Write([]byte("late")); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]*net.TCPConn{"open": conn, "new": late} {
		if err := c.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		var timeout net.Error
		if n, err := c.Read(make([]byte, 1)); !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Errorf("the %s connection read %d bytes and %v through a stalled link", name, n, err)
		}
		if err := c.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	if stats := l.Stats(); stats.Up != 0 || !stats.Stalled {
		t.Errorf("stalled=%t with %d bytes handed on", stats.Stalled, stats.Up)
	}
	l.Resume()
	got := make([]byte, len(sent))
	if _, err := io.ReadFull(conn, got); err != nil || !bytes.Equal(got, sent) {
		t.Errorf("after the stall: %v, same bytes: %t", err, bytes.Equal(got, sent))
	}
	if _, err := io.ReadFull(late, make([]byte, 4)); err != nil {
		t.Errorf("the connection made during the stall: %v", err)
	}
}

// A sender that outruns the link must notice, or its progress would be a lie.
func TestLittleIsInFlight(t *testing.T) {
	l := open(t, far(t, func(conn *net.TCPConn) { _, _ = io.Copy(io.Discard, conn) }))
	l.SetRate(64_000)
	conn := dial(t, l)
	if err := conn.SetWriteBuffer(16 << 10); err != nil {
		t.Fatal(err)
	}
	if err := conn.SetWriteDeadline(time.Now().Add(300 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	took, err := io.Copy(conn, bytes.NewReader(make([]byte, 8<<20)))
	if err == nil {
		t.Fatalf("eight megabytes vanished in a link of 64 kbit/s")
	}
	if ahead := took - l.Stats().Up; ahead > 256<<10 {
		t.Errorf("the sender is %d bytes ahead of the wire", ahead)
	}
}

func TestUnreachableBoxIsAReset(t *testing.T) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	if err := firstError(open(t, address)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("%v, not a reset", err)
	}
}

func TestCloseEndsEverything(t *testing.T) {
	l := open(t, far(t, echo))
	idle := dial(t, l)
	l.Stall()
	waiting := dial(t, l)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for name, conn := range map[string]*net.TCPConn{"idle": idle, "waiting": waiting} {
		if _, err := conn.Read(make([]byte, 1)); err == nil || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the %s connection outlived the link: %v", name, err)
		}
	}
}

func TestParseRate(t *testing.T) {
	for text, want := range map[string]link.BitRate{
		"2mbit": 2 * link.Mbit, "1.5Mbit": 1_500_000, "512kbit": 512_000, "9600bit": 9600, "1gbit": 1000 * link.Mbit, "unlimited": 0,
	} {
		got, err := link.ParseRate(text)
		if err != nil || got != want {
			t.Errorf("ParseRate(%q) = %d, %v, want %d", text, got, err, want)
			continue
		}
		if back, err := link.ParseRate(got.String()); err != nil || back != got {
			t.Errorf("%q is written as %q, which reads as %d, %v", text, got, back, err)
		}
	}
	for _, text := range []string{"", "2", "mbit", "-1mbit", "0mbit", "2mbps", "1e30gbit", "nanmbit"} {
		if got, err := link.ParseRate(text); err == nil {
			t.Errorf("ParseRate(%q) = %d, want an error", text, got)
		}
	}
}

// A sender that writes more at once than the window takes must not wait for
// the kernel's probe of a closed window at each turn.
func TestAnUnheldLinkIsFast(t *testing.T) {
	sink, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer sink.Close()
	l, err := link.Listen("127.0.0.1:0", sink.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	received := make(chan int64, 1)
	go func() {
		conn, err := sink.Accept()
		if err != nil {
			received <- -1
			return
		}
		n, _ := io.Copy(io.Discard, conn)
		received <- n
	}()
	conn, err := net.Dial("tcp4", l.Addr())
	if err != nil {
		t.Fatal(err)
	}
	const size = 32 << 20
	block := make([]byte, 1<<20)
	begin := time.Now()
	for range size / len(block) {
		if _, err := conn.Write(block); err != nil {
			t.Fatal(err)
		}
	}
	_ = conn.Close()
	if n := <-received; n != size {
		t.Fatalf("%d bytes arrived, want %d", n, size)
	}
	// At 200 ms for each half window it would take over three minutes.
	if took := time.Since(begin); took > 30*time.Second {
		t.Errorf("%d MiB took %s", size>>20, took)
	} else {
		t.Logf("%d MiB took %s", size>>20, took)
	}
}
