package images

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"os"
	"regexp"
	"runtime"
	"strings"
	"testing"
)

// elfFile is the smallest program whose linker says what it needs.
func elfFile(machine elf.Machine, kind elf.ProgType, note []byte) []byte {
	const headers = 64 + 56
	var b bytes.Buffer
	h := elf.Header64{
		Ident: [16]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)},
		Type:  uint16(elf.ET_EXEC), Machine: uint16(machine), Version: 1, Phoff: 64, Ehsize: 64, Phentsize: 56, Phnum: 1,
	}
	p := elf.Prog64{Type: uint32(kind), Off: headers, Filesz: uint64(len(note)), Memsz: uint64(len(note)), Align: 8}
	for _, v := range []any{h, p, note} {
		if err := binary.Write(&b, binary.LittleEndian, v); err != nil {
			panic(err)
		}
	}
	return b.Bytes()
}

// isaNote is a property note that asks for the given bits, after another
// property that has nothing to do with it.
func isaNote(bits uint32) []byte {
	le := binary.LittleEndian
	var desc []byte
	for _, p := range [][2]uint32{{0xc0000002, 3}, {propertyISANeed, bits}} {
		desc = le.AppendUint32(desc, p[0])
		desc = le.AppendUint32(desc, 4)
		desc = le.AppendUint32(desc, p[1])
		desc = append(desc, 0, 0, 0, 0)
	}
	note := le.AppendUint32(nil, 4)
	note = le.AppendUint32(note, uint32(len(desc)))
	note = le.AppendUint32(note, notePropertyType)
	return append(append(note, "GNU\x00"...), desc...)
}

func TestALinkersNoteSaysWhatAProgramNeeds(t *testing.T) {
	for name, c := range map[string]struct {
		file  []byte
		level int
		ours  bool
	}{
		"baseline":        {elfFile(elf.EM_X86_64, elf.PT_GNU_PROPERTY, isaNote(1)), 1, true},
		"v2":              {elfFile(elf.EM_X86_64, elf.PT_GNU_PROPERTY, isaNote(3)), 2, true},
		"v3 in a note":    {elfFile(elf.EM_X86_64, elf.PT_NOTE, isaNote(7)), 3, true},
		"v4 alone":        {elfFile(elf.EM_X86_64, elf.PT_NOTE, isaNote(8)), 4, true},
		"no note":         {elfFile(elf.EM_X86_64, elf.PT_LOAD, isaNote(7)), 1, true},
		"cut short":       {elfFile(elf.EM_X86_64, elf.PT_NOTE, isaNote(7)[:30]), 1, true},
		"other processor": {elfFile(elf.EM_AARCH64, elf.PT_NOTE, isaNote(7)), 0, false},
		"damaged":         {[]byte("\x7fELF and nothing more"), 0, false},
	} {
		if p, ok := inspect(bytes.NewReader(c.file)); p.Level != c.level || ok != c.ours {
			t.Errorf("%s: level %d, ours %v", name, p.Level, ok)
		}
	}
}

// TestAGoProgramSaysForWhatItWasBuilt looks at this test, as it is and with the
// setting changed that GOAMD64=v3 would have changed.
func TestAGoProgramSaysForWhatItWasBuilt(t *testing.T) {
	if runtime.GOARCH != "amd64" || runtime.GOOS != "linux" {
		t.Skip("this test is not such a program")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	was, ok := inspect(bytes.NewReader(data))
	if !ok || !was.Go {
		t.Fatalf("this test is %+v", was)
	}
	data = regexp.MustCompile(`build\tGOAMD64=v[1-4]`).ReplaceAll(data, []byte("build\tGOAMD64=v3"))
	if p, ok := inspect(bytes.NewReader(data)); !ok || p.Level != 3 || !p.Go {
		t.Errorf("built for v3, it is %+v", p)
	}
}

func TestTheUppermostLayerCounts(t *testing.T) {
	old := contents{Programs: map[string]program{"app/server": {Level: 3, Go: true}, "opt/x/tool": {Level: 2}}}
	for name, c := range map[string]struct {
		above contents
		want  need
	}{
		"nothing above": {contents{}, need{3, "/app/server was built with GOAMD64=v3"}},
		"replaced":      {contents{Programs: map[string]program{"app/server": {Level: 1}}}, need{2, "/opt/x/tool needs x86-64-v2"}},
		"removed":       {contents{Gone: []string{"app"}}, need{2, "/opt/x/tool needs x86-64-v2"}},
		"emptied":       {contents{Gone: []string{"app/server", "opt/x/"}}, need{1, ""}},
		"not by prefix": {contents{Gone: []string{"app/serv", "opt/x/t"}}, need{3, "/app/server was built with GOAMD64=v3"}},
	} {
		if got := needed([]contents{old, c.above}); got != c.want {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestDistributionsAreCompiledForTheirLevel(t *testing.T) {
	for text, want := range map[string]int{
		"ID=debian\nVERSION_ID=\"13\"": 1, "ID=alpine\nVERSION_ID=3.20.1": 1, "ID=ubuntu\nVERSION_ID=\"24.04\"": 1, "ID=fedora\nVERSION_ID=42": 1,
		"ID=\"rhel\"\nVERSION_ID=\"8.10\"": 1, "ID=\"rhel\"\nVERSION_ID=\"9.6\"": 2, "ID='ol'\nVERSION_ID='9'": 2, "ID=\"rhel\"\nVERSION_ID=\"10.0\"": 3,
		"ID=wolfi\nVERSION_ID=\"20230201\"": 2, "ID=chainguard": 2, "ID=amzn\nVERSION_ID=2023": 2, "ID=amzn\nVERSION_ID=2": 1, "": 1,
	} {
		if got := osRelease(text).level(); got != want {
			t.Errorf("%q: level %d", text, got)
		}
	}
}

func TestTheAdviceNamesAnImageThatRuns(t *testing.T) {
	for ref, want := range map[string]string{
		"mariadb:11.8-ubi9":               "use mariadb:11.8, ",
		"mariadb:lts-ubi":                 "use mariadb:lts, ",
		"mysql:8.4":                       "use mariadb:11, ",
		"quay.io/o/x:1-ol9":               "use x:1 or a tag that ends in -alpine",
		"cgr.dev/chainguard/redis:latest": "use the official image of redis",
		"ghcr.io/o/app:1":                 "build app for x86-64-v1 (-march=x86-64)",
		"quay.io/a/b:1":                   "use an image of b that is made of Debian",
	} {
		r, err := parseReference(ref)
		if err != nil {
			t.Fatal(err)
		}
		why := map[bool]string{true: "/app/server needs x86-64-v2", false: "it"}[strings.HasPrefix(want, "build")]
		if got := advice(r, need{2, why}); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %q", ref, got)
		}
	}
}

func TestReferencesGetTheNamesThatContainerdGivesThem(t *testing.T) {
	const digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	for text, want := range map[string][2]string{
		"mariadb":                      {"docker.io/library/mariadb:latest", "mirror.example:5000/hub/library/mariadb:latest"},
		"docker.io/rancher/x:1":        {"docker.io/rancher/x:1", "mirror.example:5000/hub/rancher/x:1"},
		"redis:7@" + digest:            {"docker.io/library/redis@" + digest, "mirror.example:5000/hub/library/redis@" + digest},
		"ghcr.io/o/app:sha-1":          {"ghcr.io/o/app:sha-1", "other.example/o/app:sha-1"},
		"localhost:5000/app@" + digest: {"localhost:5000/app@" + digest, "other.example/app@" + digest},
	} {
		r, err := parseReference(text)
		if err != nil {
			t.Fatal(err)
		}
		at, err := located(r, map[string]string{"docker.io": "http://mirror.example:5000/hub/", "*": "https://other.example"})
		if err != nil || r.name != want[0] || at.Name() != want[1] {
			t.Errorf("%s: %s at %v, %v", text, r.name, at, err)
		}
	}
}

func FuzzBox(f *testing.F) {
	f.Add("up\nfree 1\npinned a\nblob sha256:1\nparcel x.tar\nimage REF TYPE DIGEST STATUS SIZE UNPACKED\nimage a t sha256:2 complete (4/4) 42.9 MiB/42.9 MiB true\n")
	f.Add("image a t sha256:2 unavailable (0/?) ? false\n")
	f.Add("free \nblob\nimage a b c d\n")
	f.Fuzz(func(t *testing.T, text string) {
		b, err := parseBox(text)
		for _, h := range b.images {
			if err == nil && (h.Name == "" || strings.ContainsAny(h.Name+h.Digest, " \n")) {
				t.Errorf("%q has an image %+v", text, h)
			}
		}
	})
}

func FuzzNotes(f *testing.F) {
	f.Add(isaNote(3))
	f.Add(isaNote(3)[:20])
	f.Fuzz(func(t *testing.T, note []byte) {
		if level := isaInNotes(note, binary.LittleEndian); level < 0 || level > 4 {
			t.Errorf("level %d", level)
		}
	})
}
