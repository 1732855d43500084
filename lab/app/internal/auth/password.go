// Package auth knows who somebody is. It promises hashes of passwords that cost
// 64 MiB of memory each time one is made or checked, and tokens that say who
// logged in.
package auth

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
)

// Cost of a hash.
const (
	passes    = 1
	memoryKiB = 64 << 10
	threads   = 3
	hashBytes = 32
	saltBytes = 16
)

// ErrWrongPassword means that the password is another one.
var ErrWrongPassword = errors.New("wrong password")

// Hash makes what is kept of a password: its salt and its hash, both in base64.
func Hash(password string) string {
	salt := make([]byte, saltBytes)
	_, _ = rand.Read(salt) // never fails
	return base64.StdEncoding.EncodeToString(salt) + "." + base64.StdEncoding.EncodeToString(derive(password, salt))
}

// Check compares a password with what is kept of one.
func Check(password, kept string) error {
	salt, hash, err := split(kept)
	if err != nil {
		return fmt.Errorf("read password hash: %w", err)
	}
	if subtle.ConstantTimeCompare(derive(password, salt), hash) != 1 {
		return ErrWrongPassword
	}
	return nil
}

func split(kept string) (salt, hash []byte, err error) {
	first, second, ok := strings.Cut(kept, ".")
	if !ok {
		return nil, nil, errors.New("no dot in it")
	}
	if salt, err = base64.StdEncoding.DecodeString(first); err != nil {
		return nil, nil, err
	}
	hash, err = base64.StdEncoding.DecodeString(second)
	return salt, hash, err
}

func derive(password string, salt []byte) []byte {
	return argon2.IDKey([]byte(password), salt, passes, memoryKiB, threads, hashBytes)
}
