package node

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
)

func TestContainerdEnv(t *testing.T) {
	got := ContainerdEnv([]string{
		"CONTAINERD_GOMEMLIMIT=200MiB", "GOMEMLIMIT=800MiB", "PATH=/bin", "NOTIFY_SOCKET=/run/x", "CONTAINERD_GOGC=50", "CONTAINERD_=x",
	})
	slices.Sort(got)
	want := []string{"GOGC=50", "GOMEMLIMIT=200MiB", "PATH=/bin"}
	if !slices.Equal(got, want) {
		t.Fatalf("got %v, want %v", got, want)
	}
}

func TestPasswordIsMadeOnce(t *testing.T) {
	file := filepath.Join(t.TempDir(), "node", "password")
	first, err := Password(file)
	if err != nil || len(first) != 32 {
		t.Fatalf("%q, %v", first, err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", info, err)
	}
	if again, err := Password(file); err != nil || again != first {
		t.Fatalf("%q, %v", again, err)
	}
}

func TestAdmit(t *testing.T) {
	ctx := context.Background()
	client := fake.NewSimpleClientset()
	if err := AdmitOnce(ctx, client, "oldpc", "right"); err != nil {
		t.Fatal("first time:", err)
	}
	secret, err := client.CoreV1().Secrets("kube-system").Get(ctx, "oldpc.node-password.k3s", metav1.GetOptions{})
	if err != nil || secret.Immutable == nil || !*secret.Immutable {
		t.Fatalf("%v, %v", secret, err)
	}
	if err := AdmitOnce(ctx, client, "oldpc", "right"); err != nil {
		t.Error("same password:", err)
	}
	if err := AdmitOnce(ctx, client, "oldpc", "wrong"); !errors.Is(err, errRejected) {
		t.Error("another password:", err)
	}
}

func TestNetworkConfig(t *testing.T) {
	b, err := networkConfig("10.42.0.0/24")
	if err != nil {
		t.Fatal(err)
	}
	var conf struct {
		Plugins []struct {
			Type, Bridge string
			IPAM         struct{ Ranges [][]struct{ Subnet string } }
			Capabilities map[string]bool
		}
	}
	if err := json.Unmarshal(b, &conf); err != nil {
		t.Fatal(err)
	}
	if p := conf.Plugins[0]; p.Bridge != "cni0" || p.IPAM.Ranges[0][0].Subnet != "10.42.0.0/24" {
		t.Errorf("bridge: %+v", p)
	}
	if p := conf.Plugins[1]; p.Type != "portmap" || !p.Capabilities["portMappings"] {
		t.Errorf("ports: %+v", p)
	}
}

func TestAddressPrefersWhatWasAsked(t *testing.T) {
	if got, err := Address("192.0.2.7", "nosuch0"); err != nil || got != "192.0.2.7" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := Address("", "nosuch0"); err == nil {
		t.Error("an interface that does not exist was accepted")
	}
}
