package mirror_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/lab/mirror"
)

const version = "v1.36.4+k3s1"

func content() []byte { return bytes.Repeat([]byte("0123456789abcdef"), 4096) }

// serve lays out a release, serves it and returns its address.
func serve(t *testing.T, faults ...mirror.Fault) (root, file string) {
	t.Helper()
	dir := t.TempDir()
	for _, v := range []string{"v1.36.3+k3s2", version, "v1.35.9+k3s1"} {
		folder := filepath.Join(dir, "k3s-io", "k3s", "releases", "download", v)
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, "k3s"), content(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "secret"), []byte("outside of any release"), 0o644); err != nil {
		t.Fatal(err)
	}
	server, err := mirror.Listen("127.0.0.1:0", mirror.New(dir, faults...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	return server.URL(), server.URL() + "/k3s-io/k3s/releases/download/" + version + "/k3s"
}

func get(t *testing.T, url string, header ...string) (*http.Response, []byte, error) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return response, body, err
}

// one asks without following redirects.
func one(t *testing.T, url string) *http.Response {
	t.Helper()
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	return response
}

func TestDownloadRedirectsToAnObject(t *testing.T) {
	_, file := serve(t)
	for _, url := range []string{file, strings.ReplaceAll(file, "+", "%2B")} {
		first := one(t, url)
		if first.StatusCode != http.StatusFound || !strings.HasPrefix(first.Header.Get("Location"), "/objects/") {
			t.Errorf("%s answers %s to %q", url, first.Status, first.Header.Get("Location"))
		}
		response, body, err := get(t, url)
		if err != nil || response.StatusCode != http.StatusOK || !bytes.Equal(body, content()) {
			t.Errorf("%s: %s, %d bytes, %v", url, response.Status, len(body), err)
		}
	}
}

func TestRangesResumeADownload(t *testing.T) {
	_, file := serve(t)
	whole, _, err := get(t, file)
	if err != nil {
		t.Fatal(err)
	}
	tag := whole.Header.Get("ETag")
	response, body, err := get(t, file, "Range", "bytes=1000-", "If-Range", tag)
	if err != nil || response.StatusCode != http.StatusPartialContent || !bytes.Equal(body, content()[1000:]) {
		t.Errorf("%s, %d bytes, %v", response.Status, len(body), err)
	}
	// A client that holds a part of another file must get the whole new one.
	response, body, err = get(t, file, "Range", "bytes=1000-", "If-Range", `"another"`)
	if err != nil || response.StatusCode != http.StatusOK || !bytes.Equal(body, content()) {
		t.Errorf("with another tag: %s, %d bytes, %v", response.Status, len(body), err)
	}
	response, _, err = get(t, file, "Range", fmt.Sprintf("bytes=%d-", len(content())))
	if err != nil || response.StatusCode != http.StatusRequestedRangeNotSatisfiable {
		t.Errorf("past the end: %s, %v", response.Status, err)
	}
}

func TestChannelsLeadToTheNewestRelease(t *testing.T) {
	root, _ := serve(t)
	for channel, want := range map[string]string{"stable": version, "latest": version, "v1.35": "v1.35.9+k3s1"} {
		response := one(t, root+"/v1-release/channels/"+channel)
		if got := response.Header.Get("Location"); response.StatusCode != http.StatusFound || !strings.HasSuffix(got, "/releases/tag/"+want) {
			t.Errorf("channel %s: %s to %q, want %s", channel, response.Status, got, want)
		}
	}
	if response := one(t, root+"/v1-release/channels/v9.9"); response.StatusCode != http.StatusNotFound {
		t.Errorf("a channel without a release: %s", response.Status)
	}
	response, body, err := get(t, root+"/v1-release/channels/stable")
	if err != nil || response.StatusCode != http.StatusOK || !strings.HasSuffix(response.Request.URL.Path, version) {
		t.Errorf("the release's page: %s, %q, %v", response.Status, body, err)
	}
}

func TestNothingElseIsServed(t *testing.T) {
	root, file := serve(t)
	for _, url := range []string{
		root + "/", root + "/secret", file + "-none",
		strings.Replace(file, version, "v0.0.0", 1),
		root + "/objects/release/asset/..%2f..%2f..%2f/..%2f/..%2f/secret",
		root + "/k3s-io/k3s/releases/download/" + version + "/..%2f..%2f..%2f..%2f..%2fsecret",
	} {
		if response, body, err := get(t, url); err != nil || response.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %s, %q, %v", url, response.Status, body, err)
		}
	}
}

func TestTruncatedDownloadBreaksOff(t *testing.T) {
	_, file := serve(t, mirror.Fault{File: "k3s", TruncateAt: 5000, Times: 2})
	response, body, err := get(t, file)
	if !errors.Is(err, io.ErrUnexpectedEOF) || len(body) != 5000 || response.ContentLength != int64(len(content())) {
		t.Errorf("%d of %d promised bytes, %v", len(body), response.ContentLength, err)
	}
	_, body, err = get(t, file, "Range", "bytes=4000-")
	if !errors.Is(err, io.ErrUnexpectedEOF) || !bytes.Equal(body, content()[4000:5000]) {
		t.Errorf("resumed: %d bytes, %v", len(body), err)
	}
	if _, body, err = get(t, file); err != nil || !bytes.Equal(body, content()) {
		t.Errorf("the third time: %d bytes, %v", len(body), err)
	}
}

func TestCorruptByte(t *testing.T) {
	_, file := serve(t, mirror.Fault{Corrupt: 1235})
	want := bytes.Clone(content())
	want[1234] ^= 0xff
	if _, body, err := get(t, file); err != nil || !bytes.Equal(body, want) {
		t.Errorf("%d bytes, damaged as asked: %t, %v", len(body), bytes.Equal(body, want), err)
	}
	if _, body, err := get(t, file, "Range", "bytes=1200-1299"); err != nil || !bytes.Equal(body, want[1200:1300]) {
		t.Errorf("the range around it: %d bytes, %v", len(body), err)
	}
}

func TestStatusFaults(t *testing.T) {
	_, file := serve(t,
		mirror.Fault{File: "k3s", Status: http.StatusInternalServerError, Times: 1},
		mirror.Fault{File: "another", Status: http.StatusNotFound},
	)
	if response, _, _ := get(t, file); response.StatusCode != http.StatusInternalServerError {
		t.Errorf("first: %s", response.Status)
	}
	if response, body, err := get(t, file); response.StatusCode != http.StatusOK || !bytes.Equal(body, content()) {
		t.Errorf("second: %s, %d bytes, %v", response.Status, len(body), err)
	}
}

func TestSlowMirror(t *testing.T) {
	_, file := serve(t, mirror.Fault{Rate: int64(len(content())) * 4})
	start := time.Now()
	_, body, err := get(t, file)
	if took := time.Since(start); err != nil || !bytes.Equal(body, content()) || took < 200*time.Millisecond {
		t.Errorf("%d bytes in %v, %v; a quarter of a second was asked for", len(body), took, err)
	}
}

func TestHelmLiesSideBySide(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "helm"), 0o755); err != nil {
		t.Fatal(err)
	}
	name := "helm-v3.22.0-linux-amd64.tar.gz"
	if err := os.WriteFile(filepath.Join(dir, "helm", name), content(), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "secret"), []byte("outside"), 0o644); err != nil {
		t.Fatal(err)
	}
	server, err := mirror.Listen("127.0.0.1:0", mirror.New(dir))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	response, body, err := get(t, server.URL()+"/helm/"+name, "Range", "bytes=16-")
	if err != nil || response.StatusCode != http.StatusPartialContent || !bytes.Equal(body, content()[16:]) {
		t.Errorf("%s, %d bytes, %v", response.Status, len(body), err)
	}
	for _, path := range []string{"/helm/", "/helm/other", "/helm/..%2fsecret", "/helm/.."} {
		if response, body, err := get(t, server.URL()+path); err != nil || response.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %s %q, %v", path, response.Status, body, err)
		}
	}
}

func TestTailscaleIsLaidOutAsItsPublisherDoes(t *testing.T) {
	dir := t.TempDir()
	stable := filepath.Join(dir, "tailscale", "stable")
	server, err := mirror.Listen("127.0.0.1:0", mirror.New(dir))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	index := server.URL() + "/tailscale/stable/?mode=json"
	if response, _, err := get(t, index); err != nil || response.StatusCode != http.StatusNotFound {
		t.Errorf("the index of nothing: %s, %v", response.Status, err)
	}
	if err := os.MkdirAll(stable, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"tailscale_1.98.0_amd64.tgz", "tailscale_1.102.5_amd64.tgz", "tailscale_1.102.5_amd64.tgz.sha256", "tailscale_x_amd64.tgz"} {
		if err := os.WriteFile(filepath.Join(stable, name), content(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want := `{"Tarballs":{"amd64":"tailscale_1.102.5_amd64.tgz"},"TarballsVersion":"1.102.5"}`
	if _, body, err := get(t, index); err != nil || strings.TrimSpace(string(body)) != want {
		t.Errorf("the index is %s, %v", body, err)
	}
	for name, status := range map[string]int{
		"tailscale_1.102.5_amd64.tgz": http.StatusPartialContent, "tailscale_1.102.5_amd64.tgz.sha256": http.StatusPartialContent,
		"": http.StatusNotFound, "tailscale_1.1.1_amd64.tgz": http.StatusNotFound, "..%2f..%2fstable": http.StatusNotFound,
	} {
		if response, _, err := get(t, server.URL()+"/tailscale/stable/"+name, "Range", "bytes=16-"); err != nil || response.StatusCode != status {
			t.Errorf("%q: %s, %v", name, response.Status, err)
		}
	}
}
