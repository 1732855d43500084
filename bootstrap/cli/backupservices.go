package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/recovery"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/release"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/secrets"
)

// split tells the parts that the box cuts from those that are gathered here.
func (s *session) split(in release.Input, parts []string, note func(string)) ([]string, []recovery.Extra) {
	var boxed []string
	var extras []recovery.Extra
	for _, name := range parts {
		switch {
		case recovery.OnBox(name):
			boxed = append(boxed, name)
		case name == recovery.RabbitMQ:
			extras = append(extras, s.takeMessages(in, note))
		case name == recovery.Computer:
			extras = append(extras, s.takeComputer(in))
		}
	}
	return boxed, extras
}

func (s *session) broker(ctx context.Context, in release.Input) (release.Broker, error) {
	c, err := release.OnBox(ctx, s.client, in.Want.Namespace)
	if err != nil {
		return release.Broker{}, err
	}
	// The cluster's own: this computer may be a new one.
	there, err := c.ReadSecret(ctx, in.Want.SecretName(secrets.RabbitMQ))
	if err != nil {
		return release.Broker{}, err
	}
	if there == nil {
		return release.Broker{}, fault.New(fault.NotInstalled, "", "the release has no Secret for RabbitMQ")
	}
	return release.NewBroker(c, in.Want, secrets.RabbitMQ.Adopt(there.Data)), nil
}

func (s *session) takeMessages(in release.Input, note func(string)) recovery.Extra {
	return recovery.Extra{Name: recovery.RabbitMQ, Take: func(ctx context.Context, about *recovery.About, put func([]byte) error) error {
		b, err := s.broker(ctx, in)
		if err != nil {
			return err
		}
		held, err := b.Take(ctx, put, note)
		for _, h := range held {
			about.Queues = append(about.Queues, recovery.Queue{Name: h.Queue, Messages: h.Messages})
		}
		return err
	}}
}

// services are brought back by this computer.
func (s *session) services(in release.Input) map[string]recovery.Service {
	return map[string]recovery.Service{
		recovery.RabbitMQ: func(ctx context.Context, next func() ([]byte, error)) (recovery.Restored, error) {
			var out recovery.Restored
			b, err := s.broker(ctx, in)
			if err != nil {
				return out, err
			}
			held, err := b.Give(ctx, next)
			for _, h := range held {
				out.Queues = append(out.Queues, recovery.Queue{Name: h.Queue, Messages: h.Messages})
			}
			return out, err
		},
	}
}

// takeComputer keeps what this computer knows of the host: whoever has the age
// identity can begin on another one.
func (s *session) takeComputer(in release.Input) recovery.Extra {
	return recovery.Extra{Name: recovery.Computer, Take: func(_ context.Context, _ *recovery.About, put func([]byte) error) error {
		files := map[string][]byte{}
		for name, path := range map[string]string{
			configName: s.cfg.Path, "ssg-bootstrap.lock": s.a.lockPath(s.cfg), "secrets.age": in.Store.Path(),
			"values.yaml": s.spec.Release.Values, "secrets.values.yaml": s.spec.Release.Secrets,
		} {
			if path == "" {
				continue
			}
			data, err := os.ReadFile(path)
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return fmt.Errorf("read %s: %w", name, err)
			}
			files[name] = data
		}
		resolved, err := json.MarshalIndent(s.spec, "", "  ")
		if err != nil {
			return fmt.Errorf("write what should be true of %s: %w", s.name, err)
		}
		files["spec.json"] = resolved
		text, err := json.Marshal(files)
		if err != nil {
			return fmt.Errorf("write what this computer knows of %s: %w", s.name, err)
		}
		return put(text)
	}}
}
