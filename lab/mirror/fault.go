package mirror

import (
	"io"
	"net/http"
	"os"
	"sync"
	"time"
)

// Fault is one thing that goes wrong with a file. The zero value of what is
// unwanted changes nothing.
type Fault struct {
	File  string // the file's name; empty is every file
	Times int    // how often it happens; 0 is always

	Status     int   // answer with this instead of the file
	TruncateAt int64 // only so many bytes exist, of the length that was promised
	Corrupt    int64 // flip the bits of the byte at this offset, counted from 1
	Rate       int64 // bytes per second
}

// Faults hands each request the first fault that fits it.
type Faults struct {
	mu   sync.Mutex
	list []Fault
	seen map[int]int
}

func (f *Faults) next(file string) Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.seen == nil {
		f.seen = map[int]int{}
	}
	for i, fault := range f.list {
		if fault.File != "" && fault.File != file || fault.Times > 0 && f.seen[i] >= fault.Times {
			continue
		}
		f.seen[i]++
		return fault
	}
	return Fault{}
}

// NewFaults takes the faults in the order in which they are tried.
func NewFaults(list ...Fault) *Faults { return &Faults{list: list} }

// ServeFile answers with a file, whole or the range that was asked for, as the
// first fault for name shows it.
func (f *Faults) ServeFile(w http.ResponseWriter, r *http.Request, name string, file *os.File, modified time.Time) {
	if damaged := f.apply(w, r, name, file); damaged != nil {
		http.ServeContent(damaged, r, name, modified, damaged.content)
	}
}

// apply returns the file as the fault shows it, or nil when the request is
// answered already.
func (f *Faults) apply(w http.ResponseWriter, r *http.Request, name string, file *os.File) *faultyWriter {
	fault := f.next(name)
	if fault.Status != 0 {
		http.Error(w, http.StatusText(fault.Status), fault.Status)
		return nil
	}
	return &faultyWriter{ResponseWriter: w, fault: fault, request: r, content: &faultyFile{file, fault}}
}

// faultyFile damages what is read, at the place in the file where it belongs,
// so that a resumed download meets the same damage.
type faultyFile struct {
	*os.File
	fault Fault
}

func (f *faultyFile) Read(p []byte) (int, error) {
	at, err := f.Seek(0, io.SeekCurrent)
	if err != nil {
		return 0, err
	}
	if end := f.fault.TruncateAt; end > 0 {
		if at >= end {
			// ServeContent stops at an error; the server then breaks the
			// connection off, for less came than the header promised.
			return 0, io.ErrUnexpectedEOF
		}
		p = p[:min(int64(len(p)), end-at)]
	}
	n, err := f.File.Read(p)
	if bad := f.fault.Corrupt - 1; bad >= at && bad < at+int64(n) {
		p[bad-at] ^= 0xff
	}
	return n, err
}

// faultyWriter slows the answer down.
type faultyWriter struct {
	http.ResponseWriter
	fault   Fault
	request *http.Request
	content *faultyFile
}

func (w *faultyWriter) Write(p []byte) (int, error) {
	if w.fault.Rate <= 0 {
		return w.ResponseWriter.Write(p)
	}
	written := 0
	for len(p) > 0 {
		part := p[:min(int64(len(p)), max(1, w.fault.Rate/20))]
		n, err := w.ResponseWriter.Write(part)
		written += n
		if err != nil {
			return written, err
		}
		// Unflushed, the server would hold the pieces back and send them at once.
		if err := http.NewResponseController(w.ResponseWriter).Flush(); err != nil {
			return written, err
		}
		select {
		case <-w.request.Context().Done():
			return written, w.request.Context().Err()
		case <-time.After(time.Duration(int64(n) * int64(time.Second) / w.fault.Rate)):
		}
		p = p[len(part):]
	}
	return written, nil
}
