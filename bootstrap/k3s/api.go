package k3s

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
)

// The cluster is read by the box itself: requests and answers travel in the
// same query as everything else, which costs no further round trip, and no
// start of kubectl, which takes an old CPU seconds. Only GETs are sent, so a
// query stays one that changes nothing.

// apiScript sends the requests for the paths that are its arguments over one
// connection and prints the paths and the raw answers, in the same order. The
// admin's key never leaves the box. For a list it asks for the table that
// kubectl would print: whole pods are a hundred times as long. A server that is
// starting up may accept a connection and then be silent. The answers, which say
// much of themselves and of their fields' managers, leave compressed: they are
// most of what a run that changes nothing gets over the link.
const apiScript = `[ $# -gt 0 ] || exit 0
echo '` + apiSeparator + `'
printf '%s\n' "$@" ""
left=$#
for path; do
	left=$((left - 1)) accept=application/json connection=keep-alive
	case $path in *includeObject=*) accept='application/json;as=Table;v=v1;g=meta.k8s.io' ;; esac
	[ $left -gt 0 ] || connection=close
	printf 'GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: %s\r\nConnection: %s\r\n\r\n' "$path" "$accept" $connection
done | timeout 45 openssl s_client -quiet -verify_quiet -verify_return_error -connect 127.0.0.1:6443 \
	-CAfile ` + tlsDir + `/server-ca.crt -cert ` + tlsDir + `/client-admin.crt -key ` + tlsDir + `/client-admin.key 2>/dev/null | gzip -1
:
`

const apiSeparator = "-- api --"

// Ask asks for paths of the API with the box's own admin certificate; Answers
// reads what it brings. All that planners ask at the same time goes through one
// process and one connection, each of which costs the box more than the answers.
func Ask(paths ...string) host.Command {
	return host.Command{Argv: []string{"sh", "-c", apiScript, "sh"}, Also: paths, Root: true}
}

// answer is one response of the API server.
type answer struct {
	Status int
	Body   []byte
}

// answers are what the API server said, by path; one that is not there did not
// arrive.
type answers map[string]answer

// maxAnswers bounds, in bytes, what is unpacked of all answers together.
const maxAnswers = 64 << 20

// parseAnswers reads what apiScript prints, as far as it arrived.
func parseAnswers(out []byte) answers {
	_, raw, ok := bytes.Cut(out, []byte(apiSeparator+"\n"))
	if !ok {
		return nil
	}
	asked, packed, _ := bytes.Cut(raw, []byte("\n\n"))
	unpacked, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return answers{}
	}
	unpacked.Multistream(false) // what follows is not ours
	return readAnswers(string(asked), io.LimitReader(unpacked, maxAnswers))
}

// readAnswers reads the answers to the paths asked, a line each.
func readAnswers(asked string, raw io.Reader) answers {
	got := answers{}
	r := bufio.NewReader(raw)
	for path := range strings.SplitSeq(asked, "\n") {
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			return got
		}
		body, err := io.ReadAll(io.LimitReader(resp.Body, 8<<20))
		if err != nil {
			return got
		}
		got[path] = answer{resp.StatusCode, body}
	}
	return got
}

func (a answer) into(v any) error {
	if a.Status != http.StatusOK {
		return fmt.Errorf("the API server answers %d", a.Status)
	}
	return json.Unmarshal(a.Body, v)
}

// node is the part of a node that says whether it works.
type node struct {
	Metadata struct {
		Name   string            `json:"name"`
		Labels map[string]string `json:"labels"`
	} `json:"metadata"`
	Status struct {
		Addresses []struct {
			Type    string `json:"type"`
			Address string `json:"address"`
		} `json:"addresses"`
		Conditions []struct {
			Type    string `json:"type"`
			Status  string `json:"status"`
			Message string `json:"message"`
		} `json:"conditions"`
		NodeInfo struct {
			BootID                  string `json:"bootID"`
			KubeletVersion          string `json:"kubeletVersion"`
			ContainerRuntimeVersion string `json:"containerRuntimeVersion"`
		} `json:"nodeInfo"`
		Capacity map[string]string `json:"capacity"`
	} `json:"status"`
}

// bootScript tells which boot of the box this is. Until the kubelet reports again
// after a power cut, the API server repeats what it said before.
const bootScript = `read -r d </proc/sys/kernel/random/boot_id && echo "boot=$d"
`

// ready returns whether the node is, in this boot of its box, and what it says if
// it is not. A boot that is not known is any.
func (n node) ready(boot string) (bool, string) {
	if boot != "" && n.Status.NodeInfo.BootID != boot {
		return false, "has not reported since the box started"
	}
	for _, c := range n.Status.Conditions {
		if c.Type == "Ready" {
			return c.Status == "True", c.Message
		}
	}
	return false, "has not reported yet"
}

// address is the one under which the other nodes reach it.
func (n node) address() string {
	for _, a := range n.Status.Addresses {
		if a.Type == "InternalIP" {
			return a.Address
		}
	}
	return ""
}

// ofServer says that the control plane runs there.
func (n node) ofServer() bool {
	_, is := n.Metadata.Labels["node-role.kubernetes.io/control-plane"]
	return is
}

// Table is how the API server prints a list: a path with includeObject= asks for
// one.
type Table struct {
	Columns []struct {
		Name string `json:"name"`
	} `json:"columnDefinitions"`
	Rows []struct {
		Cells []any `json:"cells"`
	} `json:"rows"`
}

// Column returns the texts of one column, row by row.
func (t Table) Column(name string) []string {
	out := make([]string, len(t.Rows))
	for i, c := range t.Columns {
		if c.Name != name {
			continue
		}
		for j, r := range t.Rows {
			if i < len(r.Cells) {
				out[j] = fmt.Sprint(r.Cells[i])
			}
		}
	}
	return out
}

// Pod is one pod as kubectl would print it.
type Pod struct {
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
	Ready     string `json:"ready"`
	Status    string `json:"status"`
	Restarts  string `json:"restarts"`
}

func pods(t Table) []Pod {
	names, ready, status, restarts := t.Column("Name"), t.Column("Ready"), t.Column("Status"), t.Column("Restarts")
	out := make([]Pod, len(names))
	for i := range names {
		out[i] = Pod{Name: names[i], Ready: ready[i], Status: status[i], Restarts: restarts[i]}
	}
	return out
}

// Works reports whether the pod has done or does what it is for.
func (p Pod) Works() bool {
	if p.Status == "Completed" {
		return true
	}
	ready, all, ok := strings.Cut(p.Ready, "/")
	return ok && p.Status == "Running" && ready == all
}
