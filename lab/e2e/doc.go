// Package e2e proves the program on the emulated box: the real binary, a real
// sshd, systemd and Kubernetes, and a bad link in between.
//
// It keeps the promise that every figure in README and docs can be printed
// again: the tests log what they measured as lines that begin with "figure:".
package e2e
