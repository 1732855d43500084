package secrets

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"time"
)

// brokerUser is the broker's first user; a rotation makes another one.
const brokerUser = "ssg"

// NewPassword returns a password of more than 128 bits that needs no escaping
// in a URL, in SQL or in a shell.
func NewPassword() Value { return NewValue(rand.Text() + rand.Text()[:6]) }

// Complete makes what is missing. The certificate is for MariaDB's primary in
// the given namespace.
func (s Set) Complete(namespace string, now time.Time) (Set, error) {
	out := s.With(nil)
	for _, k := range s.Missing() {
		switch k {
		case MySQLCert, MySQLKey, MySQLCA:
			// They only fit together.
		case RabbitMQUser:
			out[k] = NewValue(brokerUser)
		case CloudFrontKey:
			key, err := newRSAKey()
			if err != nil {
				return nil, err
			}
			out[k] = key
		default:
			out[k] = NewPassword()
		}
	}
	if !out[MySQLCert].Empty() && !out[MySQLKey].Empty() && !out[MySQLCA].Empty() {
		return out, nil
	}
	certificate, err := newCertificate(namespace, now)
	if err != nil {
		return nil, err
	}
	return out.With(certificate), nil
}

// newRSAKey satisfies the application, which refuses to start without a key for
// CloudFront; a real one is taken over from the secrets file.
func newRSAKey() (Value, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return Value{}, fmt.Errorf("make an RSA key: %w", err)
	}
	block := &pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}
	return NewValue(string(pem.EncodeToMemory(block))), nil
}

// newCertificate makes MariaDB's. Elliptic, because it makes the handshakes
// cheap on an old CPU; long-lived, because it never leaves the cluster and a
// box that was off for a year must come back by itself. The authority's key is
// thrown away: nothing else is to be signed by it.
func newCertificate(namespace string, now time.Time) (Set, error) {
	authorityKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the database's authority: %w", err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the database's key: %w", err)
	}
	// A day back: the box's clock may be behind until it has found a server.
	from, until := now.Add(-24*time.Hour), now.AddDate(20, 0, 0)
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "MariaDB of " + namespace},
		NotBefore: from, NotAfter: until, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign,
	}
	server := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "mysql-primary"},
		NotBefore: from, NotAfter: until,
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		DNSNames:    serverNames(namespace), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	authorityDER, err := x509.CreateCertificate(rand.Reader, authority, authority, authorityKey.Public(), authorityKey)
	if err != nil {
		return nil, fmt.Errorf("sign the database's authority: %w", err)
	}
	serverDER, err := x509.CreateCertificate(rand.Reader, server, authority, key.Public(), authorityKey)
	if err != nil {
		return nil, fmt.Errorf("sign the database's certificate: %w", err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("write the database's key: %w", err)
	}
	return Set{
		MySQLCA:   encode("CERTIFICATE", authorityDER),
		MySQLCert: encode("CERTIFICATE", serverDER),
		MySQLKey:  encode("PRIVATE KEY", keyDER),
	}, nil
}

func serverNames(namespace string) []string {
	names := []string{"localhost"}
	for _, service := range []string{"mysql-primary", "mysql-replica"} {
		full := service + "." + namespace
		names = append(names, service, full, full+".svc", full+".svc.cluster.local", "*."+full+".svc.cluster.local")
	}
	return names
}

func encode(kind string, der []byte) Value {
	return NewValue(string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})))
}
