package chart

import (
	"encoding/base64"
	"maps"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// TestTheDefaultIsTheDocumentedTableOfResources counts what the seed document
// lists: 23 resources, the claims included.
func TestTheDefaultIsTheDocumentedTableOfResources(t *testing.T) {
	objects, _ := mustRender(t, fromFile(t, "testdata/secrets.yaml"))
	got := map[string]int{}
	for _, o := range objects {
		if _, hook := o.GetAnnotations()["helm.sh/hook"]; !hook {
			got[o.GetKind()]++
		}
	}
	for _, w := range workloads(t, objects) {
		got["PersistentVolumeClaim"] += len(w.claims)
	}
	want := map[string]int{
		"Deployment": 2, "StatefulSet": 4, "Service": 5, "ConfigMap": 2, "Secret": 4,
		"Ingress": 1, "HorizontalPodAutoscaler": 1, "PersistentVolumeClaim": 4,
	}
	if !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	sum := 0
	for _, n := range got {
		sum += n
	}
	if sum != 23 {
		t.Errorf("%d resources", sum)
	}
}

func TestNamesAreThoseOfTheContract(t *testing.T) {
	objects, _ := mustRender(t, fromFile(t, "testdata/secrets.yaml"))
	for _, want := range []struct{ kind, name string }{
		{"Deployment", "ssg-studentsystemgo"}, {"Deployment", "ssg-studentsystemgo-worker"},
		{"StatefulSet", "mysql-primary"}, {"StatefulSet", "mysql-replica"}, {"StatefulSet", "redis"}, {"StatefulSet", "rabbitmq"},
		{"Secret", "ssg-studentsystemgo-mysql"}, {"Secret", "ssg-studentsystemgo-rabbitmq"},
		{"Secret", "ssg-studentsystemgo-app"}, {"Secret", "ssg-studentsystemgo-cloudfront-key"},
	} {
		find(t, objects, want.kind, want.name)
	}
	keys := map[string]string{
		"mysql":          "ca.crt password replication-password root-password tls.crt tls.key",
		"rabbitmq":       "definitions.json password url username",
		"app":            "db-password jwt-secret",
		"cloudfront-key": "cloudfront_private_key.pem",
	}
	for name, want := range keys {
		s := typed[corev1.Secret](t, find(t, objects, "Secret", "ssg-studentsystemgo-"+name))
		if got := strings.Join(slices.Sorted(maps.Keys(s.Data)), " "); got != want {
			t.Errorf("Secret %s has %s, want %s", name, got, want)
		}
	}
	broker := typed[corev1.Secret](t, find(t, objects, "Secret", "ssg-studentsystemgo-rabbitmq"))
	if got := string(broker.Data["url"]); got != "amqp://ssg:canary-broker-e3c8@rabbitmq:5672/" {
		t.Errorf("url is %s", got)
	}
}

func TestExistingSecretsAreLeftToTheirOwner(t *testing.T) {
	each(t, func(t *testing.T, r rendering, objects []unstructured.Unstructured) {
		for _, o := range objects {
			if r.owned && o.GetKind() == "Secret" {
				t.Errorf("renders Secret %s", o.GetName())
			}
		}
	})
}

// TestAChecksumOfAnOwnerRollsItsPodsAlone changes one component's checksum.
func TestAChecksumOfAnOwnerRollsItsPodsAlone(t *testing.T) {
	before, _ := mustRender(t, existing())
	for _, component := range []string{"app", "worker", "mysql-primary", "mysql-replica", "rabbitmq"} {
		after, _ := mustRender(t, over(values{"secretsChecksum": values{component: "changed"}}, existing()))
		var rolled []string
		old, changed := workloads(t, before), workloads(t, after)
		for i := range old {
			if !maps.Equal(old[i].template.Annotations, changed[i].template.Annotations) {
				rolled = append(rolled, changed[i].component())
			}
		}
		if !slices.Equal(rolled, []string{component}) {
			t.Errorf("a changed checksum of %s rolls %v", component, rolled)
		}
	}
}

// TestANewChartVersionAloneRollsNothing: what changes with every version stays
// out of the pods and of the claims, which cannot be changed.
func TestANewChartVersionAloneRollsNothing(t *testing.T) {
	each(t, func(t *testing.T, _ rendering, objects []unstructured.Unstructured) {
		for _, w := range workloads(t, objects) {
			if w.kind == "Pod" {
				continue
			}
			labels := []map[string]string{w.template.Labels}
			for _, c := range w.claims {
				labels = append(labels, c.Labels)
			}
			for _, l := range labels {
				if l["helm.sh/chart"] != "" || l["app.kubernetes.io/version"] != "" {
					t.Errorf("%s carries a version in %v", w.name, l)
				}
			}
		}
	})
}

func TestSelectorsFindOneComponentEach(t *testing.T) {
	each(t, func(t *testing.T, _ rendering, objects []unstructured.Unstructured) {
		all := workloads(t, objects)
		found := func(selector map[string]string) (names []string) {
			for _, w := range all {
				if matches(selector, w.template.Labels) {
					names = append(names, w.kind+" "+w.name)
				}
			}
			return names
		}
		for _, w := range all {
			if w.kind == "Pod" {
				continue
			}
			if got := found(w.selector); len(got) != 1 || got[0] != w.kind+" "+w.name {
				t.Errorf("%s %s selects %s", w.kind, w.name, quote(got))
			}
		}
		for _, o := range objects {
			switch o.GetKind() {
			case "Service":
				s := typed[corev1.Service](t, o)
				got := found(s.Spec.Selector)
				if len(got) != 1 {
					t.Fatalf("Service %s finds %s", s.Name, quote(got))
				}
				ports := map[string]bool{}
				for _, w := range all {
					if matches(s.Spec.Selector, w.template.Labels) {
						for _, p := range w.template.Spec.Containers[0].Ports {
							ports[p.Name] = true
						}
					}
				}
				for _, p := range s.Spec.Ports {
					if !ports[p.TargetPort.String()] {
						t.Errorf("Service %s leads to port %s, which its pods do not have", s.Name, p.TargetPort.String())
					}
				}
			case "PodDisruptionBudget":
				if got := found(typed[policyv1.PodDisruptionBudget](t, o).Spec.Selector.MatchLabels); len(got) != 1 {
					t.Errorf("budget %s is of %s", o.GetName(), quote(got))
				}
			}
		}
	})
}

// TestNoSecretIsOutsideOfSecrets looks for the canaries, plain and encoded.
func TestNoSecretIsOutsideOfSecrets(t *testing.T) {
	each(t, func(t *testing.T, _ rendering, objects []unstructured.Unstructured) {
		for _, o := range objects {
			if o.GetKind() == "Secret" {
				continue
			}
			data, err := o.MarshalJSON()
			if err != nil {
				t.Fatal(err)
			}
			for _, canary := range []string{"canary-", base64.StdEncoding.EncodeToString([]byte("canary-"))[:9]} {
				if strings.Contains(string(data), canary) {
					t.Errorf("a secret is in %s %s", o.GetKind(), o.GetName())
				}
			}
		}
	})
}

func TestRenderingTwiceGivesTheSameBytes(t *testing.T) {
	for _, r := range renderings(t) {
		_, first := mustRender(t, r.values)
		_, second := mustRender(t, r.values)
		if first != second {
			t.Errorf("%s differs from itself", r.name)
		}
	}
}

// TestNoProbeAsksTheRateLimiter holds against what the application does to who
// asks it over HTTP: past a count in Redis, which may stay for ever, it refuses.
func TestNoProbeAsksTheRateLimiter(t *testing.T) {
	each(t, func(t *testing.T, _ rendering, objects []unstructured.Unstructured) {
		for _, w := range workloads(t, objects) {
			if w.component() != "app" {
				continue
			}
			c := w.template.Spec.Containers[0]
			for _, p := range []*corev1.Probe{c.StartupProbe, c.ReadinessProbe, c.LivenessProbe} {
				if p == nil || p.HTTPGet != nil {
					t.Errorf("%s: a probe is missing or asks through the rate limiter: %+v", w.name, p)
				}
			}
		}
	})
}

func TestProbesFitASlowBox(t *testing.T) {
	each(t, func(t *testing.T, _ rendering, objects []unstructured.Unstructured) {
		for _, w := range workloads(t, objects) {
			if w.kind == "Pod" || w.component() == "worker" {
				continue // the worker listens on nothing
			}
			c := w.template.Spec.Containers[0]
			for name, p := range map[string]*corev1.Probe{"startup": c.StartupProbe, "readiness": c.ReadinessProbe, "liveness": c.LivenessProbe} {
				if p == nil {
					t.Errorf("%s has no %s probe", w.name, name)
					continue
				}
				if p.TimeoutSeconds < 10 {
					t.Errorf("%s: the %s probe gives up after %d s", w.name, name, p.TimeoutSeconds)
				}
				if p.InitialDelaySeconds != 0 {
					t.Errorf("%s: the %s probe waits for a fixed time", w.name, name)
				}
				if p.Exec != nil && (name == "startup" || slices.ContainsFunc(p.Exec.Command, func(s string) bool {
					return strings.Contains(s, "rabbitmq") && w.component() == "rabbitmq" || strings.Contains(s, "mariadb") || strings.Contains(s, "healthcheck")
				})) {
					t.Errorf("%s: the %s probe runs %v", w.name, name, p.Exec.Command)
				}
			}
			// The documented boots took up to 171 s on the machine that the
			// chart is for; five times that is a box in trouble.
			if c.StartupProbe != nil {
				if s := c.StartupProbe.PeriodSeconds * c.StartupProbe.FailureThreshold; s < 300 {
					t.Errorf("%s is killed after %d s of booting", w.name, s)
				}
			}
		}
	})
}

func TestNoCPULimitSlowsABoot(t *testing.T) {
	each(t, func(t *testing.T, _ rendering, objects []unstructured.Unstructured) {
		for _, w := range workloads(t, objects) {
			for _, c := range w.containers() {
				if _, set := c.Resources.Limits[corev1.ResourceCPU]; set {
					t.Errorf("%s/%s has a CPU limit", w.name, c.Name)
				}
				if c.Resources.Limits.Memory().IsZero() || c.Resources.Requests.Memory().IsZero() || c.Resources.Requests.Cpu().IsZero() {
					t.Errorf("%s/%s: a request or the limit of memory is missing", w.name, c.Name)
				}
			}
		}
	})
}

func TestTheApplicationHasMemoryForItsLogins(t *testing.T) {
	for logins, want := range map[int]string{1: "112Mi", 4: "304Mi", 8: "560Mi"} {
		objects, _ := mustRender(t, over(values{
			"app": values{"concurrentLogins": logins}, "traefik": values{"middlewares": values{"enabled": true}},
		}, existing()))
		for _, w := range workloads(t, objects) {
			if w.kind == "Deployment" && w.component() == "app" {
				if got := w.template.Spec.Containers[0].Resources.Limits.Memory().String(); got != want {
					t.Errorf("%d logins get %s, want %s", logins, got, want)
				}
			}
		}
		cap := find(t, objects, "Middleware", "ssg-studentsystemgo-logins")
		amount, _, err := unstructured.NestedFloat64(cap.Object, "spec", "inFlightReq", "amount")
		if err != nil || amount != float64(logins) {
			t.Errorf("the ingress lets %v in, memory is for %d (%v)", amount, logins, err)
		}
	}
}

func TestEveryPodIsConfined(t *testing.T) {
	each(t, func(t *testing.T, _ rendering, objects []unstructured.Unstructured) {
		for _, w := range workloads(t, objects) {
			p := w.template.Spec
			if p.AutomountServiceAccountToken == nil || *p.AutomountServiceAccountToken {
				t.Errorf("%s gets a token", w.name)
			}
			s := p.SecurityContext
			if s == nil || s.RunAsNonRoot == nil || !*s.RunAsNonRoot || s.RunAsUser == nil || *s.RunAsUser == 0 ||
				s.SeccompProfile == nil || s.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
				t.Errorf("%s: %+v", w.name, s)
			}
			for _, c := range w.containers() {
				s := c.SecurityContext
				if s == nil || s.ReadOnlyRootFilesystem == nil || !*s.ReadOnlyRootFilesystem ||
					s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation ||
					s.Capabilities == nil || !slices.Equal(s.Capabilities.Drop, []corev1.Capability{"ALL"}) || len(s.Capabilities.Add) > 0 {
					t.Errorf("%s/%s: %+v", w.name, c.Name, s)
				}
				if c.ImagePullPolicy != corev1.PullIfNotPresent {
					t.Errorf("%s/%s pulls %s", w.name, c.Name, c.ImagePullPolicy)
				}
			}
		}
	})
}

// TestImagesRunOnTheOldestCPU: what is built for UBI needs x86-64-v2.
func TestImagesRunOnTheOldestCPU(t *testing.T) {
	each(t, func(t *testing.T, _ rendering, objects []unstructured.Unstructured) {
		for _, w := range workloads(t, objects) {
			for _, c := range w.containers() {
				if strings.Contains(c.Image, "ubi") {
					t.Errorf("%s runs %s", w.name, c.Image)
				}
			}
		}
	})
}

func TestADigestWinsOverATag(t *testing.T) {
	digest := "sha256:" + strings.Repeat("0123456789abcdef", 4)
	v := existing()
	for _, path := range []string{"mysql", "redis", "rabbitmq"} {
		v = over(values{path: values{"image": values{"digest": digest}}}, v)
	}
	objects, _ := mustRender(t, over(values{"image": values{"digest": digest}}, v))
	for _, w := range workloads(t, objects) {
		for _, c := range w.containers() {
			if !strings.HasSuffix(c.Image, "@"+digest) {
				t.Errorf("%s/%s runs %s", w.name, c.Name, c.Image)
			}
		}
	}
}

func TestBudgetsNeverBlockADrainOfOne(t *testing.T) {
	each(t, func(t *testing.T, _ rendering, objects []unstructured.Unstructured) {
		for _, o := range objects {
			if o.GetKind() != "PodDisruptionBudget" {
				continue
			}
			b := typed[policyv1.PodDisruptionBudget](t, o).Spec
			if b.MinAvailable != nil || b.MaxUnavailable == nil || b.MaxUnavailable.IntValue() < 1 ||
				b.UnhealthyPodEvictionPolicy == nil || *b.UnhealthyPodEvictionPolicy != policyv1.AlwaysAllow {
				t.Errorf("budget %s: %+v", o.GetName(), b)
			}
		}
	})
	single, _ := mustRender(t, over(values{"podDisruptionBudgets": values{"enabled": true}, "hpa": values{"enabled": false}}, existing()))
	for _, o := range single {
		if o.GetKind() == "PodDisruptionBudget" {
			t.Errorf("budget %s for a single pod", o.GetName())
		}
	}
}

func TestAnAutoscalerOwnsTheReplicas(t *testing.T) {
	each(t, func(t *testing.T, _ rendering, objects []unstructured.Unstructured) {
		scaled := slices.ContainsFunc(objects, func(o unstructured.Unstructured) bool { return o.GetKind() == "HorizontalPodAutoscaler" })
		for _, w := range workloads(t, objects) {
			if w.kind == "Deployment" && w.component() == "app" && scaled != (w.replicas == nil) {
				t.Errorf("autoscaler: %v, replicas: %v", scaled, w.replicas)
			}
		}
	})
}

func TestTheApplicationDrains(t *testing.T) {
	objects, _ := mustRender(t, existing())
	for _, w := range workloads(t, objects) {
		if w.kind != "Deployment" || w.component() != "app" {
			continue
		}
		c := w.template.Spec.Containers[0]
		if c.Lifecycle == nil || c.Lifecycle.PreStop == nil || c.Lifecycle.PreStop.Sleep == nil || c.Lifecycle.PreStop.Sleep.Seconds < 5 {
			t.Fatalf("preStop: %+v", c.Lifecycle)
		}
		if grace := *w.template.Spec.TerminationGracePeriodSeconds; grace <= c.Lifecycle.PreStop.Sleep.Seconds {
			t.Errorf("killed after %d s, in the middle of a sleep of %d s", grace, c.Lifecycle.PreStop.Sleep.Seconds)
		}
	}
}

// TestInitContainersWaitForWhatIsTriedOnce compares the waits with what the
// application is told to connect to.
func TestInitContainersWaitForWhatIsTriedOnce(t *testing.T) {
	each(t, func(t *testing.T, r rendering, objects []unstructured.Unstructured) {
		for _, w := range workloads(t, objects) {
			if w.kind != "Deployment" {
				continue
			}
			waits := map[string]bool{}
			for _, c := range w.template.Spec.InitContainers {
				if c.Image != w.template.Spec.Containers[0].Image {
					t.Errorf("%s waits with %s: another image to fetch", w.name, c.Image)
				}
				waits[strings.Join(c.Command[len(c.Command)-2:], ":")] = true
			}
			hosts := []string{"rabbitmq:5672"}
			if w.component() == "app" {
				hosts = append(hosts, "mysql-primary:3306", "redis:6379")
				for _, e := range w.template.Spec.Containers[0].Env {
					if e.Name == "DB_REPLICA_HOST" && strings.HasSuffix(e.Value, "replica") {
						hosts = append(hosts, "mysql-replica:3306")
					}
				}
			}
			for _, h := range hosts {
				if r.name == "prefixed" {
					h = "ssg-studentsystemgo-" + h
				}
				if !waits[h] {
					t.Errorf("%s does not wait for %s, only for %v", w.name, h, waits)
				}
				delete(waits, h)
			}
			if len(waits) > 0 {
				t.Errorf("%s waits for %v without need", w.name, waits)
			}
		}
	})
}

func TestWithoutAReplicaThePrimaryIsReadFrom(t *testing.T) {
	objects, text := mustRender(t, over(fromFile(t, "studentsystemgo/presets/lite.yaml"), existing()))
	for _, w := range workloads(t, objects) {
		for _, e := range w.template.Spec.Containers[0].Env {
			if e.Name == "DB_REPLICA_HOST" && e.Value != "mysql-primary" {
				t.Errorf("reads from %s", e.Value)
			}
		}
	}
	if strings.Contains(strings.ReplaceAll(text, "the replica", ""), "mysql-replica") {
		t.Error("something of the replica is left")
	}
}

// TestTheProgramsRenderingKeepsMetricsPrivateAndLoginsCapped is about what
// ssg-bootstrap installs: its profiles.
func TestTheProgramsRenderingKeepsMetricsPrivateAndLoginsCapped(t *testing.T) {
	each(t, func(t *testing.T, r rendering, objects []unstructured.Unstructured) {
		if !strings.HasPrefix(r.name, "profile-") {
			return
		}
		chain := map[string]string{}
		for _, o := range objects {
			if o.GetKind() != "Ingress" {
				continue
			}
			i := typed[networkingv1.Ingress](t, o)
			for _, p := range i.Spec.Rules[0].HTTP.Paths {
				chain[p.Path] = i.Annotations["traefik.ingress.kubernetes.io/router.middlewares"]
			}
		}
		at := func(name string) string { return "studentsystemgo-ssg-studentsystemgo-" + name + "@kubernetescrd" }
		want := map[string]string{
			"/": at("origin"), "/metrics": at("nobody"),
			"/execs/login": at("origin") + "," + at("logins"), "/execs/resetpassword": at("origin") + "," + at("logins"),
		}
		if !maps.Equal(chain, want) {
			t.Errorf("got %v, want %v", chain, want)
		}
		for _, name := range []string{"origin", "nobody", "logins"} {
			find(t, objects, "Middleware", "ssg-studentsystemgo-"+name)
		}
	})
}
