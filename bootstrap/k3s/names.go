package k3s

import (
	"slices"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/step"
)

// asked are the queries for the further names, none where there are no such.
func asked(n Names) []host.Command {
	if n == nil {
		return nil
	}
	return []host.Command{n.Query()}
}

// called returns what k3s loads on a box that goes by the further names too.
func (l loaded) called(n Names, beside [][]byte) (loaded, error) {
	if n == nil {
		return l, nil
	}
	// It was asked last of all that was asked beside.
	further, err := n.Read(beside[len(beside)-1])
	if err != nil || len(further) == 0 {
		return l, err
	}
	return l.with(further), nil
}

// with adds names to the certificate's.
func (l loaded) with(further []string) loaded {
	const key = "tls-san"
	names, _ := l.Config[key].([]string)
	names = slices.Concat(names, further)
	slices.Sort(names)
	config := make(map[string]any, len(l.Config)+1)
	for k, v := range l.Config {
		config[k] = v
	}
	config[key] = slices.Compact(names)
	l.Config = config
	return l
}

// after are the steps that must have been applied before the names are known.
func after(n Names) []step.ID {
	if n == nil {
		return nil
	}
	return []step.ID{n.After()}
}
