package build

import (
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/omkar619-dev/ssg-bootstrap/lab/build/image"
)

// picker takes files out of a folder of unpacked packages for an image, and
// with each program the libraries that it loads.
type picker struct {
	root  string
	below map[string]image.File  // what lower layers of the image have already
	skip  func(name string) bool // files of a picked folder that the image does without
	files map[string]image.File  // by path in the image
}

func newPicker(root string, below *picker) *picker {
	p := &picker{root: root, files: map[string]image.File{}, below: map[string]image.File{}}
	if below != nil {
		p.below = below.files
	}
	return p
}

// pick adds everything that the patterns match, below root. A pattern without a
// match is an error: a package has changed, and the image would lack something.
func (p *picker) pick(patterns ...string) error {
	for _, pattern := range patterns {
		found, err := filepath.Glob(filepath.Join(p.root, pattern))
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return fmt.Errorf("no %s in the packages", pattern)
		}
		for _, name := range found {
			if err := p.walk(name); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *picker) walk(top string) error {
	return filepath.WalkDir(top, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		inside := strings.TrimPrefix(name, p.root)
		if p.skip != nil && p.skip(inside) {
			return nil
		}
		return p.take(inside)
	})
}

// take adds one file or link, given by its path in the image, and what it needs.
func (p *picker) take(inside string) error {
	inside = merged(inside)
	if _, have := p.files[inside]; have {
		return nil
	}
	if _, have := p.below[inside]; have {
		return nil
	}
	source := filepath.Join(p.root, inside)
	info, err := os.Lstat(source)
	if err != nil {
		return err
	}
	if info.Mode()&os.ModeSymlink != 0 {
		target, err := os.Readlink(source)
		if err != nil {
			return err
		}
		p.files[inside] = image.File{Path: inside, Link: target}
		return p.follow(inside, target)
	}
	p.files[inside] = image.File{Path: inside, Mode: info.Mode().Perm(), Source: source}
	return p.load(source)
}

func (p *picker) follow(from, target string) error {
	if !path.IsAbs(target) {
		target = path.Join(path.Dir(from), target)
	}
	info, err := os.Stat(filepath.Join(p.root, merged(target)))
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.IsDir() {
		return nil // a folder is picked by name or not at all; a link may be filled in at run time
	}
	if err != nil {
		return err
	}
	return p.take(target)
}

// load adds the interpreter and the libraries of a program or a library.
func (p *picker) load(source string) error {
	file, err := elf.Open(source)
	if err != nil {
		var notELF *elf.FormatError
		if errors.As(err, &notELF) || errors.Is(err, os.ErrNotExist) || shorterThanELF(source) {
			return nil
		}
		return err
	}
	defer file.Close()
	needed, err := file.ImportedLibraries()
	if err != nil {
		return fmt.Errorf("read libraries of %s: %w", filepath.Base(source), err)
	}
	if file.Section(".interp") != nil {
		needed = append(needed, loader)
	}
	for _, name := range needed {
		if err := p.take("/" + libraryFolder + name); err != nil {
			return fmt.Errorf("%s needs %s: %w", filepath.Base(source), name, err)
		}
	}
	return nil
}

const loader = "ld-linux-x86-64.so.2"

func shorterThanELF(source string) bool {
	info, err := os.Stat(source)
	return err == nil && info.Size() < 64
}

// merged is where a path leads when /bin, /sbin and /lib are links into /usr,
// as on every current Debian.
func merged(name string) string {
	name = path.Clean("/" + name)
	for _, dir := range mergedFolders() {
		if strings.HasPrefix(name, "/"+dir+"/") {
			return "/usr" + name
		}
	}
	return name
}

func mergedFolders() []string { return []string{"bin", "lib", "lib64", "sbin"} }

// part is what was picked, as a layer.
func (p *picker) part(name string, more ...image.File) part {
	files := make([]image.File, 0, len(p.files)+len(more))
	for _, key := range sortedNames(p.files) {
		files = append(files, p.files[key])
	}
	return part{name: name, files: slices.Concat(files, more)}
}
