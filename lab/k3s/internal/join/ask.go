package join

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// limit is far above what a server answers.
const limit = 1 << 20

// Ask lets an agent into the cluster. The secret is sent only to a server whose
// authority the token names.
func Ask(ctx context.Context, server, token string, r Request) (Answer, error) {
	digest, secret := split(token)
	if secret == "" {
		return Answer{}, errors.New("the token is empty")
	}
	server = strings.TrimSuffix(server, "/")
	// Nothing is believed of this answer but what the token's digest confirms.
	unknown := client(&tls.Config{InsecureSkipVerify: true})
	authority, err := fetch(ctx, unknown, http.MethodGet, server+authorityPath, "", nil)
	if err != nil {
		return Answer{}, fmt.Errorf("failed to get CA certs: %w", err)
	}
	if err := believe(authority, digest); err != nil {
		return Answer{}, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(authority) {
		return Answer{}, errors.New("the server's authority is not a certificate")
	}
	body, err := json.Marshal(r)
	if err != nil {
		return Answer{}, err
	}
	said, err := fetch(ctx, client(&tls.Config{RootCAs: pool}), http.MethodPost, server+joinPath, secret, body)
	if err != nil {
		return Answer{}, err
	}
	var a Answer
	if err := json.Unmarshal(said, &a); err != nil {
		return Answer{}, fmt.Errorf("read the server's answer: %w", err)
	}
	return a, nil
}

func client(c *tls.Config) *http.Client {
	return &http.Client{Timeout: time.Minute, Transport: &http.Transport{TLSClientConfig: c, DisableKeepAlives: true}}
}

func fetch(ctx context.Context, c *http.Client, method, url, secret string, body []byte) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if secret != "" {
		r.SetBasicAuth(user, secret)
	}
	resp, err := c.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(io.LimitReader(resp.Body, limit))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, strings.TrimSpace(string(said)))
	}
	return said, err
}
