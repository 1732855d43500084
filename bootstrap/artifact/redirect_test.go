package artifact

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// A release's file lies behind an address that is signed for a while. Going on
// where a download stopped asks for a new one, and the range goes with it.
func TestResumingAsksForANewSignedAddress(t *testing.T) {
	m := newMirror(t, bytesOf(300_000))
	m.before = cut(m.content, 200_000)
	behind, err := url.Parse(m.URL)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	signature := 0
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		path, signed := strings.CutPrefix(r.URL.EscapedPath(), "/signed")
		if !signed {
			signature++
			http.Redirect(w, r, fmt.Sprintf("/signed%s?sig=%d", path, signature), http.StatusFound)
			return
		}
		if r.URL.Query().Get("sig") != fmt.Sprint(signature) {
			http.Error(w, "expired", http.StatusForbidden)
			return
		}
		forward := *r
		forward.URL = behind.ResolveReference(&url.URL{})
		forward.URL.Path, _ = url.PathUnescape(path)
		forward.URL.RawPath = path
		m.ServeHTTP(w, &forward)
	}))
	defer front.Close()
	o := m.options(t)
	o.K3sMirror = front.URL
	path, err := bring(t, open(t, o), release)
	if err != nil {
		t.Fatal(err)
	}
	wantContent(t, path, m.content)
	if got := m.ranges(); len(got) != 2 || !strings.HasPrefix(got[1], "bytes=") {
		t.Errorf("ranges asked for: %q", got)
	}
}

func TestASizeThatHEADDoesNotSayIsAskedOtherwise(t *testing.T) {
	m := newMirror(t, bytesOf(1000))
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead {
			w.Header().Set("Transfer-Encoding", "chunked")
			return
		}
		m.ServeHTTP(w, r)
	}))
	defer front.Close()
	o := m.options(t)
	o.K3sMirror = front.URL
	a, err := open(t, o).Resolve(t.Context(), k3s(release))
	if err != nil || a.Size != 1000 {
		t.Fatal(a, err)
	}
	if got := m.ranges(); len(got) != 1 || got[0] != "bytes=0-0" {
		t.Errorf("ranges asked for: %q", got)
	}
}
