package images

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"debug/buildinfo"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strconv"
	"strings"
)

// scanFormat is raised when a scan looks for more than before, so that what
// older ones found is not taken for all there is.
const scanFormat = 1

// contents is what matters of a layer.
type contents struct {
	Format int `json:"format"`
	// Size is how long it is unpacked.
	Size int64 `json:"size"`
	// Programs are its x86-64 programs and libraries by path.
	Programs map[string]program `json:"programs,omitempty"`
	// Distribution is set in the layer that has /etc/os-release.
	Distribution *distribution `json:"distribution,omitempty"`
	// Gone are the paths that it takes away from the layers below.
	Gone []string `json:"gone,omitempty"`
}

// program is the processor level that one file says it needs.
type program struct {
	Level int  `json:"level"`
	Go    bool `json:"go,omitempty"`
}

type distribution struct {
	ID      string `json:"id"`
	Version string `json:"version,omitempty"`
	Name    string `json:"name,omitempty"`
}

// scanLayer reads a layer once from beginning to end. Memory is bounded
// whatever the layer holds: a program is looked at in a temporary file.
func scanLayer(ctx context.Context, file string) (contents, error) {
	c := contents{Format: scanFormat, Programs: map[string]program{}}
	f, err := os.Open(file)
	if err != nil {
		return c, err
	}
	layer, err := decompress(f)
	if err != nil {
		return c, err
	}
	defer layer.Close()
	spool, err := os.CreateTemp("", "ssg-bootstrap-scan-*")
	if err != nil {
		return c, err
	}
	defer os.Remove(spool.Name())
	defer spool.Close()
	counted := &reading{ctx: ctx, r: layer, took: func(n int) { c.Size += int64(n) }}
	entries := tar.NewReader(counted)
	for {
		h, err := entries.Next()
		if errors.Is(err, io.EOF) {
			return c, nil
		}
		if err != nil {
			return c, err
		}
		if err := c.entry(h, entries, spool); err != nil {
			return c, fmt.Errorf("%s: %w", h.Name, err)
		}
	}
}

// The marks with which a layer takes files of lower layers away.
const (
	whiteout = ".wh."
	opaque   = ".wh..wh..opq"
)

func (c *contents) entry(h *tar.Header, body io.Reader, spool *os.File) error {
	name := strings.TrimPrefix(path.Clean("/"+h.Name), "/")
	base := path.Base(name)
	switch {
	case base == opaque:
		c.Gone = append(c.Gone, path.Dir(name)+"/")
	case strings.HasPrefix(base, whiteout):
		c.Gone = append(c.Gone, path.Join(path.Dir(name), strings.TrimPrefix(base, whiteout)))
	case h.Typeflag != tar.TypeReg:
	case name == "etc/os-release" || name == "usr/lib/os-release":
		text, err := io.ReadAll(io.LimitReader(body, 64<<10))
		c.Distribution = osRelease(string(text))
		return err
	// glibc chooses from these folders what the processor can run.
	case !strings.Contains(name, "glibc-hwcaps/"):
		return c.file(name, body, spool)
	}
	return nil
}

func (c *contents) file(name string, body io.Reader, spool *os.File) error {
	buffered := bufio.NewReader(body)
	head, err := buffered.Peek(len(elf.ELFMAG))
	if err != nil || string(head) != elf.ELFMAG {
		if errors.Is(err, io.EOF) {
			return nil
		}
		return err
	}
	if err := spool.Truncate(0); err != nil {
		return err
	}
	if _, err := spool.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if _, err := io.Copy(spool, buffered); err != nil {
		return err
	}
	if p, ok := inspect(spool); ok {
		c.Programs[name] = p
	}
	return nil
}

// inspect reads what an ELF file says of itself. What is damaged or for another
// processor is not for the box to run, and not for us to judge.
func inspect(r io.ReaderAt) (program, bool) {
	f, err := elf.NewFile(r)
	if err != nil || f.Machine != elf.EM_X86_64 {
		return program{}, false
	}
	p := program{Level: max(1, isaNeeded(f))}
	if f.Section(".go.buildinfo") != nil {
		if level := goLevel(r); level > 0 {
			p = program{Level: max(p.Level, level), Go: true}
		}
	}
	return p, true
}

// goLevel is the GOAMD64 with which a Go program was built.
func goLevel(r io.ReaderAt) int {
	info, err := buildinfo.Read(r)
	if err != nil {
		return 0
	}
	for _, s := range info.Settings {
		if s.Key == "GOAMD64" && len(s.Value) == 2 {
			level, _ := strconv.Atoi(s.Value[1:])
			return level
		}
	}
	return 1
}

// The note with which a linker says what processor a file needs, and in it the
// property whose bits are the levels.
const (
	notePropertyType = 5
	propertyISANeed  = 0xc0008002
)

func isaNeeded(f *elf.File) int {
	level := 0
	for _, p := range f.Progs {
		if p.Type != elf.PT_NOTE && p.Type != elf.PT_GNU_PROPERTY || p.Filesz > 64<<10 {
			continue
		}
		data, err := io.ReadAll(p.Open())
		if err == nil {
			level = max(level, isaInNotes(data, f.ByteOrder))
		}
	}
	return level
}

func isaInNotes(data []byte, order binary.ByteOrder) int {
	level := 0
	for len(data) >= 12 {
		nameSize, size, kind := int(order.Uint32(data)), int(order.Uint32(data[4:])), order.Uint32(data[8:])
		body := 12 + (nameSize+3)&^3
		next := body + (size+7)&^7
		if nameSize < 0 || size < 0 || body > len(data) || body+size > len(data) {
			break
		}
		if kind == notePropertyType && bytes.HasPrefix(data[12:], []byte("GNU\x00")) {
			level = max(level, isaInProperties(data[body:body+size], order))
		}
		data = data[min(next, len(data)):]
	}
	return level
}

func isaInProperties(data []byte, order binary.ByteOrder) int {
	for len(data) >= 8 {
		kind, size := order.Uint32(data), int(order.Uint32(data[4:]))
		if size < 0 || 8+size > len(data) {
			return 0
		}
		if kind == propertyISANeed && size == 4 {
			bits := order.Uint32(data[8:])
			for level := 4; level > 0; level-- {
				if bits&(1<<(level-1)) != 0 {
					return level
				}
			}
		}
		data = data[min(8+(size+7)&^7, len(data)):]
	}
	return 0
}

func osRelease(text string) *distribution {
	var d distribution
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		value = strings.Trim(value, `"'`)
		switch key {
		case "ID":
			d.ID = value
		case "VERSION_ID":
			d.Version = value
		case "PRETTY_NAME":
			d.Name = value
		}
	}
	return &d
}
