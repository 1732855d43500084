package secrets

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// Key names one secret of a release: the component that it belongs to and the
// key under which the component's Secret holds it.
type Key string

// The secrets that are made or taken over; what else the Secrets hold is
// composed of them.
const (
	MySQLRoot        Key = "mysql/root-password"
	MySQLApp         Key = "mysql/password"
	MySQLReplication Key = "mysql/replication-password"
	MySQLCert        Key = "mysql/tls.crt"
	MySQLKey         Key = "mysql/tls.key"
	MySQLCA          Key = "mysql/ca.crt"
	RabbitMQUser     Key = "rabbitmq/username"
	RabbitMQPassword Key = "rabbitmq/password"
	JWT              Key = "app/jwt-secret"
	CloudFrontKey    Key = "cloudfront-key/cloudfront_private_key.pem"
)

// Component is one part of the release that has a Secret of its own.
type Component string

// The components with Secrets.
const (
	MySQL      Component = "mysql"
	RabbitMQ   Component = "rabbitmq"
	App        Component = "app"
	CloudFront Component = "cloudfront-key"
)

// Components returns all components, in a fixed order.
func Components() []Component { return []Component{MySQL, RabbitMQ, App, CloudFront} }

// Keys returns all keys, in a fixed order.
func Keys() []Key {
	return []Key{
		MySQLRoot, MySQLApp, MySQLReplication, MySQLCert, MySQLKey, MySQLCA,
		RabbitMQUser, RabbitMQPassword, JWT, CloudFrontKey,
	}
}

func (k Key) split() (Component, string) {
	c, name, _ := strings.Cut(string(k), "/")
	return Component(c), name
}

// Set holds the secrets of one release.
type Set map[Key]Value

// With returns a copy in which the other set's secrets stand in for its own.
func (s Set) With(other Set) Set {
	out := maps.Clone(s)
	if out == nil {
		out = Set{}
	}
	maps.Copy(out, other)
	return out
}

// Missing returns the keys that have no secret.
func (s Set) Missing() []Key {
	return slices.DeleteFunc(Keys(), func(k Key) bool { return !s[k].Empty() })
}

// Data is what the Secret of a component holds, by its keys.
type Data map[string]Value

const (
	brokerURL   = "url"
	definitions = "definitions.json"
	appPassword = "db-password"
)

// Data returns what the Secret of a component holds.
func (s Set) Data(c Component) (Data, error) {
	out := Data{}
	for _, k := range Keys() {
		if owner, name := k.split(); owner == c {
			out[name] = s[k]
		}
	}
	switch c {
	case App:
		out[appPassword] = s[MySQLApp]
	case RabbitMQ:
		text, err := brokerDefinitions(s[RabbitMQUser], s[RabbitMQPassword])
		if err != nil {
			return nil, err
		}
		out[definitions] = text
		u := url.URL{Scheme: "amqp", User: url.UserPassword(s[RabbitMQUser].Reveal(), s[RabbitMQPassword].Reveal()), Host: "rabbitmq:5672", Path: "/"}
		out[brokerURL] = NewValue(u.String())
	}
	return out, nil
}

// Adopt reads back what a component's Secret in the cluster holds; keys that
// are not ours are left alone.
func (c Component) Adopt(data map[string][]byte) Set {
	out := Set{}
	for _, k := range Keys() {
		owner, name := k.split()
		if value := data[name]; owner == c && len(value) > 0 {
			out[k] = NewValue(string(value))
		}
	}
	if value := data[appPassword]; c == App && len(value) > 0 {
		out[MySQLApp] = NewValue(string(value))
	}
	return out
}

// Digest tells two contents apart without telling anything about them: it is
// keyed, because a password that somebody chose could be guessed from a plain
// hash.
func (d Data) Digest(salt Value) string {
	mac := hmac.New(sha256.New, []byte(salt.Reveal()))
	for _, k := range slices.Sorted(maps.Keys(d)) {
		fmt.Fprintf(mac, "%s %d %s\n", k, len(d[k].Reveal()), d[k].Reveal())
	}
	return hex.EncodeToString(mac.Sum(nil))[:32]
}

// Only returns the part of d with the given keys.
func (d Data) Only(keys ...string) Data {
	out := Data{}
	for _, k := range keys {
		out[k] = d[k]
	}
	return out
}

// brokerDefinitions is what RabbitMQ loads at each start, so that its user
// follows the Secret.
func brokerDefinitions(user, password Value) (Value, error) {
	type m = map[string]any
	text, err := json.Marshal(m{
		"vhosts": []m{{"name": "/"}},
		"users":  []m{{"name": user.Reveal(), "password": password.Reveal(), "tags": "administrator"}},
		"permissions": []m{{
			"user": user.Reveal(), "vhost": "/", "configure": ".*", "write": ".*", "read": ".*",
		}},
	})
	if err != nil {
		return Value{}, fmt.Errorf("write the broker's definitions: %w", err)
	}
	return NewValue(string(text)), nil
}

// Rolls returns for each workload a digest of what its pods read only when they
// start. The databases are not restarted for a password: theirs are kept in
// their tables, and the broker's user is changed while it runs.
func (s Set) Rolls(salt Value) (map[string]string, error) {
	data := map[Component]Data{}
	for _, c := range Components() {
		var err error
		if data[c], err = s.Data(c); err != nil {
			return nil, err
		}
	}
	certificates := data[MySQL].Only("tls.crt", "tls.key", "ca.crt").Digest(salt)
	broker := data[RabbitMQ].Only(brokerURL)
	app := data[App].Only("jwt-secret", appPassword)
	maps.Copy(app, broker)
	maps.Copy(app, data[CloudFront])
	return map[string]string{
		"app": app.Digest(salt), "worker": broker.Digest(salt),
		"mysql-primary": certificates, "mysql-replica": certificates,
	}, nil
}
