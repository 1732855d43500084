package packaging

import (
	"maps"
	"slices"
)

// Papers is what goes along with the program.
type Papers struct {
	Readme []byte
	// Manual are the man pages by file name, Completions the scripts by shell.
	Manual, Completions map[string][]byte
}

// Portable lists what an archive holds.
func Portable(b Build, p Papers) []File {
	out := []File{
		{b.Target.Binary(), 0o755, b.Binary},
		{"README.md", 0o644, p.Readme},
	}
	for _, shell := range slices.Sorted(maps.Keys(p.Completions)) {
		out = append(out, File{"completions/" + shell, 0o644, p.Completions[shell]})
	}
	for _, page := range slices.Sorted(maps.Keys(p.Manual)) {
		out = append(out, File{"man/man1/" + page, 0o644, p.Manual[page]})
	}
	return out
}

// Installed lists what the Debian package puts where.
func Installed(b Build, p Papers) ([]File, error) {
	out := []File{
		{"usr/bin/" + program, 0o755, b.Binary},
		{"usr/share/doc/" + program + "/README.md", 0o644, p.Readme},
		{"usr/share/bash-completion/completions/" + program, 0o644, p.Completions["bash"]},
		{"usr/share/zsh/vendor-completions/_" + program, 0o644, p.Completions["zsh"]},
		{"usr/share/fish/vendor_completions.d/" + program + ".fish", 0o644, p.Completions["fish"]},
	}
	for _, page := range slices.Sorted(maps.Keys(p.Manual)) {
		data, err := Gzip(p.Manual[page])
		if err != nil {
			return nil, err
		}
		out = append(out, File{"usr/share/man/man1/" + page + ".gz", 0o644, data})
	}
	return out, nil
}
