// Package link is the bad link: a TCP proxy that can be slow, far, stalled or
// cut, and that counts. It promises that what it forwards arrives in order and
// unchanged, that a limit holds for all connections together as on one wire,
// and that a cut after n bytes lets exactly n bytes through.
package link
