package kubeconfig

import (
	"strings"
	"testing"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
)

const k3s = `apiVersion: v1
clusters:
- cluster: {certificate-authority-data: Y2E=, server: "https://127.0.0.1:6443"}
  name: default
contexts:
- context: {cluster: default, user: default}
  name: default
current-context: default
kind: Config
users:
- name: default
  user: {client-certificate-data: Y2VydA==, client-key-data: a2V5}
`

const work = `apiVersion: v1
clusters:
- cluster: {certificate-authority: ca/work.crt, server: "https://work.example:443"}
  name: work
contexts:
- context: {cluster: work, user: me, namespace: shop}
  name: work
current-context: work
kind: Config
users:
- name: me
  user: {token: abc}
`

func TestTheContextIsAddedAndTheRestStays(t *testing.T) {
	out, err := Merge([]byte(work), []byte(k3s), Entry{Name: "oldpc", Port: 17000})
	if err != nil {
		t.Fatal(err)
	}
	c, err := clientcmd.Load(out)
	if err != nil {
		t.Fatal(err)
	}
	if c.CurrentContext != "work" || c.Contexts["work"].Namespace != "shop" || c.AuthInfos["me"].Token != "abc" || c.Clusters["work"].CertificateAuthority != "ca/work.crt" {
		t.Errorf("what was there has changed:\n%s", out)
	}
	cluster := c.Clusters["oldpc"]
	if cluster.Server != "https://127.0.0.1:17000" || cluster.TLSServerName != "127.0.0.1" || string(cluster.CertificateAuthorityData) != "ca" {
		t.Errorf("cluster %+v", cluster)
	}
	if user := c.AuthInfos["oldpc"]; string(user.ClientKeyData) != "key" || c.Contexts["oldpc"].AuthInfo != "oldpc" {
		t.Errorf("user %+v", user)
	}
	again, err := Merge(out, []byte(k3s), Entry{Name: "oldpc", Port: 17000})
	if err != nil || string(again) != string(out) {
		t.Errorf("the second time differs (%v):\n%s", err, again)
	}
}

func TestTheFirstContextBecomesTheCurrentOne(t *testing.T) {
	out, err := Merge(nil, []byte(k3s), Entry{Name: "oldpc", Port: 17000})
	if err != nil || !strings.Contains(string(out), "current-context: oldpc") {
		t.Errorf("%v\n%s", err, out)
	}
	out, err = Merge([]byte(work), []byte(k3s), Entry{Name: "oldpc", Port: 17000, Use: true})
	if err != nil || !strings.Contains(string(out), "current-context: oldpc") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestARebuiltClusterReplacesItself(t *testing.T) {
	first, err := Merge(nil, []byte(k3s), Entry{Name: "oldpc", Port: 17000})
	if err != nil {
		t.Fatal(err)
	}
	rebuilt := strings.ReplaceAll(k3s, "Y2E=", "bmV3")
	second, err := Merge(first, []byte(rebuilt), Entry{Name: "oldpc", Port: 17000})
	if err != nil || !strings.Contains(string(second), "bmV3") || strings.Contains(string(second), "Y2E=") {
		t.Errorf("%v\n%s", err, second)
	}
}

func TestAContextOfTheSameNameThatLeadsElsewhereIsKept(t *testing.T) {
	_, err := Merge([]byte(work), []byte(k3s), Entry{Name: "work", Port: 17000})
	if fault.CodeOf(err) != fault.Usage || !strings.Contains(fault.NextOf(err), "--context") {
		t.Errorf("got %v", err)
	}
	if _, err := Merge([]byte(work), []byte(k3s), Entry{Name: "work", Port: 17000, Replace: true}); err != nil {
		t.Error(err)
	}
}

func TestWhatCannotBeReadIsRefused(t *testing.T) {
	for _, users := range []string{"apiVersion: v1\nclusters: [", "kind: Pod\napiVersion: v1\n", "\x00"} {
		if _, err := Merge([]byte(users), []byte(k3s), Entry{Name: "oldpc"}); fault.CodeOf(err) != fault.KubeconfigInvalid {
			t.Errorf("%q: %v", users, err)
		}
	}
	for _, admin := range []string{"", "apiVersion: v1\nkind: Config\n", "{"} {
		if _, err := Merge(nil, []byte(admin), Entry{Name: "oldpc"}); err == nil {
			t.Errorf("%q was taken for k3s's kubeconfig", admin)
		}
	}
}

func FuzzMergeNeverLosesAContext(f *testing.F) {
	f.Add([]byte(work))
	f.Add([]byte(k3s))
	f.Add([]byte("{}"))
	f.Fuzz(func(t *testing.T, users []byte) {
		out, err := Merge(users, []byte(k3s), Entry{Name: "oldpc", Port: 17000, Replace: true})
		if err != nil {
			return
		}
		before, err := clientcmd.Load(users)
		if err != nil {
			return // an empty file
		}
		after, err := clientcmd.Load(out)
		if err != nil {
			t.Fatalf("wrote what cannot be read: %v", err)
		}
		for name := range before.Contexts {
			if after.Contexts[name] == nil {
				t.Errorf("context %q is lost", name)
			}
		}
	})
}
