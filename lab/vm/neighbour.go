package vm

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
)

// The box's neighbours: addresses on its LAN where somebody answers, although
// it reaches nobody else. They stand in for what the box itself has to reach.
const (
	GitHubAddr         = "10.0.2.100:80"
	TailnetControlAddr = "10.0.2.101:80"
	TailnetDERPAddr    = "10.0.2.101:443"
)

// Sockets in the box's folder that the neighbours' connections are carried to.
const (
	GitHubSocket         = "github.sock"
	TailnetControlSocket = "tailnet-control.sock"
	TailnetDERPSocket    = "tailnet-derp.sock"
)

// carrier is the program that carries one connection to a socket.
const carrier = "socat"

type neighbour struct{ address, socket string }

func neighbours() []neighbour {
	return []neighbour{
		{GitHubAddr, GitHubSocket},
		{TailnetControlAddr, TailnetControlSocket},
		{TailnetDERPAddr, TailnetDERPSocket},
	}
}

// carried is the emulator's word for a neighbour. The command is started anew
// for each connection, so whoever listens on the socket may come and go.
func (m machine) carried(n neighbour) string {
	// What the command complains of would reach the box as the neighbour's
	// answer, so it goes to a file. Each side hears when the other has ended its
	// half, and the other half has a minute for the rest.
	words := []string{carrier, "-t", "60", "-lf", m.carrierLog(), "FD:0,shut-down", "UNIX-CONNECT:" + socketName(filepath.Join(m.dir, n.socket))}
	for i, word := range words {
		words[i] = shellQuote(word)
	}
	return fmt.Sprintf("guestfwd=tcp:%s-cmd:%s", n.address, escape(strings.Join(words, " ")))
}

// carrierLog has what went wrong on the way to the neighbours.
func (m machine) carrierLog() string { return filepath.Join(m.dir, "neighbours.log") }

// socketName keeps the carrier from reading a path's punctuation as its own.
func socketName(path string) string {
	return regexp.MustCompile(`[^A-Za-z0-9/._-]`).ReplaceAllString(path, `\$0`)
}

// shellQuote makes one word of what the emulator splits as a shell would.
func shellQuote(word string) string {
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
