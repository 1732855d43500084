package tailnet

import (
	"sync"
	"time"
)

// Entry is one request that the tailnet has had. No secret is in it.
type Entry struct {
	Number int       `json:"number"`
	Time   time.Time `json:"time"`
	Part   string    `json:"part"` // control or api
	Method string    `json:"method"`
	Path   string    `json:"path"`
	Status int       `json:"status"`
	Write  bool      `json:"write"` // it changed something, or was meant to
	Note   string    `json:"note,omitempty"`
}

// logBook keeps the last requests.
type logBook struct {
	mu      sync.Mutex
	number  int
	entries []Entry
}

const keptEntries = 2000

func (b *logBook) add(entry Entry) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.number++
	entry.Number, entry.Time = b.number, time.Now().UTC()
	b.entries = append(b.entries, entry)
	if len(b.entries) > keptEntries {
		b.entries = b.entries[len(b.entries)-keptEntries:]
	}
}

// since returns what came after the entry of that number.
func (b *logBook) since(number int) []Entry {
	b.mu.Lock()
	defer b.mu.Unlock()
	found := []Entry{}
	for _, entry := range b.entries {
		if entry.Number > number {
			found = append(found, entry)
		}
	}
	return found
}
