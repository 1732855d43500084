package vm

import (
	"fmt"
	"reflect"
	"regexp"
	"time"
)

// Options describe a box. The zero value is the 2008 PC.
type Options struct {
	Name      string `json:"name"`
	MemoryMiB int    `json:"memoryMiB"`
	CPUs      int    `json:"cpus"`

	// Clock is what the battery-backed clock shows at power-on; zero is the
	// right time.
	Clock time.Time `json:"clock,omitzero"`

	// Peer names another box: a cable leads there from a second network card,
	// ens8 in the box, whose address is the box's own business.
	Peer string `json:"peer,omitempty"`

	// Append is added to the kernel's command line.
	Append []string `json:"append,omitempty"`

	// Accel is "tcg" (emulation), "kvm" (hardware), or empty for the fastest
	// that is known to work here.
	Accel string `json:"accel,omitempty"`
}

func (o Options) withDefaults() Options {
	if o.Name == "" {
		o.Name = DefaultName
	}
	if o.MemoryMiB == 0 {
		o.MemoryMiB = 4096
	}
	if o.CPUs == 0 {
		o.CPUs = 2
	}
	return o
}

func (o Options) validate() error {
	if !regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$`).MatchString(o.Name) {
		return fmt.Errorf("name of a box %q: use lower-case letters, digits and inner dashes, 32 at most", o.Name)
	}
	if o.Peer == o.Name {
		return fmt.Errorf("box %s has a cable to itself", o.Name)
	}
	if o.Accel != "" && o.Accel != AccelTCG && o.Accel != AccelKVM {
		return fmt.Errorf("acceleration %q: use %s or %s", o.Accel, AccelTCG, AccelKVM)
	}
	if o.MemoryMiB < 256 || o.CPUs < 1 {
		return fmt.Errorf("a box with %d MiB and %d CPUs does not boot", o.MemoryMiB, o.CPUs)
	}
	return nil
}

func (o Options) same(other Options) bool { return reflect.DeepEqual(o, other) }
