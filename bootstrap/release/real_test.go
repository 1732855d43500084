//go:build lab

package release

import (
	"context"
	"encoding/json"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	helmrelease "helm.sh/helm/v3/pkg/release"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/cluster"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/secrets"
)

// These tests talk to a real API server whose kubeconfig SSG_TEST_KUBECONFIG
// names; it needs neither controllers nor a node, for the tests play them.
// Run them with: go test -tags lab -run Real ./bootstrap/release

const realNamespace = "ssg-bootstrap-test"

// realCluster returns the cluster with an empty namespace.
func realCluster(t *testing.T) *cluster.Cluster {
	t.Helper()
	path := os.Getenv("SSG_TEST_KUBECONFIG")
	if path == "" {
		t.Skip("SSG_TEST_KUBECONFIG names no cluster")
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	c, err := cluster.Through("test", realNamespace, secrets.NewValue(string(text)), nil)
	if err != nil {
		t.Fatal(err)
	}
	wipe(t, c)
	t.Cleanup(func() { wipe(t, c) })
	return c
}

// wipe empties the namespace; without a controller it would never end.
func wipe(t *testing.T, c *cluster.Cluster) {
	ctx, all, o := context.Background(), metav1.DeleteOptions{GracePeriodSeconds: new(int64)}, metav1.ListOptions{}
	for _, err := range []error{
		c.Client.CoreV1().Secrets(c.Namespace).DeleteCollection(ctx, all, o),
		c.Client.CoreV1().ConfigMaps(c.Namespace).DeleteCollection(ctx, all, o),
		c.Client.CoreV1().Pods(c.Namespace).DeleteCollection(ctx, all, o),
		c.Client.AppsV1().Deployments(c.Namespace).DeleteCollection(ctx, all, o),
		c.Client.AppsV1().StatefulSets(c.Namespace).DeleteCollection(ctx, all, o),
		c.Client.NetworkingV1().Ingresses(c.Namespace).DeleteCollection(ctx, all, o),
		c.Client.AutoscalingV2().HorizontalPodAutoscalers(c.Namespace).DeleteCollection(ctx, all, o),
	} {
		if err != nil {
			t.Log(err)
		}
	}
	services, err := c.Client.CoreV1().Services(c.Namespace).List(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range services.Items {
		if err := c.Client.CoreV1().Services(c.Namespace).Delete(ctx, s.Name, all); err != nil {
			t.Log(err)
		}
	}
}

// anyVersion is the chart without its demand for a version of Kubernetes: a
// server that was built by hand knows none.
func anyVersion(t *testing.T, files fs.FS) fs.FS {
	out := fstest.MapFS{}
	err := fs.WalkDir(files, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(files, path)
		if path == "Chart.yaml" {
			lines := slices.DeleteFunc(strings.Split(string(data), "\n"), func(l string) bool { return strings.HasPrefix(l, "kubeVersion:") })
			data = []byte(strings.Join(lines, "\n"))
		}
		out[path] = &fstest.MapFile{Data: data}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// controllers makes every workload complete as soon as it is there, while
// healthy says so.
func controllers(t *testing.T, c *cluster.Cluster, healthy func(image string) bool) {
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			complete(ctx, c, healthy)
			select {
			case <-ctx.Done():
			case <-time.After(50 * time.Millisecond):
			}
		}
	}()
	t.Cleanup(func() { stop(); <-done })
}

func complete(ctx context.Context, c *cluster.Cluster, healthy func(image string) bool) {
	deployments, err := c.Client.AppsV1().Deployments(c.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return
	}
	for _, d := range deployments.Items {
		n := int32(1)
		if !healthy(d.Spec.Template.Spec.Containers[0].Image) {
			n = 0
		}
		d.Status = appsv1.DeploymentStatus{ObservedGeneration: d.Generation, Replicas: 1, UpdatedReplicas: 1, ReadyReplicas: n, AvailableReplicas: n}
		_, _ = c.Client.AppsV1().Deployments(c.Namespace).UpdateStatus(ctx, &d, metav1.UpdateOptions{})
	}
	sets, err := c.Client.AppsV1().StatefulSets(c.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return
	}
	for _, s := range sets.Items {
		s.Status = appsv1.StatefulSetStatus{ObservedGeneration: s.Generation, Replicas: 1, UpdatedReplicas: 1, ReadyReplicas: 1, CurrentRevision: "a", UpdateRevision: "a"}
		_, _ = c.Client.AppsV1().StatefulSets(c.Namespace).UpdateStatus(ctx, &s, metav1.UpdateOptions{})
	}
}

func realDeployer(t *testing.T, c *cluster.Cluster) Deployer {
	w := realWant()
	w.Namespace, w.Chart, w.Waits.Stall = realNamespace, anyVersion(t, w.Chart), 12*time.Second
	return Deployer{Cluster: c, Want: w, Now: time.Now, Note: func(text string) { t.Log(text) }}
}

func sync(t *testing.T, d Deployer, store *secrets.Store) secrets.Book {
	t.Helper()
	k := Keeper{Want: d.Want, Store: store, Now: time.Now, Note: func(text string) { t.Log(text) }}
	book, err := k.Sync(t.Context(), d.Cluster)
	if err != nil {
		t.Fatal(err)
	}
	return book
}

func deploy(t *testing.T, d Deployer, book secrets.Book) Outcome {
	t.Helper()
	out, err := d.Deploy(t.Context(), book)
	if err != nil {
		t.Fatalf("%v\n%s", err, fault.EvidenceOf(err))
	}
	return out
}

func TestRealReleaseConvergesAndStays(t *testing.T) {
	c := realCluster(t)
	controllers(t, c, func(string) bool { return true })
	d, store := realDeployer(t, c), secrets.NewStore(t.TempDir(), "test")
	book := sync(t, d, store)
	if out := deploy(t, d, book); !out.Changed || out.Revision != 1 {
		t.Fatalf("first: %+v", out)
	}
	before := versions(t, c)
	if again := sync(t, d, store); again.Version != book.Version {
		t.Errorf("the second look at the secrets wrote version %d", again.Version)
	}
	if out := deploy(t, d, book); out.Changed || out.Revision != 1 {
		t.Errorf("second: %+v", out)
	}
	if after := versions(t, c); after != before {
		t.Errorf("something was written:\n%s\n%s", before, after)
	}
	seen, err := ByAPI(c, d.Want.Name)(t.Context())
	if err != nil || !seen.Revision.Served || seen.Revision.Foreign {
		t.Errorf("%v, %+v", err, seen)
	}
	if changes, err := secretChanges(d.Want, book, seen); err != nil || len(changes) > 0 {
		t.Errorf("%v, %v", changes, err)
	}
	noSecretInside(t, c, book)

	// Another computer that knows nothing takes the secrets over.
	other := sync(t, d, secrets.NewStore(t.TempDir(), "other"))
	if !same(other.Secrets, book.Secrets) || other.Salt != book.Salt {
		t.Error("the secrets in use were not taken over")
	}
	if after := versions(t, c); after != before {
		t.Error("taking over wrote to the cluster")
	}

	d.Want.Tag = "sha-2222222"
	if out := deploy(t, d, book); !out.Changed || out.Revision != 2 || out.Tag != "sha-2222222" {
		t.Errorf("another tag: %+v", out)
	}
	// Whoever says no tag does not go back to the chart's.
	d.Want.Tag = ""
	if out := deploy(t, d, book); out.Changed || out.Tag != "sha-2222222" {
		t.Errorf("no tag: %+v", out)
	}
}

// versions are the resource versions of everything that a run could write.
func versions(t *testing.T, c *cluster.Cluster) string {
	t.Helper()
	var out []string
	list, err := c.Client.CoreV1().Secrets(c.Namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range list.Items {
		out = append(out, s.Name+"@"+s.ResourceVersion)
	}
	deployments, err := c.Client.AppsV1().Deployments(c.Namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range deployments.Items {
		out = append(out, d.Name+" generation", string(rune('0'+d.Generation)))
	}
	return strings.Join(out, " ")
}

// noSecretInside reads everything but our own Secrets, releases unpacked.
func noSecretInside(t *testing.T, c *cluster.Cluster, book secrets.Book) {
	t.Helper()
	cfg, err := newEngine(c)
	if err != nil {
		t.Fatal(err)
	}
	history, err := cfg.Releases.History(DefaultName)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(history)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("a release is %d bytes of JSON", len(text)/len(history))
	if redacted := book.Secrets.Redact(string(text)); redacted != string(text) {
		t.Error("the release holds a secret")
	}
}

func TestRealReleaseGoesBackWhenItFails(t *testing.T) {
	c := realCluster(t)
	controllers(t, c, func(image string) bool { return !strings.Contains(image, "sha-bad") })
	d := realDeployer(t, c)
	book := sync(t, d, secrets.NewStore(t.TempDir(), "test"))
	d.Want.Tag = "sha-good"
	deploy(t, d, book)
	d.Want.Tag = "sha-bad"
	_, err := d.Deploy(t.Context(), book)
	if fault.CodeOf(err) != fault.ReleaseFailed || !strings.Contains(err.Error(), "revision 1 was put back and serves") {
		t.Fatalf("got %v", err)
	}
	image := func() string {
		got, err := c.Client.AppsV1().Deployments(c.Namespace).Get(t.Context(), "ssg-studentsystemgo", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return got.Spec.Template.Spec.Containers[0].Image
	}
	if !strings.HasSuffix(image(), ":sha-good") {
		t.Errorf("runs %s", image())
	}
	// What was put back counts as what it is: asked for, it is there.
	d.Want.Tag = "sha-good"
	if out := deploy(t, d, book); out.Changed || out.Revision != 3 {
		t.Errorf("asked for what was put back: %+v", out)
	}
	d.Want.Tag = ""
	if out := deploy(t, d, book); out.Changed || out.Tag != "sha-good" {
		t.Errorf("asked for nothing: %+v", out)
	}
}

func TestRealReleaseIsTakenFromTheDead(t *testing.T) {
	c := realCluster(t)
	controllers(t, c, func(string) bool { return true })
	d := realDeployer(t, c)
	book := sync(t, d, secrets.NewStore(t.TempDir(), "test"))
	deploy(t, d, book)
	leave := func(status helmrelease.Status, ours bool) {
		cfg, err := newEngine(c)
		if err != nil {
			t.Fatal(err)
		}
		last, err := cfg.Releases.Last(DefaultName)
		if err != nil {
			t.Fatal(err)
		}
		last.Info.Status = status
		if !ours {
			last.Labels[revisionLabel] = "0"
		}
		if err := cfg.Releases.Update(last); err != nil {
			t.Fatal(err)
		}
	}
	leave(helmrelease.StatusPendingUpgrade, true)
	if out := deploy(t, d, book); out.Revision != 2 {
		t.Errorf("after pending-upgrade: %+v", out)
	}
	leave(helmrelease.StatusPendingInstall, true)
	if out := deploy(t, d, book); out.Revision != 3 {
		t.Errorf("after pending-install: %+v", out)
	}
	leave(helmrelease.StatusPendingUpgrade, false)
	_, err := d.Deploy(t.Context(), book)
	if fault.CodeOf(err) != fault.Locked || !strings.Contains(fault.NextOf(err), "taken for dead") {
		t.Errorf("another helm at work: %v", err)
	}
	d.Now = func() time.Time { return time.Now().Add(time.Hour) }
	if out := deploy(t, d, book); out.Revision != 4 {
		t.Errorf("another helm that is dead: %+v", out)
	}
}

func TestRealRotationRestartsOnceAndLeavesNoPlan(t *testing.T) {
	c := realCluster(t)
	controllers(t, c, func(string) bool { return true })
	d := realDeployer(t, c)
	store := secrets.NewStore(t.TempDir(), "test")
	book := sync(t, d, store)
	deploy(t, d, book)
	generation := func() int64 {
		got, err := c.Client.AppsV1().Deployments(c.Namespace).Get(t.Context(), "ssg-studentsystemgo", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return got.Generation
	}
	before := generation()
	live := Live{Deployer: d, Keeper: Keeper{Want: d.Want, Store: store, Now: time.Now, Note: d.Note}}
	r := Rotator{Books: store, Services: live, Note: d.Note, Now: time.Now}
	if err := r.Run(t.Context(), "jwt"); err != nil {
		t.Fatal(err, fault.EvidenceOf(err))
	}
	if n := generation() - before; n != 1 {
		t.Errorf("the application's template was changed %d times", n)
	}
	now, err := store.Load()
	if err != nil || now.Secrets[secrets.JWT] == book.Secrets[secrets.JWT] {
		t.Fatal("the key is the old one", err)
	}
	s, err := c.ReadSecret(t.Context(), d.Want.SecretName(secrets.App))
	if err != nil || string(s.Data["jwt-secret"]) != now.Secrets[secrets.JWT].Reveal() {
		t.Error("the cluster does not hold the new key", err)
	}
	if out := deploy(t, d, now); out.Changed {
		t.Errorf("a deployment after it still changes something: %+v", out)
	}
}

func TestRealNamespaceThatTerminatesIsExplained(t *testing.T) {
	c := realCluster(t)
	c.Namespace = realNamespace + "-ending"
	ctx := t.Context()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: c.Namespace}}
	_, _ = c.Client.CoreV1().Namespaces().Create(ctx, ns, metav1.CreateOptions{})
	if err := c.Client.CoreV1().Namespaces().Delete(ctx, c.Namespace, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		got, err := c.Client.CoreV1().Namespaces().Get(context.Background(), c.Namespace, metav1.GetOptions{})
		if err == nil {
			got.Spec.Finalizers = nil
			_, _ = c.Client.CoreV1().Namespaces().Finalize(context.Background(), got, metav1.UpdateOptions{})
		}
	})
	err := c.EnsureNamespace(ctx)
	if err == nil {
		t.Skip("a controller ended it already")
	}
	if fault.CodeOf(err) != fault.NamespaceTerminating || !strings.Contains(fault.NextOf(err), c.Namespace) {
		t.Errorf("got %v", err)
	}
}

// TestRealTablesTellTheSame holds the box's own way of looking to the other.
func TestRealTablesTellTheSame(t *testing.T) {
	c := realCluster(t)
	controllers(t, c, func(string) bool { return true })
	d := realDeployer(t, c)
	deploy(t, d, sync(t, d, secrets.NewStore(t.TempDir(), "test")))
	// A foreign change, so that a superseded revision is there as well.
	patch := []byte(`{"metadata":{"labels":{"status":"superseded"}}}`)
	if _, err := c.Client.CoreV1().Secrets(c.Namespace).Patch(t.Context(), "sh.helm.release.v1.ssg.v1", types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	d.Want.Tag = "sha-2"
	deploy(t, d, sync(t, d, secrets.NewStore(t.TempDir(), "test")))
	want, err := ByAPI(c, "ssg")(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got, bytes := Seen{Secrets: map[string]string{}}, 0
	for _, path := range lookPaths(c.Namespace, "ssg")[1:] {
		raw, err := c.Client.CoreV1().RESTClient().Get().RequestURI(path).SetHeader("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io").DoRaw(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		bytes += len(raw)
		if strings.Contains(path, "/deployments?") {
			image, err := imageIn(raw)
			if err != nil || !strings.HasSuffix(image, ":sha-2") {
				t.Errorf("the application runs %q, %v", image, err)
			}
			continue
		}
		if err := got.addTable(raw); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("a look is %d bytes", bytes)
	if got.Revision != want.Revision || len(got.Secrets) != len(want.Secrets) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	for name, digest := range want.Secrets {
		if got.Secrets[name] != digest || digest == "" {
			t.Errorf("%s: %q and %q", name, got.Secrets[name], digest)
		}
	}
}
