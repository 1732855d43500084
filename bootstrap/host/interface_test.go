package host_test

import (
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/host/hosttest"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/step"
)

// Client and Fake are what Converge needs.
var (
	_ step.Box = (*host.Client)(nil)
	_ step.Box = (*hosttest.Fake)(nil)
)
