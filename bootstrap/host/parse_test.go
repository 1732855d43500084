package host

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const mark = "0123456789abcdef0123456789abcdef"

// framed is what the script of a batch writes for the given outputs.
func framed(outs [][]byte) []byte {
	var b bytes.Buffer
	for i, o := range outs {
		fmt.Fprintf(&b, "%s\n%s %d %d\n", o, mark, i, i%256)
	}
	return b.Bytes()
}

func FuzzFramesComeApartAsTheyWerePut(f *testing.F) {
	f.Add([]byte("a"), []byte(""), []byte("\n\n"))
	f.Add([]byte("\n0123456789abcdef"), []byte(mark), []byte("\x00"))
	f.Fuzz(func(t *testing.T, a, b, c []byte) {
		outs := [][]byte{a, b, c}
		for _, o := range outs {
			// The nonce is what a program cannot know.
			if bytes.Contains(o, []byte(mark)) {
				return
			}
		}
		frames, err := splitFrames(mark, len(outs), framed(outs), nil)
		if err != nil {
			t.Fatal(err)
		}
		for i, fr := range frames {
			if !bytes.Equal(fr.out, outs[i]) || fr.status != i {
				t.Errorf("frame %d: got %q, %d; want %q", i, fr.out, fr.status, outs[i])
			}
		}
	})
}

func FuzzTornFramesAreAnError(f *testing.F) {
	f.Add([]byte("x\n"+mark+" 0 0\n"), 1)
	f.Add([]byte("\n"+mark+" 1 0\n"), 1)
	f.Add([]byte("\n"+mark+" \n"), 2)
	f.Fuzz(func(t *testing.T, text []byte, n int) {
		n = min(max(n, 0), 10)
		frames, err := splitFrames(mark, n, text, text)
		if err == nil && len(frames) != n {
			t.Errorf("%d frames of %d and no error", len(frames), n)
		}
	})
}

func FuzzKnownHostsWithoutBadLinesAreReadable(f *testing.F) {
	key := "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPO4NPw2D9nNq1wxMsO1VZuIvAmRnhbjHUQF/OEcTIIL"
	for _, seed := range []string{
		"# comment\nhost " + key + "\n", "|1|bad|bad " + key, "@revoked * " + key, "@unknown * " + key, "a,b,!c " + key + " comment",
		"host ssh-new AAAA\n\nother " + key, "[h]:22 " + key, "||| " + key, "@cert-authority", "*:*,[ " + key, "h:x:y " + key, ",, " + key,
	} {
		f.Add([]byte(seed))
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 4096 {
			return
		}
		// The good line at the end must be found, whatever is before it.
		data = append(data, "\nlast.example "+key+"\n"...)
		path := filepath.Join(dir, "known_hosts")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		db, _, err := readKnownHosts([]string{path}, Options{}.withDefaults())
		if err != nil {
			t.Fatalf("%q: %v", data, err)
		}
		if len(db.HostKeys("last.example:22")) == 0 {
			t.Errorf("%q: the last host is lost", data)
		}
	})
}

func FuzzDropHostLeavesTheOthers(f *testing.F) {
	f.Add("host,other ssh-ed25519 AAAA", "host")
	f.Add("|1|a|b ssh-ed25519 AAAA", "host")
	f.Add("* ssh-rsa AAAA", "host")
	f.Fuzz(func(t *testing.T, line, host string) {
		if strings.ContainsAny(line, "\n\r") {
			return
		}
		before := "first x y\n" + line + "\nlast x y\n"
		after, err := dropHost([]byte(before), []int{2}, host)
		if err == nil && (!bytes.HasPrefix(after, []byte("first x y\n")) || !bytes.HasSuffix(after, []byte("last x y\n"))) {
			t.Errorf("got %q", after)
		}
	})
}

func FuzzSettings(f *testing.F) {
	f.Add("user anna\nport 22\nidentityfile ~/.ssh/a\nidentityfile ~/.ssh/b\nproxyjump a,b\n")
	f.Fuzz(func(t *testing.T, text string) {
		s := parseSettings(text)
		for key, values := range s {
			if key != strings.ToLower(key) || len(values) == 0 {
				t.Errorf("%q: %q", key, values)
			}
		}
		s.jumps()
	})
}

func FuzzSplitAddress(f *testing.F) {
	for _, seed := range []string{"u@h:1", "[::1]:2", "::1", "u@[fe80::1%eth0]", "h", "a@b@c:9"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, word string) {
		_, address, port, err := splitAddress(word)
		if err == nil && (address == "" || address[0] == '-' || port < 0 || port > 65535) {
			t.Errorf("%q: address %q, port %d", word, address, port)
		}
	})
}

func FuzzAnswersOfTheBox(f *testing.F) {
	f.Add("have\n")
	f.Add("part 5\nfree 6\nthere same\n" + strings.Repeat("a", 64) + "  -\n")
	f.Add("LoadState=loaded\nActiveState=active\nSubState=exited\nExecMainStatus=0\n")
	f.Add("1700000000.1\nanna\nid\n")
	f.Fuzz(func(t *testing.T, text string) {
		if p, err := parseProbe(text); err == nil && len(p.hashes) > strings.Count(text, "\n")+1 {
			t.Errorf("%d hashes", len(p.hashes))
		}
		if s, err := parseJobState(text); err == nil && s.active == "" {
			t.Error("a job without a state")
		}
		if parseTaken(text).holder == "" {
			t.Error("a lock without a holder")
		}
	})
}

func TestTalkSeparatesSudoFromTheCommand(t *testing.T) {
	for step := 1; step < 40; step++ {
		talk := newTalk("NONCE", "ask:")
		text := "We trust you have received the usual lecture\nask:\nSorry, try again.\nask:NONCE 4711\nreal error\n"
		for len(text) > 0 {
			n := min(step, len(text))
			if _, err := talk.Write([]byte(text[:n])); err != nil {
				t.Fatal(err)
			}
			text = text[n:]
		}
		pid, ok := talk.began()
		if !ok || pid != "4711" || string(talk.said()) != "real error\n" || len(talk.asked) != 2 || !strings.Contains(talk.sudoSaid(), "Sorry") {
			t.Fatalf("in steps of %d: pid %q, said %q, asked %d, sudo said %q", step, pid, talk.said(), len(talk.asked), talk.sudoSaid())
		}
	}
}
