package host

import (
	"crypto/rand"
	"encoding/hex"
)

// nonce is a mark in a stream that the commands of the stream cannot produce.
// It goes to the box in two halves that only the script joins, so that not
// even a listing of all processes' arguments contains it.
type nonce struct{ a, b string }

func newNonce() nonce {
	var raw [16]byte
	// crypto/rand.Read never fails; it ends the program instead.
	_, _ = rand.Read(raw[:])
	text := hex.EncodeToString(raw[:])
	return nonce{a: text[:16], b: text[16:]}
}

func (n nonce) joined() string { return n.a + n.b }
