package bench

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/cluster"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/report"
)

// roomFor asks whether a second release fits beside what runs, by what
// Kubernetes goes by when it finds a place for a pod: the requests. The error
// says what is missing.
func roomFor(ctx context.Context, c *cluster.Cluster, o objects, free Free) error {
	lacks := free.lacks(o)
	nodes, err := c.Client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return c.Explain("look at the node", err)
	}
	pods, err := c.Client.CoreV1().Pods("").List(ctx, metav1.ListOptions{})
	if err != nil {
		return c.Explain("look at the pods", err)
	}
	var memory, cpu, slots int64
	for _, n := range nodes.Items {
		memory += n.Status.Allocatable.Memory().Value()
		cpu += n.Status.Allocatable.Cpu().MilliValue()
		slots += n.Status.Allocatable.Pods().Value()
		for _, t := range n.Status.Conditions {
			if (t.Type == corev1.NodeMemoryPressure || t.Type == corev1.NodeDiskPressure) && t.Status == corev1.ConditionTrue {
				return fmt.Errorf("the box has no room for a second release: %s", t.Message)
			}
		}
	}
	for _, p := range pods.Items {
		if p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed {
			continue
		}
		m, u := podRequests(p.Spec)
		memory, cpu, slots = memory-m, cpu-u, slots-1
	}
	needMemory, needCPU := o.requests()
	if needMemory > memory {
		lacks = append(lacks, fmt.Sprintf("memory for its requests (%s of %s)", report.MemoryBytes(max(0, memory)), report.MemoryBytes(needMemory)))
	}
	if needCPU > cpu {
		lacks = append(lacks, fmt.Sprintf("CPU for its requests (%dm of %dm)", max(0, cpu), needCPU))
	}
	// One more for the helper that makes and removes volumes.
	if need := int64(len(o.present()) + 1); need > slots {
		lacks = append(lacks, fmt.Sprintf("pods (%d of %d)", max(0, slots), need))
	}
	if len(lacks) == 0 {
		return nil
	}
	return fmt.Errorf("the box has no room for a second release beside the one that serves: it lacks %s", strings.Join(lacks, " and "))
}

// Free is what the kernel has to give, in bytes: requests are only what was
// reserved, and volumes are folders that nobody bounds.
type Free struct {
	Memory, Disk, DiskSize int64
}

const (
	// scratchDisk is what a release writes in its first minutes: the logs and
	// tablespaces of two databases, and RabbitMQ's, which stops below its own
	// limit.
	scratchDisk = 2 << 30
	// evictsBelow is the share of a disk below which the kubelet throws pods
	// out, in percent.
	evictsBelow = 5
)

// lacks says what the kernel cannot give. Nothing is said where nothing is
// known.
func (f Free) lacks(o objects) []string {
	var out []string
	if need, _ := o.requests(); f.Memory > 0 && f.Memory < need {
		out = append(out, fmt.Sprintf("free memory (%s of %s)", report.MemoryBytes(f.Memory), report.MemoryBytes(need)))
	}
	if need := f.DiskSize*evictsBelow/100 + scratchDisk; f.DiskSize > 0 && f.Disk < need {
		out = append(out, fmt.Sprintf("disk (%s free of %s)", report.Bytes(f.Disk), report.Bytes(need)))
	}
	return out
}
