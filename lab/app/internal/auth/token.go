package auth

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// ErrNoSecret means that JWT_SECRET is empty, which shows with the first token
// and not at start.
var ErrNoSecret = errors.New("JWT_SECRET is not set")

// Claims say who logged in.
type Claims struct {
	UserID   string `json:"uid"`
	Username string `json:"user"`
	Role     string `json:"role"`
	jwt.RegisteredClaims
}

// Tokens signs and checks.
type Tokens struct {
	Secret   string
	Lifetime time.Duration
}

// Sign makes a token for somebody.
func (t Tokens) Sign(id int, username, role string) (string, error) {
	if t.Secret == "" {
		return "", ErrNoSecret
	}
	claims := Claims{UserID: strconv.Itoa(id), Username: username, Role: role}
	claims.ExpiresAt = jwt.NewNumericDate(time.Now().Add(t.Lifetime))
	signed, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(t.Secret))
	if err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}
	return signed, nil
}

// Verify reads a token that was signed with this secret and has not expired.
func (t Tokens) Verify(signed string) (Claims, error) {
	if t.Secret == "" {
		return Claims{}, ErrNoSecret
	}
	var claims Claims
	_, err := jwt.ParseWithClaims(signed, &claims, func(*jwt.Token) (any, error) { return []byte(t.Secret), nil },
		jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}))
	if err != nil {
		return Claims{}, fmt.Errorf("verify token: %w", err)
	}
	return claims, nil
}
