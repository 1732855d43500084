// Command late plays a Redis that opens its port after a known delay. It
// promises to write the truth beside it: when it began and when the port was
// open, in seconds of the box's uptime.
//
//	late DELAY FILE [WHATEVER THE IMAGE WOULD RUN...]
package main

import (
	"fmt"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "late:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	began, err := uptime()
	if err != nil {
		return err
	}
	if len(args) < 2 {
		return fmt.Errorf("want DELAY FILE, got %q", args)
	}
	delay, err := time.ParseDuration(args[0])
	if err != nil {
		return err
	}
	// The first process of a container gets only the signals that it asks for.
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM, syscall.SIGINT)
	time.Sleep(delay)
	l, err := net.Listen("tcp", ":6379")
	if err != nil {
		return err
	}
	listens, err := uptime()
	if err != nil {
		return err
	}
	if err := note(args[1], began+" "+listens+"\n"); err != nil {
		return err
	}
	go serve(l)
	<-end
	return nil
}

// uptime is exact to a hundredth of a second.
func uptime() (string, error) {
	text, err := os.ReadFile("/proc/uptime")
	first, _, _ := strings.Cut(string(text), " ")
	return first, err
}

func note(path, line string) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	if _, err := f.WriteString(line); err != nil {
		return err
	}
	return f.Close()
}

func serve(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go answer(conn)
	}
}

// answer says PONG to whoever says something; probes only connect.
func answer(conn net.Conn) {
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	if n, err := conn.Read(make([]byte, 64)); err == nil && n > 0 {
		_, _ = conn.Write([]byte("+PONG\r\n"))
	}
}
