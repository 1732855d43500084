package spec

import "github.com/omkar619-dev/ssg-bootstrap/profiles"

// Spec is what should be true of one box.
type Spec struct {
	HostName string           `json:"hostName"`
	NodeName string           `json:"nodeName"`
	Profile  profiles.Profile `json:"profile"`
	// ProfileWhy says in one sentence why it is this profile.
	ProfileWhy string   `json:"profileWhy"`
	TLSSANs    []string `json:"tlsSANs,omitempty"`
	Mirrors    Mirrors  `json:"mirrors,omitzero"`
}

// Hardware is what a profile is chosen by.
type Hardware struct {
	MemoryBytes int64
	Cores       int
	// CPULevel is the x86-64 micro-architecture level, 1 to 4; 0 is unknown.
	CPULevel int
	CPUModel string
}
