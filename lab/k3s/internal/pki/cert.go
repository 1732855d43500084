// Package pki keeps the promise that a cluster's identity is made once: the
// authorities and keys under server/tls survive restarts, restores and
// upgrades, and only certificates that no longer say what is asked of them, or
// soon expire, are issued again.
package pki

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"
)

const (
	caLifetime   = 10 * 365 * 24 * time.Hour
	leafLifetime = 365 * 24 * time.Hour
	// renewBefore is k3s's window: a box that restarts every few weeks never
	// meets an expired certificate.
	renewBefore = 120 * 24 * time.Hour
)

// Pair is a certificate with its key.
type Pair struct {
	Cert *x509.Certificate
	Key  crypto.Signer
}

// Want describes a certificate to have.
type Want struct {
	CommonName   string
	Organization []string
	Names        []string // DNS names and addresses; none makes a client certificate
}

// Authority loads a certificate authority or makes it.
func Authority(dir, name, commonName string, now time.Time) (*Pair, error) {
	certFile, keyFile := files(dir, name)
	pair, err := load(certFile, keyFile)
	if err == nil {
		return pair, nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("load authority %s: %w", name, err)
	}
	key, err := loadOrMakeKey(keyFile)
	if err != nil {
		return nil, fmt.Errorf("make key of %s: %w", name, err)
	}
	serial, err := serialNumber()
	if err != nil {
		return nil, err
	}
	tmpl := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: fmt.Sprintf("%s@%d", commonName, now.Unix())},
		NotBefore:             now.UTC(),
		NotAfter:              now.Add(caLifetime).UTC(),
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment | x509.KeyUsageCertSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	cert, err := sign(tmpl, tmpl, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make authority %s: %w", name, err)
	}
	if err := writeFile(certFile, encodeCert(cert), 0o644); err != nil {
		return nil, err
	}
	return &Pair{Cert: cert, Key: key}, nil
}

// Issue makes sure that dir holds a certificate as wanted, signed by ca. Its
// key is kept when the certificate is issued again.
func Issue(dir, name string, ca *Pair, want Want, now time.Time) error {
	certFile, keyFile := files(dir, name)
	key, err := loadOrMakeKey(keyFile)
	if err != nil {
		return fmt.Errorf("make key of %s: %w", name, err)
	}
	if have, err := load(certFile, keyFile); err == nil && good(have.Cert, ca, want, now) {
		return nil
	}
	cert, err := leaf(ca, key, want, now)
	if err != nil {
		return fmt.Errorf("issue certificate %s: %w", name, err)
	}
	// The authority goes along, so that a client which only knows the file can
	// build the chain, as with k3s.
	return writeFile(certFile, append(encodeCert(cert), encodeCert(ca.Cert)...), 0o644)
}

func leaf(ca *Pair, key crypto.Signer, want Want, now time.Time) (*x509.Certificate, error) {
	serial, err := serialNumber()
	if err != nil {
		return nil, err
	}
	tmpl := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: want.CommonName, Organization: want.Organization},
		NotBefore:    ca.Cert.NotBefore,
		NotAfter:     now.Add(leafLifetime).UTC(),
		KeyUsage:     x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if len(want.Names) > 0 {
		tmpl.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		tmpl.DNSNames, tmpl.IPAddresses = splitNames(want.Names)
	}
	return sign(tmpl, ca.Cert, key.Public(), ca.Key)
}

// good says whether a certificate can stay.
func good(cert *x509.Certificate, ca *Pair, want Want, now time.Time) bool {
	dns, ips := splitNames(want.Names)
	return cert.CheckSignatureFrom(ca.Cert) == nil &&
		now.Add(renewBefore).Before(cert.NotAfter) &&
		cert.Subject.CommonName == want.CommonName &&
		slices.Equal(cert.Subject.Organization, want.Organization) &&
		slices.Equal(cert.DNSNames, dns) &&
		slices.EqualFunc(cert.IPAddresses, ips, net.IP.Equal)
}

func splitNames(names []string) (dns []string, ips []net.IP) {
	sorted := slices.Compact(slices.Sorted(slices.Values(names)))
	for _, n := range sorted {
		if ip := net.ParseIP(n); ip != nil {
			ips = append(ips, ip)
		} else {
			dns = append(dns, n)
		}
	}
	return dns, ips
}

func sign(tmpl, parent *x509.Certificate, pub crypto.PublicKey, key crypto.Signer) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, pub, key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

func serialNumber() (*big.Int, error) {
	return rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 63))
}

func files(dir, name string) (cert, key string) {
	return filepath.Join(dir, name+".crt"), filepath.Join(dir, name+".key")
}

func load(certFile, keyFile string) (*Pair, error) {
	certPEM, err := os.ReadFile(certFile)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(certPEM)
	if block == nil {
		return nil, fmt.Errorf("%s holds no certificate", certFile)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, err
	}
	key, err := loadKey(keyFile)
	if err != nil {
		return nil, err
	}
	if pub, ok := key.Public().(*ecdsa.PublicKey); !ok || !pub.Equal(cert.PublicKey) {
		return nil, fmt.Errorf("%s does not belong to %s", keyFile, certFile)
	}
	return &Pair{Cert: cert, Key: key}, nil
}

func loadKey(file string) (crypto.Signer, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(b)
	if block == nil {
		return nil, fmt.Errorf("%s holds no key", file)
	}
	return x509.ParseECPrivateKey(block.Bytes)
}

func loadOrMakeKey(file string) (crypto.Signer, error) {
	key, err := loadKey(file)
	if err == nil || !errors.Is(err, os.ErrNotExist) {
		return key, err
	}
	made, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalECPrivateKey(made)
	if err != nil {
		return nil, err
	}
	return made, writeFile(file, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), 0o600)
}

func encodeCert(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}

// writeFile replaces a file in one step, and leaves one that is already so.
func writeFile(path string, content []byte, mode os.FileMode) error {
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, content) {
		return os.Chmod(path, mode)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	tmp := path + ".tmp"
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return os.Rename(tmp, path)
}
