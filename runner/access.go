package runner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/k3s"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/managed"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/step"
)

// access is what jobs may do in the cluster: a ServiceAccount of their own with
// a Role in the application's namespace, and a kubeconfig with its token. The
// administrator's file stays root's.
type access struct{ in Input }

type accessState struct {
	// absent and differs are the paths of objects that are not there or not as
	// they should be.
	absent, differs []object
	// file is "user mode" of the kubeconfig, "" if there is none; fresh says
	// that it trusts the cluster that is here now.
	file  string
	fresh bool
}

// object is one object of the API as it should be. A field that want leaves out
// may be anything.
type object struct {
	path string
	want map[string]any
	// secret keeps the content out of every answer: only whether it is there.
	secret bool
}

func (o object) name() string {
	meta := o.want["metadata"].(map[string]any)
	name := fmt.Sprintf("%s %s", o.want["kind"], meta["name"])
	if ns, ok := meta["namespace"]; ok && ns != "" {
		name = fmt.Sprintf("%s %s/%s", o.want["kind"], ns, meta["name"])
	}
	return name
}

const (
	account     = "github-runner"
	tokenSecret = "github-runner-token"
	rbacGroup   = "rbac.authorization.k8s.io"
	rbac        = rbacGroup + "/v1"
	marker      = "app.kubernetes.io/managed-by"
	us          = "ssg-bootstrap"
	podSecurity = "pod-security.kubernetes.io/enforce"
)

// objects lists what is needed, in the order in which it can be made.
func (a access) objects() []object {
	ns, rights := a.in.Namespace, RightsOf(a.in.Release, a.in.Namespace)
	wide := account + "-" + ns
	core, named := "/api/v1/namespaces/"+ns, "/apis/"+rbac+"/namespaces/"
	return []object{
		// A pod that mounts the host's disk would be root on the box: the
		// namespace takes none, whoever asks for it.
		{path: core, want: m{"apiVersion": "v1", "kind": "Namespace", "metadata": m{"name": ns, "labels": m{podSecurity: "baseline"}}}},
		{path: core + "/serviceaccounts/" + account, want: with("v1", "ServiceAccount", account, ns, m{"automountServiceAccountToken": false})},
		{path: core + "/secrets/" + tokenSecret, secret: true, want: m{
			"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/service-account-token",
			"metadata": m{"name": tokenSecret, "namespace": ns, "labels": m{marker: us}, "annotations": m{"kubernetes.io/service-account.name": account}},
		}},
		{path: named + ns + "/roles/" + account, want: with(rbac, "Role", account, ns, m{"rules": rights.Namespaced})},
		{path: named + ns + "/rolebindings/" + account, want: binding("RoleBinding", "Role", account, ns, ns)},
		{path: "/apis/" + rbac + "/clusterroles/" + wide, want: with(rbac, "ClusterRole", wide, "", m{"rules": rights.Cluster})},
		{path: "/apis/" + rbac + "/clusterrolebindings/" + wide, want: binding("ClusterRoleBinding", "ClusterRole", wide, "", ns)},
		{path: named + "kube-system/roles/" + wide, want: with(rbac, "Role", wide, "kube-system", m{"rules": rights.System})},
		{path: named + "kube-system/rolebindings/" + wide, want: binding("RoleBinding", "Role", wide, "kube-system", ns)},
	}
}

type m = map[string]any

func with(version, kind, name, namespace string, more m) m {
	meta := m{"name": name, "labels": m{marker: us}}
	if namespace != "" {
		meta["namespace"] = namespace
	}
	more["apiVersion"], more["kind"], more["metadata"] = version, kind, meta
	return more
}

func binding(kind, role, name, namespace, of string) m {
	return with(rbac, kind, name, namespace, m{
		"roleRef":  m{"apiGroup": rbacGroup, "kind": role, "name": name},
		"subjects": []any{m{"kind": "ServiceAccount", "name": account, "namespace": of}},
	})
}

func (access) ID() step.ID        { return AccessID }
func (access) Title() string      { return "Deploy rights of jobs" }
func (a access) Needs() []step.ID { return a.in.after(k3s.ServerID, UserID) }
func (access) Lane() step.Lane    { return step.LaneBox }

// accessScript compares authorities in the text in which a kubeconfig has them.
const accessScript = `file=$1 ca=$2
[ -f "$file" ] && echo "file=$(stat -c '%U %a' "$file")"
[ -r "$ca" ] && [ -f "$file" ] && grep -qF "certificate-authority-data: $(base64 -w0 <"$ca")" "$file" && echo "fresh=yes"
:
`

func (a access) Observe(ctx context.Context, r host.Reader) (accessState, error) {
	objects := a.objects()
	paths := make([]string, len(objects))
	for i, o := range objects {
		if paths[i] = o.path; o.secret {
			// A table has no contents in it.
			paths[i] += "?includeObject=None"
		}
	}
	said, err := r.QueryMany(ctx, []host.Command{
		k3s.Ask(paths...), {Argv: []string{"sh", "-c", accessScript, "sh", kubeconfigPath, serverCA}, Root: true},
	})
	if err == nil {
		err = errors.Join(said[0].Err, said[1].Err)
	}
	if err != nil {
		return accessState{}, fmt.Errorf("look at the rights of jobs: %w", err)
	}
	got, err := k3s.Answers(said[0].Out, paths...)
	if errors.Is(err, k3s.ErrNoAnswer) {
		return accessState{}, step.ErrDeferred
	}
	if err != nil {
		return accessState{}, err
	}
	p := managed.Pairs(said[1].Out)
	s := accessState{file: p["file"], fresh: p["fresh"] == "yes"}
	for i, o := range objects {
		switch {
		case got[i] == nil:
			s.absent = append(s.absent, o)
		case !o.secret && !o.holds(got[i]):
			s.differs = append(s.differs, o)
		}
	}
	return s, nil
}

// holds reports whether the object that is there has everything that is wanted.
func (o object) holds(body []byte) bool {
	var got any
	if json.Unmarshal(body, &got) != nil {
		return false
	}
	if o.want["kind"] == "Namespace" && covers(m{"metadata": m{"labels": m{podSecurity: "restricted"}}}, got) {
		return true // stricter than we ask for
	}
	text, err := json.Marshal(o.want)
	if err != nil {
		return false
	}
	var want any
	return json.Unmarshal(text, &want) == nil && covers(want, got)
}

// covers reports whether got has all of want; lists are compared whole.
func covers(want, got any) bool {
	w, isMap := want.(map[string]any)
	if !isMap {
		return reflect.DeepEqual(want, got)
	}
	g, ok := got.(map[string]any)
	for k, v := range w {
		if !ok || !covers(v, g[k]) {
			return false
		}
	}
	return ok
}

func (a access) Diff(s accessState) ([]step.Change, error) {
	var out []step.Change
	for _, o := range s.absent {
		out = append(out, step.Change{Verb: step.Create, Object: o.name(), Why: "absent"})
	}
	for _, o := range s.differs {
		out = append(out, step.Change{Verb: step.Update, Object: o.name(), Why: "differs"})
	}
	if c, differs := s.kubeconfig(); differs {
		out = append(out, c)
	}
	return out, nil
}

func (s accessState) kubeconfig() (step.Change, bool) {
	c := step.Change{Verb: step.Update, Object: kubeconfigPath}
	for _, o := range s.absent {
		if o.secret || o.want["kind"] == "ServiceAccount" {
			c.Why = "its token is no longer valid"
		}
	}
	switch {
	case s.file == "":
		c.Verb, c.Why = step.Create, "absent"
	case !s.fresh:
		c.Why = "the cluster has another authority now"
	case s.file != userName+" 600":
		c.Why = s.file + " → " + userName + " 600"
	}
	return c, c.Why != ""
}

// Roles that bind to others cannot be changed, only made anew: --force-conflicts
// is about fields that somebody else wrote, as with kubectl edit.
// Nor does kubectl look for mistakes itself: it would fetch the API's whole
// schema for that, which took such a box longer than kubectl waits.
const applyScript = `exec /usr/local/bin/k3s kubectl apply --server-side --force-conflicts --validate=false --field-manager=ssg-bootstrap -f - >&2`

// issueScript writes the kubeconfig on the box itself: the token does not leave
// it, and is in no program's arguments, for printf is a part of the shell. The
// token is made by a controller, which takes a moment.
const issueScript = `set -e
umask 077
file=$1 user=$2 ns=$3 secret=$4 ca=$5
token= tries=60
while [ -z "$token" ] && [ "$tries" -gt 0 ]; do
	token=$(/usr/local/bin/k3s kubectl -n "$ns" get secret "$secret" -o 'go-template={{with .data.token}}{{. | base64decode}}{{end}}')
	[ -n "$token" ] || sleep 1
	tries=$((tries - 1))
done
[ -n "$token" ] || { echo "the cluster has made no token for $secret" >&2; exit 1; }
new=$(mktemp "${file%/*}/.ssg-bootstrap.XXXXXXXX")
printf '# Managed by ssg-bootstrap\napiVersion: v1\nkind: Config\ncurrent-context: default\nclusters:\n- name: default\n  cluster:\n    server: https://127.0.0.1:6443\n    certificate-authority-data: %s\ncontexts:\n- name: default\n  context:\n    cluster: default\n    namespace: %s\n    user: default\nusers:\n- name: default\n  user:\n    token: %s\n' \
	"$(base64 -w0 <"$ca")" "$ns" "$token" >"$new"
chown "$user:$user" "$new"
chmod 0600 "$new"
sync "$new"
mv -fT "$new" "$file"
`

func (a access) Apply(ctx context.Context, r step.Run, changes []step.Change) error {
	named := map[string]bool{}
	for _, c := range changes {
		named[c.Object] = true
	}
	var list []any
	for _, o := range a.objects() {
		if named[o.name()] {
			list = append(list, o.want)
		}
	}
	if len(list) > 0 {
		text, err := json.Marshal(m{"apiVersion": "v1", "kind": "List", "items": list})
		if err != nil {
			return fmt.Errorf("write the runner's rights: %w", err)
		}
		if _, err := r.Host.Run(ctx, host.Command{Argv: []string{"sh", "-c", applyScript}, Stdin: text, Root: true}); err != nil {
			return fmt.Errorf("give jobs their rights: %w", err)
		}
	}
	if !named[kubeconfigPath] {
		return nil
	}
	argv := []string{"sh", "-c", issueScript, "sh", kubeconfigPath, userName, a.in.Namespace, tokenSecret, serverCA}
	if _, err := r.Host.Run(ctx, host.Command{Argv: argv, Root: true}); err != nil {
		return fmt.Errorf("write %s: %w", kubeconfigPath, err)
	}
	return nil
}

// accessNames are the objects that a removal takes away, as kubectl names them.
func (a access) names() []string {
	var out []string
	for _, o := range a.objects() {
		kind := strings.ToLower(fmt.Sprint(o.want["kind"]))
		if kind == "namespace" {
			continue
		}
		meta := o.want["metadata"].(map[string]any)
		ns, _ := meta["namespace"].(string)
		out = append(out, strings.TrimSpace(fmt.Sprintf("%s/%s %s", kind, meta["name"], ns)))
	}
	return out
}
