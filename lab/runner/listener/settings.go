package main

import (
	"bytes"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
)

// Files of a configured runner.
const (
	settingsFile    = ".runner"
	credentialsFile = ".credentials"
	keyFile         = ".credentials_rsaparams"
	serviceFile     = ".service"
)

// settings are what the runner is, in .runner.
type settings struct {
	AgentID       int    `json:"agentId"`
	AgentName     string `json:"agentName"`
	PoolID        int    `json:"poolId"`
	PoolName      string `json:"poolName"`
	Ephemeral     bool   `json:"ephemeral,omitempty"`
	DisableUpdate bool   `json:"disableUpdate,omitempty"`
	ServerURL     string `json:"serverUrl"`
	GitHubURL     string `json:"gitHubUrl"`
	WorkFolder    string `json:"workFolder"`
}

// credentials say how the runner logs in; the key is in a file of its own.
type credentials struct {
	Scheme string `json:"scheme"`
	Data   struct {
		ClientID         string `json:"clientId"`
		AuthorizationURL string `json:"authorizationUrl"`
	} `json:"data"`
}

// rsaParameters are a private key as .NET writes it.
type rsaParameters struct {
	D        []byte `json:"d"`
	DP       []byte `json:"dp"`
	DQ       []byte `json:"dq"`
	Exponent []byte `json:"exponent"`
	InverseQ []byte `json:"inverseQ"`
	Modulus  []byte `json:"modulus"`
	P        []byte `json:"p"`
	Q        []byte `json:"q"`
}

func parametersOf(key *rsa.PrivateKey) rsaParameters {
	return rsaParameters{
		D: key.D.Bytes(), DP: key.Precomputed.Dp.Bytes(), DQ: key.Precomputed.Dq.Bytes(),
		Exponent: big.NewInt(int64(key.E)).Bytes(), InverseQ: key.Precomputed.Qinv.Bytes(),
		Modulus: key.N.Bytes(), P: key.Primes[0].Bytes(), Q: key.Primes[1].Bytes(),
	}
}

func (p rsaParameters) key() (*rsa.PrivateKey, error) {
	number := func(bytes []byte) *big.Int { return new(big.Int).SetBytes(bytes) }
	key := &rsa.PrivateKey{
		PublicKey: rsa.PublicKey{N: number(p.Modulus), E: int(number(p.Exponent).Int64())},
		D:         number(p.D), Primes: []*big.Int{number(p.P), number(p.Q)},
	}
	if err := key.Validate(); err != nil {
		return nil, fmt.Errorf("read %s: %w", keyFile, err)
	}
	key.Precompute()
	return key, nil
}

// byteOrderMark is what .NET puts before text; readers of .runner must bear it.
const byteOrderMark = "\ufeff"

func (i installation) write(name string, content any, mode fs.FileMode) error {
	text, err := json.MarshalIndent(content, "", "  ")
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	if err := os.WriteFile(i.file(name), append([]byte(byteOrderMark), text...), mode); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	// An older file keeps its mode when it is written anew.
	if err := os.Chmod(i.file(name), mode); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

func (i installation) read(name string, into any) error {
	text, err := os.ReadFile(i.file(name))
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	if err := json.Unmarshal(bytes.TrimPrefix(text, []byte(byteOrderMark)), into); err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	return nil
}

func (i installation) has(name string) bool {
	_, err := os.Stat(i.file(name))
	return err == nil
}

// delete removes what configuring has left, as far as there is any.
func (i installation) delete(names ...string) error {
	for _, name := range names {
		if err := os.Remove(i.file(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove %s: %w", name, err)
		}
	}
	return nil
}
