package main

import (
	"fmt"
	"net"
	"strings"
)

// notifier tells systemd that the service is up.
type notifier struct{ socket string }

func newNotifier(socket string) *notifier {
	// systemd names sockets without a file with a leading @.
	if name, ok := strings.CutPrefix(socket, "@"); ok {
		socket = "\x00" + name
	}
	return &notifier{socket: socket}
}

func (n *notifier) ready() error {
	if n.socket == "" {
		return nil
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: n.socket, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("notify systemd: %w", err)
	}
	defer c.Close()
	_, err = c.Write([]byte("READY=1\n"))
	return err
}
