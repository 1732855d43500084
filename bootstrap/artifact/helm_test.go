package artifact

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
)

// newHelm is a server laid out as get.helm.sh is.
func newHelm(t *testing.T, content []byte, sums string) Options {
	file := "/" + HelmTarball("v3.22.0")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case file + ".sha256sum":
			fmt.Fprint(w, sums)
		case file:
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(server.Close)
	return Options{CacheDir: t.TempDir(), LockPath: filepath.Join(t.TempDir(), "ssg-bootstrap.lock"), HelmMirror: server.URL + "/"}
}

func TestHelmIsCheckedAgainstTheListBesideItAndPinned(t *testing.T) {
	content := bytesOf(40_000)
	o := newHelm(t, content, digestOf(content)+"  "+HelmTarball("v3.22.0")+"\n")
	s := open(t, o)
	a, err := s.Resolve(t.Context(), Ref{Name: "helm", Version: "v3.22.0", File: HelmTarball("v3.22.0")})
	if err != nil {
		t.Fatal(err)
	}
	path, err := s.Fetch(t.Context(), a, nil)
	if err != nil {
		t.Fatal(err)
	}
	wantContent(t, path, content)
	lock, err := os.ReadFile(o.LockPath)
	if err != nil || !strings.Contains(string(lock), "helm/v3.22.0/helm-v3.22.0-linux-amd64.tar.gz:") {
		t.Errorf("the lock file holds\n%s\n%v", lock, err)
	}
	if _, err := s.Resolve(t.Context(), Ref{Name: "helm", Version: "latest", File: "helm"}); fault.CodeOf(err) != fault.UnknownVersion {
		t.Errorf("a channel: %v", err)
	}
}

func TestAVouchedFileIsCheckedAndPinnedNowhere(t *testing.T) {
	content := bytesOf(40_000)
	o := newHelm(t, content, "")
	s := open(t, o)
	ref := Ref{Name: "actions-runner", Version: "2.336.0", File: "actions-runner-linux-x64-2.336.0.tar.gz"}
	at := o.HelmMirror + HelmTarball("v3.22.0")
	a, err := s.Vouched(t.Context(), ref, at, digestOf(content))
	if err != nil || a.Size != int64(len(content)) {
		t.Fatalf("%+v, %v", a, err)
	}
	path, err := s.Fetch(t.Context(), a, nil)
	if err != nil {
		t.Fatal(err)
	}
	wantContent(t, path, content)
	if _, err := os.Stat(o.LockPath); !os.IsNotExist(err) {
		t.Errorf("there is a lock file: %v", err)
	}
	a, err = s.Vouched(t.Context(), ref, at, digestOf([]byte("something else")))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Fetch(t.Context(), a, nil); fault.CodeOf(err) != fault.DigestMismatch {
		t.Errorf("a wrong digest: %v", err)
	}
	if _, err := s.Vouched(t.Context(), ref, at, "abc"); err == nil {
		t.Error("no digest at all was taken")
	}
}
