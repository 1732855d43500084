package profiles

import "strconv"

// combinations finds values that are fine by themselves and impossible
// together.
func (c checker) combinations() {
	r := c.p.Requires
	if c.p.For.MinMemory > 0 && r.Memory > c.p.For.MinMemory {
		c.refuse(at("requires", "memory"), "auto would choose this profile from %s on, and preflight then refuse below %s", c.p.For.MinMemory, r.Memory)
	}
	if r.Memory == 0 {
		return
	}
	if reserved := c.reserved(); reserved >= r.Memory {
		c.refuse(at("k3s", "kubelet"), "kubeReserved, systemReserved and evictionHard take %s of the %s that the box must have: no pod would fit", reserved, r.Memory)
	}
	if limits := goLimit(c.p.K3s.GoMemLimit) + goLimit(c.p.K3s.ContainerdGoMemLimit); limits >= r.Memory {
		c.refuse(at("k3s", "goMemLimit"), "the limits of k3s and containerd are %s together; the box need only have %s", limits, r.Memory)
	}
	low, high := threshold(c.p, "imageGCLowThresholdPercent", 80), threshold(c.p, "imageGCHighThresholdPercent", 85)
	if low >= high {
		c.refuse(at("k3s", "kubelet"), "imageGCLowThresholdPercent (%d) must be below imageGCHighThresholdPercent (%d)", low, high)
	}
}

// reserved is the memory that the kubelet keeps from the pods.
func (c checker) reserved() ByteSize {
	var sum ByteSize
	for field, key := range map[string]string{"kubeReserved": "memory", "systemReserved": "memory", "evictionHard": "memory.available"} {
		values, isMap := c.p.K3s.Kubelet[field].(map[string]any)
		if !isMap {
			continue
		}
		text, _ := values[key].(string)
		if text == "" {
			continue
		}
		size, ok := quantity(text)
		if !ok {
			c.refuse(at("k3s", "kubelet", field, key), "%q is not an amount of memory like 256Mi", text)
		}
		sum += size
	}
	return sum
}

// quantity reads Kubernetes's spelling of sizes, which has no B. A percentage
// is a quantity of unknown size, 0.
func quantity(text string) (ByteSize, bool) {
	if text[len(text)-1] == '%' {
		_, err := strconv.ParseFloat(text[:len(text)-1], 64)
		return 0, err == nil
	}
	if last := text[len(text)-1]; last == 'k' || last == 'M' || last == 'G' || last == 'i' || last >= '0' && last <= '9' {
		var b ByteSize
		err := b.UnmarshalText([]byte(text + "B"))
		return b, err == nil
	}
	return 0, false
}

// goLimit reads a GOMEMLIMIT; one that is not valid was refused before.
func goLimit(text string) ByteSize {
	var b ByteSize
	if b.UnmarshalText([]byte(text)) != nil {
		return 0
	}
	return b
}

func threshold(p Profile, field string, normally int64) int64 {
	if n, said := p.K3s.Kubelet[field].(int64); said {
		return n
	}
	return normally
}

func index(i int) string { return "[" + strconv.Itoa(i) + "]" }
