package join

import (
	"context"
	"crypto/sha256"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestAnAgentIsLetInByTheTokenAlone(t *testing.T) {
	var admitted []string
	gate := Gate{
		Secret: "secret", Answer: Answer{ClusterDNS: "10.43.0.10"},
		Admit: func(_ context.Context, node, password string) error {
			if password != "known" {
				return errors.New("Node password rejected")
			}
			admitted = append(admitted, node)
			return nil
		},
		Issue: func(node, ip string) (map[string][]byte, error) {
			return map[string][]byte{"client-kubelet.crt": []byte(node + " at " + ip)}, nil
		},
	}
	var behind int
	server := httptest.NewUnstartedServer(nil)
	server.StartTLS()
	defer server.Close()
	gate.Authority = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	server.Config.Handler = gate.Before(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		behind++
		http.NotFound(w, nil)
	}))
	token := fmt.Sprintf("K10%x::server:secret", sha256.Sum256(gate.Authority))
	me := Request{Node: "newpc", IP: "192.168.77.2", Password: "known"}
	got, err := Ask(t.Context(), server.URL, token, me)
	if err != nil || string(got.Files["client-kubelet.crt"]) != "newpc at 192.168.77.2" || got.ClusterDNS != "10.43.0.10" {
		t.Fatalf("%+v, %v", got, err)
	}
	for name, c := range map[string]struct {
		token   string
		request Request
		says    string
	}{
		"another secret":    {strings.Replace(token, ":secret", ":guess", 1), me, "not authorized"},
		"another authority": {"K10" + strings.Repeat("0", 64) + "::server:secret", me, "does not match"},
		"no token":          {"", me, "empty"},
		"another password":  {token, Request{Node: "newpc", IP: "192.168.77.2", Password: "new disk"}, "rejected"},
		"no address":        {token, Request{Node: "newpc", Password: "known"}, "a node has a name"},
	} {
		if _, err := Ask(t.Context(), server.URL, c.token, c.request); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(admitted) != 1 {
		t.Errorf("let in: %v", admitted)
	}
	resp, err := server.Client().Get(server.URL + "/api")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusNotFound || behind != 1 {
		t.Errorf("the API server was asked %d times and answered %s", behind, resp.Status)
	}
}
