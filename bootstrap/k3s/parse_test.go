package k3s

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"testing"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/managed"
)

const statusHead = `pss=510000 k3s-server
pss=60000 containerd
pss=7000 containerd-shim
pss=8000 containerd-shim
disk=20000000000 470000000000
datastore=8388608
`

const (
	nodesBody = `{"items":[{"metadata":{"name":"oldpc"},"status":{"conditions":[{"type":"Ready","status":"True","message":"fine"}],` +
		`"nodeInfo":{"bootID":"b1","kubeletVersion":"v1.36.4+k3s1"}}}]}`
	podsBody = `{"columnDefinitions":[{"name":"Name"},{"name":"Ready"},{"name":"Status"},{"name":"Restarts"}],` +
		`"rows":[{"cells":["coredns-1","1/1","Running","3 (1m ago)"]}]}`
)

// statusAnswers has one answer in chunks, as long ones come, and one without.
func statusAnswers() string {
	return apiSeparator + "\n" + nodesPath + "\n" + allPodsPath + "\n\n" + packed(
		fmt.Sprintf("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(nodesBody), nodesBody)+
			fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(podsBody), podsBody))
}

// packed is text as the box packs the API's answers.
func packed(text string) string {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	_, _ = z.Write([]byte(text))
	_ = z.Close()
	return out.String()
}

func TestAnswersAreReadAsFarAsTheyArrived(t *testing.T) {
	whole := statusAnswers()
	if got := parseAnswers([]byte(whole + "\nmore of another query")); len(got) != 2 {
		t.Errorf("%d answers before something else", len(got))
	}
	all := parseAnswers([]byte(whole))
	for n := range len(whole) {
		for path, got := range parseAnswers([]byte(whole[:n])) {
			if got.Status != all[path].Status || string(got.Body) != string(all[path].Body) {
				t.Fatalf("of %d bytes %d gave %s as %d %q", len(whole), n, path, got.Status, got.Body)
			}
		}
	}
}

func TestStatusIsReadFromOneAnswer(t *testing.T) {
	got := parseAnswers([]byte(statusAnswers()))
	started := time.Date(2026, 11, 22, 21, 26, 43, 0, time.UTC)
	s := parseStatus(managed.Unit{Loaded: true, PID: "812", Restarts: 2, Started: started}, []byte(statusHead))
	if len(got) != 2 {
		t.Fatalf("%d answers of the API", len(got))
	}
	s.cluster(got, "b1")
	want := Usage{Server: 510000 << 10, Containerd: 60000 << 10, Shims: 15000 << 10}
	if s.Memory != want || s.PID != "812" || s.Restarts != 2 || !s.Installed || s.Datastore != 8388608 || s.DiskFree != 470e9 {
		t.Errorf("%+v", s)
	}
	if s.Node != "oldpc" || !s.Ready || s.Version != "v1.36.4+k3s1" {
		t.Errorf("%+v", s)
	}
	if s.cluster(got, "b2"); s.Ready || s.NodeSays != "has not reported since the box started" {
		t.Errorf("a node of the boot before: %+v", s)
	}
	if !s.Since.Equal(started) {
		t.Errorf("since %s", s.Since)
	}
	if len(s.Pods) != 1 || s.Pods[0] != (Pod{Name: "coredns-1", Ready: "1/1", Status: "Running", Restarts: "3 (1m ago)"}) {
		t.Errorf("%+v", s.Pods)
	}
}

func TestClaim(t *testing.T) {
	for path, want := range map[string]string{
		storageDir + "/pvc-1234_default_data-mariadb-0": "volume default/data-mariadb-0",
		storageDir + "/pvc-1_ns_a_b":                    "volume ns/a_b",
		storageDir + "/by-hand":                         "volume by-hand",
		dataDir + "/server/db":                          "the cluster's state",
	} {
		if got := claim(path); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}

// What a box or an API server says must never end the program.
func FuzzAnswers(f *testing.F) {
	f.Add([]byte(statusHead + statusAnswers()))
	f.Add([]byte("/a\n\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n"))
	f.Add([]byte("/readyz\n/b\n\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]"))
	f.Fuzz(func(t *testing.T, out []byte) {
		_ = parseAnswers(out)
		var got answers
		if asked, raw, ok := bytes.Cut(out, []byte("\n\n")); ok {
			got = readAnswers(string(asked), bytes.NewReader(raw))
		}
		s := parseStatus(managed.Unit{}, out)
		s.cluster(got, "")
		state := server{}.parse(managed.Observed{Out: out, Beside: [][]byte{out}}, "want")
		if state.api.node && len(parseAnswers(out)) < 2 {
			t.Error("a node is Ready without an answer about it")
		}
		var table Table
		for _, a := range got {
			if a.into(&table) == nil {
				for _, p := range pods(table) {
					p.Works()
				}
			}
		}
	})
}
