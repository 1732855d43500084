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
