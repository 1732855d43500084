//go:build unix

package dev

import "os"

func interrupt(p *os.Process) error { return p.Signal(os.Interrupt) }
