package runner

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// newFiles serves texts by path and returns its address.
func newFiles(t *testing.T, files map[string]string) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, ok := files[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(text))
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// The file that kubectl would read by itself is root's.
func TestJobsKubectlReadsNoConfigurationOfRoots(t *testing.T) {
	var env string
	for _, f := range ownFiles() {
		if strings.HasSuffix(f.path, "/.env") {
			env = f.content
		}
	}
	for _, want := range []string{"\nKUBECONFIG=" + kubeconfigPath + "\n", "\nK3S_CONFIG_FILE=/dev/null\n"} {
		if !strings.Contains(env, want) {
			t.Errorf(".env lacks %q: %q", want, env)
		}
	}
}
