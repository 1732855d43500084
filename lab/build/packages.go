package build

import (
	"context"
	"debug/elf"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/omkar619-dev/ssg-bootstrap/lab/build/debian"
	"github.com/omkar619-dev/ssg-bootstrap/lab/build/store"
)

// netfilterPackages hold the firewall tools that k3s carries along, and the
// libraries that the box may not have.
func netfilterPackages() []string {
	return []string{
		"conntrack", "ipset", "iptables",
		"libip4tc2", "libip6tc2", "libipset13t64", "libmnl0", "libnetfilter-conntrack3", "libnfnetlink0", "libnftnl11", "libxtables12",
	}
}

// packages returns a folder with the files of the named packages of the box's
// Debian, as they would be installed.
func (b *builder) packages(ctx context.Context, product string, names []string) (string, error) {
	return b.unpacked(ctx, product, names, debian.Fetch)
}

// allPackages is packages with all that they depend on.
func (b *builder) allPackages(ctx context.Context, product string, names []string) (string, error) {
	return b.unpacked(ctx, product, names, debian.FetchAll)
}

type fetcher func(ctx context.Context, sources string, packages []string, dir string, log io.Writer) error

func (b *builder) unpacked(ctx context.Context, product string, names []string, fetch fetcher) (string, error) {
	recipe := &store.Recipe{}
	recipe.Add("suite", suite)
	recipe.Add("packages", names...)
	return b.get(ctx, product, recipe, func(ctx context.Context, dir string, log *os.File) error {
		sources, err := debian.Find(ctx, "/etc", suite)
		if err != nil {
			return err
		}
		fetched, err := os.MkdirTemp("", "packages-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(fetched)
		if err := fetch(ctx, sources, names, fetched, log); err != nil {
			return err
		}
		files, err := filepath.Glob(filepath.Join(fetched, "*.deb"))
		if err != nil {
			return err
		}
		for _, file := range files {
			if err := debian.Unpack(ctx, file, dir); err != nil {
				return err
			}
		}
		return nil
	})
}

// netfilter returns bin/aux as k3s has it: iptables and its relatives, ready to
// run on a box that has no such package.
func (b *builder) netfilter(ctx context.Context) (string, error) {
	root, err := b.packages(ctx, "netfilter-packages", netfilterPackages())
	if err != nil {
		return "", err
	}
	recipe := &store.Recipe{}
	for _, name := range sortedNames(wrapped()) {
		recipe.Add("wrapper", name, wrapper(wrapped()[name]))
	}
	if err := recipe.AddTree(root, neededFromPackages); err != nil {
		return "", fmt.Errorf("describe netfilter: %w", err)
	}
	return b.get(ctx, "netfilter", recipe, func(_ context.Context, dir string, _ *os.File) error {
		if err := copyTools(root, filepath.Join(dir, "lib")); err != nil {
			return err
		}
		if err := writeWrappers(dir); err != nil {
			return err
		}
		return checkLibraries(filepath.Join(dir, "lib"))
	})
}

const libraryFolder = "usr/lib/x86_64-linux-gnu/"

// neededFromPackages picks the programs, the libraries and the extensions;
// arptables and ebtables extensions are of no use to Kubernetes.
func neededFromPackages(path string) bool {
	name := filepath.Base(path)
	switch {
	case strings.HasPrefix(path, "usr/sbin/"):
		return slices.Contains([]string{"xtables-nft-multi", "xtables-legacy-multi", "conntrack", "ipset"}, name)
	case strings.HasPrefix(path, libraryFolder+"xtables/"):
		return strings.HasPrefix(name, "libxt_") || strings.HasPrefix(name, "libipt_") || strings.HasPrefix(name, "libip6t_")
	}
	return strings.HasPrefix(path, libraryFolder) && strings.Contains(name, ".so.") && filepath.Dir(path)+"/" == libraryFolder
}

// copyTools puts programs, libraries and extensions side by side, under the
// names by which they are looked up; links become files because the payload
// that they travel in holds files only.
func copyTools(root, lib string) error {
	if err := os.MkdirAll(filepath.Join(lib, "xtables"), 0o755); err != nil {
		return err
	}
	return filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil || !neededFromPackages(name) {
			return err
		}
		target := filepath.Join(lib, filepath.Base(name))
		if strings.Contains(name, "/xtables/") {
			target = filepath.Join(lib, "xtables", filepath.Base(name))
		} else if strings.Contains(name, ".so.") && !isSoname(path) {
			return nil
		}
		return copyFile(path, target, 0o755)
	})
}

// isSoname tells whether a library's file name is the one that programs ask for.
func isSoname(path string) bool {
	file, err := elf.Open(path)
	if err != nil {
		return false
	}
	defer file.Close()
	names, err := file.DynString(elf.DT_SONAME)
	return err == nil && len(names) == 1 && names[0] == filepath.Base(path)
}

// wrapped lists the commands and the program in lib that each one is. The nft
// variants are the default, as in Debian; the legacy ones are there for k3s's
// habit of looking at both.
func wrapped() map[string]string {
	commands := map[string]string{"conntrack": "conntrack", "ipset": "ipset"}
	for _, family := range []string{"iptables", "ip6tables"} {
		for _, verb := range []string{"", "-save", "-restore"} {
			commands[family+verb] = "xtables-nft-multi " + family + verb
			commands[family+"-nft"+verb] = "xtables-nft-multi " + family + verb
			commands[family+"-legacy"+verb] = "xtables-legacy-multi " + family + verb
		}
	}
	return commands
}

// wrapper is the script that runs a tool with the libraries that came with it.
// It starts no process of its own unless it was reached by a link: kube-proxy
// calls these often, and starting one is slow on the box.
func wrapper(program string) string {
	return `#!/bin/sh
self=$0
[ -L "$self" ] && self=$(readlink -f "$self")
lib=${self%/*}/lib
LD_LIBRARY_PATH=$lib XTABLES_LIBDIR=$lib/xtables exec "$lib"/` + program + ` "$@"
`
}

func writeWrappers(dir string) error {
	commands := wrapped()
	for _, name := range sortedNames(commands) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(wrapper(commands[name])), 0o755); err != nil {
			return err
		}
	}
	return nil
}

// checkLibraries fails when a program asks for a library that neither comes
// along nor belongs to the C library of every Debian: the box would find out
// too late.
func checkLibraries(lib string) error {
	return filepath.WalkDir(lib, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		file, err := elf.Open(path)
		if err != nil {
			return fmt.Errorf("check libraries of %s: %w", entry.Name(), err)
		}
		defer file.Close()
		needed, err := file.ImportedLibraries()
		if err != nil {
			return fmt.Errorf("check libraries of %s: %w", entry.Name(), err)
		}
		for _, name := range needed {
			_, missing := os.Stat(filepath.Join(lib, name))
			if missing != nil && name != "libc.so.6" && name != "libm.so.6" {
				return fmt.Errorf("%s needs %s: add its package to netfilterPackages", entry.Name(), name)
			}
		}
		return nil
	})
}

// busybox returns Debian's static busybox and the names it answers to.
func (b *builder) busybox(ctx context.Context) (path string, applets []string, err error) {
	root, err := b.packages(ctx, "busybox-package", []string{"busybox-static"})
	if err != nil {
		return "", nil, err
	}
	path = filepath.Join(root, "usr", "bin", "busybox")
	banner, err := exec.CommandContext(ctx, path).Output()
	if err != nil {
		return "", nil, fmt.Errorf("ask busybox for its version: %w", err)
	}
	if !strings.HasPrefix(string(banner), "BusyBox v"+busyboxVersion+" ") {
		return "", nil, fmt.Errorf("busybox says %q, the image is to be %s: change busyboxVersion and whoever names the image", strings.SplitN(string(banner), "\n", 2)[0], busyboxVersion)
	}
	list, err := output(ctx, "", path, "--list")
	if err != nil {
		return "", nil, err
	}
	return path, strings.Fields(list), nil
}
