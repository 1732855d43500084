package secrets

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
)

// places are where a secrets.values.yaml holds what.
func places() map[string]Key {
	return map[string]Key{
		"mysql.auth.rootPassword":    MySQLRoot,
		"mysql.auth.password":        MySQLApp,
		"mysql.replication.password": MySQLReplication,
		"mysql.tls.cert":             MySQLCert,
		"mysql.tls.key":              MySQLKey,
		"mysql.tls.ca":               MySQLCA,
		"rabbitmq.auth.username":     RabbitMQUser,
		"rabbitmq.auth.password":     RabbitMQPassword,
		"app.jwtSecret":              JWT,
		"cloudfront.privateKey":      CloudFrontKey,
	}
}

// ReadValues takes the secrets out of a secrets.values.yaml. What is empty in
// it is left to be made; what is no secret does not belong there. No error
// quotes the file.
func ReadValues(path string) (Set, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, &fault.Error{Code: fault.ConfigInvalid, Op: "read the secrets file", Err: err}
	}
	var tree map[string]any
	if err := yaml.Unmarshal(text, &tree); err != nil {
		var where yaml.Error
		line := ""
		if errors.As(err, &where) && where.GetToken() != nil {
			line = fmt.Sprintf(" near line %d", where.GetToken().Position.Line)
		}
		return nil, fault.New(fault.ConfigInvalid, "correct it; `helm lint` shows the place", "%s is not valid YAML%s", path, line)
	}
	flat := map[string]any{}
	flatten("", tree, flat)
	out := Set{}
	var unknown []string
	for _, name := range slices.Sorted(maps.Keys(flat)) {
		key, known := places()[name]
		value, isText := flat[name].(string)
		switch {
		case flat[name] == nil:
		case !known || !isText:
			unknown = append(unknown, name)
		case value != "":
			out[key] = NewValue(value)
		}
	}
	if len(unknown) > 0 {
		return nil, &fault.Error{
			Code: fault.ConfigInvalid, Op: "read " + path,
			Err:      errors.New("it holds what is no secret of the chart, or no text"),
			Evidence: strings.Join(unknown, "\n"),
			Next:     "move values to the values file; the secrets are " + strings.Join(slices.Sorted(maps.Keys(places())), ", "),
		}
	}
	return out, nil
}

func flatten(prefix string, tree map[string]any, into map[string]any) {
	for k, v := range tree {
		if m, ok := v.(map[string]any); ok {
			flatten(prefix+k+".", m, into)
			continue
		}
		into[prefix+k] = v
	}
}

// Redact replaces every secret in a text that comes from elsewhere, such as
// the log of a pod that failed.
func (s Set) Redact(text string) string {
	for _, k := range Keys() {
		if v := s[k].Reveal(); len(v) >= 4 && k != RabbitMQUser {
			text = strings.ReplaceAll(text, v, placeholder)
		}
	}
	return text
}

// Differing names what differs between the two sets among what both hold.
func (s Set) Differing(other Set) []Key {
	return slices.DeleteFunc(Keys(), func(k Key) bool {
		return s[k].Empty() || other[k].Empty() || s[k] == other[k]
	})
}

// Without returns a copy that holds only what other does not.
func (s Set) Without(other Set) Set {
	out := Set{}
	for k, v := range s {
		if other[k].Empty() {
			out[k] = v
		}
	}
	return out
}
