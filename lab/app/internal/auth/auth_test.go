package auth

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestPassword(t *testing.T) {
	kept := Hash("right")
	if err := Check("right", kept); err != nil {
		t.Errorf("the right password: %v", err)
	}
	if err := Check("wrong", kept); !errors.Is(err, ErrWrongPassword) {
		t.Errorf("a wrong password: %v", err)
	}
	if err := Check("right", "no hash"); err == nil || errors.Is(err, ErrWrongPassword) {
		t.Errorf("what is no hash: %v", err)
	}
	if again := Hash("right"); again == kept {
		t.Error("two hashes of one password are the same: where is the salt?")
	}
}

// Rows that the real application wrote must let their owners in here.
func TestHashHasTheRealOnesForm(t *testing.T) {
	salt, hash, ok := strings.Cut(Hash("x"), ".")
	if !ok || len(salt) != 24 || len(hash) != 44 {
		t.Errorf("salt %q, hash %q: want 16 and 32 bytes in base64", salt, hash)
	}
}

func TestToken(t *testing.T) {
	tokens := Tokens{Secret: "secret", Lifetime: time.Hour}
	signed, err := tokens.Sign(7, "exec", "admin")
	if err != nil {
		t.Fatal(err)
	}
	claims, err := tokens.Verify(signed)
	if err != nil || claims.UserID != "7" || claims.Username != "exec" || claims.Role != "admin" {
		t.Errorf("claims = %+v, %v", claims, err)
	}
	if _, err := (Tokens{Secret: "another"}).Verify(signed); err == nil {
		t.Error("another secret's token is good")
	}
	old, err := Tokens{Secret: "secret", Lifetime: -time.Hour}.Sign(7, "exec", "admin")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tokens.Verify(old); err == nil {
		t.Error("an expired token is good")
	}
}

func TestNoSecretShowsWithTheFirstToken(t *testing.T) {
	if _, err := (Tokens{}).Sign(1, "exec", "admin"); !errors.Is(err, ErrNoSecret) {
		t.Errorf("sign: %v", err)
	}
	if _, err := (Tokens{}).Verify("anything"); !errors.Is(err, ErrNoSecret) {
		t.Errorf("verify: %v", err)
	}
}
