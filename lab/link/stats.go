package link

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// BitRate is bits per second; 0 is without limit.
type BitRate int64

// Mbit is a million bits per second.
const Mbit BitRate = 1_000_000

// ParseRate reads "2mbit", "512kbit", "1.5mbit", "9600bit" and "unlimited".
func ParseRate(text string) (BitRate, error) {
	if text == "unlimited" {
		return 0, nil
	}
	for _, unit := range []struct {
		name string
		bits float64
	}{{"gbit", 1e9}, {"mbit", 1e6}, {"kbit", 1e3}, {"bit", 1}} {
		number, ok := strings.CutSuffix(strings.ToLower(text), unit.name)
		if !ok {
			continue
		}
		value, err := strconv.ParseFloat(number, 64)
		if rate := BitRate(value * unit.bits); err == nil && value < 1e6 && rate >= 100 {
			return rate, nil
		}
		break
	}
	return 0, fmt.Errorf("rate %q: write 2mbit, 512kbit or unlimited", text)
}

// String writes a rate as ParseRate reads it.
func (r BitRate) String() string {
	switch {
	case r == 0:
		return "unlimited"
	case r%Mbit == 0:
		return fmt.Sprintf("%dmbit", r/Mbit)
	case r%1000 == 0:
		return fmt.Sprintf("%dkbit", r/1000)
	}
	return fmt.Sprintf("%dbit", int64(r))
}

// ConnStats are one connection's figures.
type ConnStats struct {
	ID      int           `json:"id"`
	Opened  time.Time     `json:"opened"`
	Lasted  time.Duration `json:"lasted"`
	Up      int64         `json:"up"`
	Down    int64         `json:"down"`
	Running bool          `json:"running"`
}

// Stats are what the link is set to and what it has seen. Bytes are those that
// were handed on, not those that were taken in.
type Stats struct {
	Target   string        `json:"target"`
	UpRate   BitRate       `json:"upRate"`
	DownRate BitRate       `json:"downRate"`
	Latency  time.Duration `json:"latency"`
	Cut      bool          `json:"cut"`
	Stalled  bool          `json:"stalled"`
	Up       int64         `json:"up"`
	Down     int64         `json:"down"`
	Opened   int           `json:"opened"`
	Refused  int           `json:"refused"`
	Conns    []ConnStats   `json:"conns"` // the last ones, oldest first
}

// Stats reads all counters.
func (l *Link) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	stats := Stats{
		Target:   l.target,
		UpRate:   l.wire[Up].rate(),
		DownRate: l.wire[Down].rate(),
		Latency:  l.latency,
		Cut:      l.cut,
		Up:       l.wire[Up].total.Load(),
		Down:     l.wire[Down].total.Load(),
		Opened:   l.next,
		Refused:  l.refused,
		Conns:    slices.Clone(l.history),
	}
	select {
	case <-l.flowing:
	default:
		stats.Stalled = true
	}
	now := time.Now()
	for c := range l.conns {
		live := c.stats(now)
		live.Running = true
		stats.Conns = append(stats.Conns, live)
	}
	slices.SortFunc(stats.Conns, func(a, b ConnStats) int { return a.ID - b.ID })
	return stats
}

func (c *conn) stats(now time.Time) ConnStats {
	return ConnStats{
		ID:     c.id,
		Opened: c.opened,
		Lasted: now.Sub(c.opened),
		Up:     c.bytes[Up].Load(),
		Down:   c.bytes[Down].Load(),
	}
}
