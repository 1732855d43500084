package workflow

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/rhysd/actionlint"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/goldentest"
)

func owners() Input {
	return Input{Labels: []string{"oldpc"}, Registry: "ghcr.io", Chart: "./deploy/helm/studentsystemgo", Release: "ssg", Namespace: "studentsystemgo"}
}

func render(t *testing.T) string {
	t.Helper()
	text, err := Render(owners())
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestGoldenWorkflow(t *testing.T) {
	goldentest.Equal(t, "testdata/deploy.yml", render(t))
}

func TestActionlintFindsNothing(t *testing.T) {
	config := filepath.Join(t.TempDir(), "actionlint.yaml")
	if err := os.WriteFile(config, []byte("self-hosted-runner:\n  labels: [oldpc]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	linter, err := actionlint.NewLinter(&out, &actionlint.LinterOptions{ConfigFile: config})
	if err != nil {
		t.Fatal(err)
	}
	found, err := linter.Lint("deploy.yml", []byte(render(t)), nil)
	if err != nil || len(found) > 0 {
		t.Errorf("%v\n%s", err, out.String())
	}
	// It does look: a job that nobody has is found.
	found, err = linter.Lint("deploy.yml", []byte(strings.Replace(render(t), "needs: lint-and-build", "needs: lint", 1)), nil)
	if err != nil || len(found) == 0 {
		t.Errorf("a mistake was not found: %v", err)
	}
}

func TestEveryActionIsPinnedAndEveryJobSaysWhatItMayDo(t *testing.T) {
	text := render(t)
	uses := regexp.MustCompile(`uses: (.*)`).FindAllStringSubmatch(text, -1)
	if len(uses) < 7 {
		t.Fatalf("only %d actions", len(uses))
	}
	for _, u := range uses {
		if !regexp.MustCompile(`^[a-z-]+/[a-z-]+@[0-9a-f]{40} # v[0-9]+\.[0-9]+\.[0-9]+$`).MatchString(u[1]) {
			t.Errorf("%s is not pinned to a commit whose release is named", u[1])
		}
	}
	if jobs, permissions := strings.Count(text, "runs-on:"), strings.Count(text, "    permissions:"); jobs != 4 || permissions != jobs {
		t.Errorf("%d jobs, %d of them with permissions", jobs, permissions)
	}
	for _, want := range []string{"permissions: {}\n", "--atomic", "--timeout 15m", "CHART: ./", "sha-", "type=raw,value=latest", "rollout status", "cancel-in-progress: false"} {
		if !strings.Contains(text, want) {
			t.Errorf("the workflow lacks %q", want)
		}
	}
	if strings.Contains(text, "pull_request_target") || strings.Contains(text, "KUBECONFIG") {
		t.Error("the workflow opens what should be closed")
	}
}

func TestStrangeInputIsRefused(t *testing.T) {
	for _, change := range []func(*Input){
		func(i *Input) { i.Chart = "deploy/helm" },
		func(i *Input) { i.Labels = []string{"a, b"} },
		func(i *Input) { i.Namespace = "x\ny" },
		func(i *Input) { i.Registry = "ghcr.io/me" },
		func(i *Input) { i.Release = "" },
	} {
		in := owners()
		change(&in)
		if _, err := Render(in); err == nil || fault.NextOf(err) == "" {
			t.Errorf("%+v: %v", in, err)
		}
	}
	if _, err := Script(render(t), "deploy"); fault.CodeOf(err) != fault.Usage || !strings.Contains(fault.NextOf(err), DeployJob) {
		t.Errorf("an unknown job: %v", err)
	}
	if _, err := Script(render(t), "deploy-ec2"); err == nil {
		t.Error("a job with expressions of GitHub's was taken out")
	}
}

// program is a stand-in that notes how it was called.
func program(t *testing.T, dir, name, body string) {
	text := "#!/bin/bash\nprintf '%s %s\\n' " + name + " \"$*\" >>\"$LOG\"\n" + body
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}

func runDeploy(t *testing.T, kubectl, helm, curl string) (string, string, error) {
	t.Helper()
	if _, err := exec.LookPath("bash"); err != nil {
		t.Skip("this computer has no bash")
	}
	text, err := Script(render(t), DeployJob)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	program(t, dir, "kubectl", kubectl)
	program(t, dir, "helm", helm)
	program(t, dir, "curl", curl)
	program(t, dir, "sleep", "")
	cmd := exec.CommandContext(t.Context(), "bash", "-s")
	cmd.Stdin = strings.NewReader(text)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), "LOG="+filepath.Join(dir, "log"),
		"GITHUB_REPOSITORY=Omkar619-Dev/StudentSystemGo", "GITHUB_SHA=0123456789abcdef0123456789abcdef01234567")
	out, err := cmd.CombinedOutput()
	log, logErr := os.ReadFile(filepath.Join(dir, "log"))
	if logErr != nil {
		t.Fatal(logErr)
	}
	return string(out), string(log), err
}

const goodKubectl = `case "$*" in
*" create "*) cat >>"$LOG" ;;
*"get pod "*) echo "Succeeded " ;;
*host*) printf ssg.example.org ;;
*loadBalancer*) printf 192.0.2.7 ;;
esac
`

func TestTheShellOfTheDeploymentRuns(t *testing.T) {
	out, log, err := runDeploy(t, goodKubectl, "", "printf 200\n")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	order := []string{
		`"image": "ghcr.io/omkar619-dev/studentsystemgo:sha-0123456"`,
		"delete pod pull-0123456-1 --ignore-not-found --wait=false",
		"helm upgrade --install ssg ./deploy/helm/studentsystemgo --namespace studentsystemgo --reset-then-reuse-values --set-string image.registry=ghcr.io --set-string image.repository=omkar619-dev/studentsystemgo --set-string image.tag=sha-0123456 --disable-openapi-validation --atomic --timeout 15m",
		"rollout status deployment/ssg-studentsystemgo --timeout 5m",
		"--header Host: ssg.example.org http://192.0.2.7/healthz",
	}
	rest := log
	for _, want := range order {
		_, after, found := strings.Cut(rest, want)
		if !found {
			t.Fatalf("%q does not come next in\n%s", want, log)
		}
		rest = after
	}
}

func TestTheDeploymentEndsWhereItFails(t *testing.T) {
	failing := strings.Replace(goodKubectl, `echo "Succeeded "`, `echo "Failed "`, 1)
	if out, log, err := runDeploy(t, failing, "", "printf 200\n"); err == nil || strings.Contains(log, "helm") {
		t.Errorf("an image that cannot be pulled: %v\n%s\n%s", err, out, log)
	}
	if out, log, err := runDeploy(t, goodKubectl, "exit 1\n", "printf 200\n"); err == nil || strings.Contains(log, "rollout") {
		t.Errorf("a release that fails: %v\n%s", err, out)
	}
	if out, _, err := runDeploy(t, goodKubectl, "", "printf 503\n"); err == nil || !strings.Contains(out, "answers 503") {
		t.Errorf("an application that does not serve: %v\n%s", err, out)
	}
}
