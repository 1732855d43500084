//go:build !unix

package dev

import "os"

// interrupt ends the process: Windows has no signal to ask it with.
func interrupt(p *os.Process) error { return p.Kill() }
