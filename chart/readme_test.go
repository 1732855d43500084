package chart

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/goldentest"
	yamlv3 "go.yaml.in/yaml/v3"
	"sigs.k8s.io/yaml"
)

// TestGoldenREADME makes the README of its template and of the
// comments in values.yaml.
func TestGoldenREADME(t *testing.T) {
	text, err := os.ReadFile("readme.tmpl.md")
	if err != nil {
		t.Fatal(err)
	}
	table, err := valuesTable(filepath.Join(chartDir, "values.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	const mark = "<!-- values -->\n"
	if strings.Count(string(text), mark) != 1 {
		t.Fatalf("readme.tmpl.md has no single line %q", mark)
	}
	goldentest.Equal(t, filepath.Join(chartDir, "README.md"), strings.Replace(string(text), mark, table, 1))
}

// valuesTable lists every value with its comment; one without is an error.
func valuesTable(file string) (string, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	var doc yamlv3.Node
	if err := yamlv3.Unmarshal(data, &doc); err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString("| Value | Default | What it is |\n|---|---|---|\n")
	err = rows(&b, doc.Content[0], "")
	return b.String(), err
}

func rows(b *strings.Builder, n *yamlv3.Node, path string) error {
	for i := 0; i < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		at := strings.TrimPrefix(path+"."+key.Value, ".")
		_, comment, described := strings.Cut(key.HeadComment, "# -- ")
		if described {
			shown, err := inline(value)
			if err != nil {
				return err
			}
			fmt.Fprintf(b, "| `%s` | %s | %s |\n", at, shown, comment)
			continue
		}
		if value.Kind == yamlv3.AliasNode {
			value = value.Alias
		}
		if value.Kind != yamlv3.MappingNode || len(value.Content) == 0 {
			return fmt.Errorf("%s has no comment that begins with --", at)
		}
		if err := rows(b, value, at); err != nil {
			return err
		}
	}
	return nil
}

func inline(n *yamlv3.Node) (string, error) {
	if n.Kind == yamlv3.AliasNode {
		return "the same", nil
	}
	var v any
	if err := n.Decode(&v); err != nil {
		return "", err
	}
	data, err := yaml.Marshal(v)
	if err != nil {
		return "", err
	}
	data, err = yaml.YAMLToJSON(data)
	return "`" + strings.TrimSpace(string(data)) + "`", err
}
