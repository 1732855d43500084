package tailnet

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"time"

	"tailscale.com/derp/derpserver"
	"tailscale.com/tailcfg"
)

// newCertificate makes the relay's certificate. Nodes are told its sum, so
// nobody has to have signed it.
func newCertificate() (certificate, tlsKey []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("make the relay's certificate: %w", err)
	}
	// From long ago: the clocks of the lab's boxes are wrong now and then.
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: relayIP},
		NotBefore:    time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:     time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IPAddresses:  []net.IP{net.ParseIP(relayIP), net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		return nil, nil, fmt.Errorf("make the relay's certificate: %w", err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, nil, fmt.Errorf("make the relay's certificate: %w", err)
	}
	certificate = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return certificate, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), nil
}

// Where a box finds the relay: the neighbour that the lab gives it.
const (
	relayIP   = "10.0.2.101"
	relayPort = 443
)

// relays says where the one relay is: a box finds it elsewhere than a node on
// the workstation does. The lock is held.
func (s *Server) relays(by way) *tailcfg.DERPMap {
	block, _ := pem.Decode(s.state.Certificate)
	sum := sha256.Sum256(block.Bytes)
	node := &tailcfg.DERPNode{
		Name: "1a", RegionID: 1, CertName: "sha256-raw:" + hex.EncodeToString(sum[:]),
		HostName: relayIP, IPv4: relayIP, DERPPort: relayPort, IPv6: "none", STUNPort: -1,
	}
	if by == fromWorkstation {
		node.HostName, node.IPv4, node.DERPPort = "127.0.0.1", "127.0.0.1", s.state.Ports.Relay
	}
	region := &tailcfg.DERPRegion{RegionID: 1, RegionCode: "lab", RegionName: "Lab", Nodes: []*tailcfg.DERPNode{node}}
	return &tailcfg.DERPMap{Regions: map[int]*tailcfg.DERPRegion{1: region}, OmitDefaultRegions: true}
}

func (s *Server) relayHandler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/derp", derpserver.Handler(s.relay))
	mux.HandleFunc("/derp/probe", derpserver.ProbeHandler)
	mux.HandleFunc("/derp/latency-check", derpserver.ProbeHandler)
	mux.HandleFunc("/generate_204", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	return mux
}

func (s *Server) relayTLS() (*tls.Config, error) {
	pair, err := tls.X509KeyPair(s.state.Certificate, s.state.TLSKey)
	if err != nil {
		return nil, fmt.Errorf("read the relay's certificate: %w", err)
	}
	// The relay's protocol takes over whole connections, which HTTP/2 has none of.
	return &tls.Config{Certificates: []tls.Certificate{pair}, NextProtos: []string{"http/1.1"}, MinVersion: tls.VersionTLS12}, nil
}
