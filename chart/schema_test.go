package chart

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/lint"
	"helm.sh/helm/v3/pkg/lint/support"
)

func TestAMistakeIsRefusedWithItsPath(t *testing.T) {
	for _, c := range []struct {
		values values
		says   []string
	}{
		{values{"mysql": values{"replica": values{"enable": true}}}, []string{"mysql.replica", "enable"}},
		{values{"hpa": values{"maxReplicas": "three"}}, []string{"hpa.maxReplicas", "integer"}},
		{values{"image": values{"digest": "sha256:12"}}, []string{"image.digest"}},
		{values{"mysql": values{"image": values{"tag": "11.8-ubi9"}}}, []string{"mysql.image.tag"}},
		{values{"mysql": values{"user": "ssg'; DROP"}}, []string{"mysql.user"}},
		{values{"rabbitmq": values{"probes": values{"startup": values{"periodSeconds": 0}}}}, []string{"rabbitmq.probes.startup.periodSeconds"}},
		{values{"ingress": values{"tls": values{"mode": "letsencrypt"}}}, []string{"ingress.tls.mode"}},
		{values{"ingress": values{"host": "Old PC"}}, []string{"ingress.host"}},
		{values{"secretsChecksum": values{"mysql": "x"}}, []string{"secretsChecksum", "mysql"}},
		{values{"worker": values{"mailerType": "smtp"}}, []string{"worker.mailerType"}},
		{values{"podDisruptionBudget": values{"enabled": true}}, []string{"podDisruptionBudget"}},
		{values{"redis": values{"resources": values{"limits": values{"memory": "96 MB"}}}}, []string{"redis.resources.limits.memory"}},
	} {
		_, _, err := render(over(c.values, existing()))
		if err == nil {
			t.Errorf("%v is taken", c.values)
			continue
		}
		for _, want := range c.says {
			if !strings.Contains(strings.ReplaceAll(err.Error(), "/", "."), want) {
				t.Errorf("%v: the answer does not name %s: %v", c.values, want, err)
			}
		}
	}
}

func TestWhatBelongsTogetherIsAskedFor(t *testing.T) {
	for _, c := range []struct {
		values values
		says   string
	}{
		{values{"ingress": values{"tls": values{"mode": "secret"}}}, "ingress.tls.secretName"},
		{values{"ingress": values{"tls": values{"mode": "cert-manager"}}}, "ingress.tls.clusterIssuer"},
		{values{"app": values{"existingSecret": ""}}, "app.jwtSecret"},
		{values{"cloudfront": values{"existingSecret": ""}}, "cloudfront.privateKey"},
		{values{"mysql": values{"auth": values{"existingSecret": ""}}}, "mysql.tls.cert"},
		{values{"rabbitmq": values{"auth": values{"existingSecret": ""}}}, "rabbitmq.auth.password"},
		// A password that is made up here cannot be that of another's Secret.
		{values{"gitops": false, "app": values{"existingSecret": "", "jwtSecret": "x"}}, "mysql.auth.password"},
	} {
		if _, _, err := render(over(c.values, existing())); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%v: %v does not name %s", c.values, err, c.says)
		}
	}
}

// TestEverySecretIsRequiredUnderGitops empties the example's secrets in turn.
func TestEverySecretIsRequiredUnderGitops(t *testing.T) {
	example := over(values{"gitops": true}, fromFile(t, filepath.Join(chartDir, "secrets.values.example.yaml")))
	if _, _, err := render(example); err != nil {
		t.Fatalf("the example does not render: %v", err)
	}
	secrets := 0
	leaves(example, nil, func(path []string, v any) {
		if path[0] == "gitops" {
			return
		}
		secrets++
		empty := values{path[len(path)-1]: ""}
		for i := len(path) - 2; i >= 0; i-- {
			empty = values{path[i]: empty}
		}
		name := strings.Join(path, ".")
		if _, _, err := render(over(empty, example)); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("without %s: %v", name, err)
		}
	})
	if secrets != 9 {
		t.Errorf("the example has %d secrets", secrets)
	}
}

func leaves(v values, path []string, visit func([]string, any)) {
	for k, inner := range v {
		at := append(append([]string(nil), path...), k)
		if m, ok := inner.(values); ok && len(m) > 0 {
			leaves(m, at, visit)
		} else {
			visit(at, inner)
		}
	}
}

// TestABareInstallGeneratesWhatIsMissing renders without a cluster: everything
// is made, both Secrets hold the same password, and no checksum is of another
// secret than the one that is rendered.
func TestABareInstallGeneratesWhatIsMissing(t *testing.T) {
	objects, _ := mustRender(t, values{})
	data := func(name string) map[string]string {
		d, _, err := nestedStrings(find(t, objects, "Secret", "ssg-studentsystemgo-"+name).Object, "data")
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	mysql, app, cloudfront := data("mysql"), data("app"), data("cloudfront-key")
	if mysql["password"] == "" || mysql["password"] != app["db-password"] || mysql["root-password"] == mysql["password"] {
		t.Error("the passwords do not fit together")
	}
	pair := decoded(t, mysql["tls.crt"], mysql["tls.key"])
	if pair.Leaf.PublicKeyAlgorithm.String() != "ECDSA" || pair.Leaf.VerifyHostname("mysql-primary") != nil || pair.Leaf.VerifyHostname("localhost") != nil {
		t.Errorf("the certificate is of %s for %v", pair.Leaf.PublicKeyAlgorithm, pair.Leaf.DNSNames)
	}
	if !strings.Contains(unbase64(t, cloudfront["cloudfront_private_key.pem"]), "RSA PRIVATE KEY") {
		t.Error("no RSA key for CloudFront")
	}
	sums := map[string]bool{}
	for _, w := range workloads(t, objects) {
		if s := w.template.Annotations["checksum/mysql"]; s != "" {
			sums[s] = true
		}
	}
	if len(sums) != 1 {
		t.Errorf("%d checksums of one Secret", len(sums))
	}
}

func TestHelmLintIsContent(t *testing.T) {
	for _, r := range renderings(t) {
		for _, m := range lint.AllWithKubeVersionAndSchemaValidation(chartDir, r.values, "studentsystemgo", nil, false).Messages {
			if m.Severity > support.InfoSev {
				t.Errorf("%s: %s", r.name, m)
			}
		}
	}
}

// TestTheSeedsTimingIsStillPossible keeps the file that measurements compare
// with.
func TestTheSeedsTimingIsStillPossible(t *testing.T) {
	objects, _ := mustRender(t, over(fromFile(t, filepath.Join(chartDir, "ci", "seed-timing.yaml")), existing()))
	for _, w := range workloads(t, objects) {
		c := w.template.Spec.Containers[0]
		if w.component() == "rabbitmq" && (c.ReadinessProbe.InitialDelaySeconds != 240 || c.Resources.Limits.Cpu().String() != "500m") {
			t.Errorf("%+v %v", c.ReadinessProbe, c.Resources.Limits)
		}
	}
}

// TestTheProgramCarriesTheWholeChart compares the binary's copy with the folder.
func TestTheProgramCarriesTheWholeChart(t *testing.T) {
	err := filepath.WalkDir(chartDir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(chartDir, path)
		if err != nil {
			return err
		}
		f, err := FS().Open(filepath.ToSlash(name))
		if err != nil {
			return err
		}
		return f.Close()
	})
	if err != nil {
		t.Error(err)
	}
}
