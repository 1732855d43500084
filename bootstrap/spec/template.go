package spec

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/spec/strict"
)

// Answers is what `init` asks for. What is empty is left out or shown as a
// comment.
type Answers struct {
	// Name is how the user calls the box.
	Name         string
	Address      string
	Port         int
	User         string
	IdentityFile string
	// HostKey is the SHA256: fingerprint to pin.
	HostKey   string
	Profile   string
	K3sMirror string
}

// Mistakes says what would be refused in a configuration with these answers. A
// name that nobody gave yet is no mistake.
func (a Answers) Mistakes() []string {
	a.Name = cmp.Or(a.Name, "oldpc")
	var c Config
	doc := strict.Decode("", Template(a), &c)
	check(c, doc)
	var out []string
	for _, m := range doc.Mistakes() {
		out = append(out, m.Message)
	}
	return slices.Compact(out)
}

const schemaAddress = "https://raw.githubusercontent.com/omkar619-dev/ssg-bootstrap/main/docs/schema/ssg-bootstrap.schema.json"

// Template writes a first ssg-bootstrap.yaml. It is valid, and says as comments
// what else there is.
func Template(a Answers) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "# yaml-language-server: $schema=%s\n#\n", schemaAddress)
	b.WriteString("# What ssg-bootstrap knows of your boxes. Relative paths start from this folder.\n\n")
	fmt.Fprintf(&b, "hosts:\n  %s:\n", quoted(a.Name))
	line := func(key, value, example, comment string) {
		if comment != "" {
			fmt.Fprintf(&b, "    # %s\n", comment)
		}
		if value == "" {
			fmt.Fprintf(&b, "    # %s: %s\n", key, example)
			return
		}
		fmt.Fprintf(&b, "    %s: %s\n", key, value)
	}
	port := ""
	if a.Port != 0 {
		port = strconv.Itoa(a.Port)
	}
	profile := a.Profile
	if profile == "" {
		profile = Auto
	}
	line("address", quoted(a.Address), "192.168.1.20", "A name, an IP address or an alias of ~/.ssh/config.")
	line("port", port, "22", "")
	line("user", quoted(a.User), "me", "root, or somebody in the sudo group.")
	line("identityFiles", list(a.IdentityFile), "[~/.ssh/id_ed25519]", "")
	line("hostKeys", list(a.HostKey), "[SHA256:…]", "On the box: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub")
	line("jump", "", "[gateway, me@10.0.0.1:2222]", "Hosts to go through, the first hop first.")
	line("profile", quoted(profile), "", "A name from `ssg-bootstrap profiles`, the path of your own, or auto.")
	line("nodeName", "", "oldpc", "")
	line("tlsSANs", "", "[oldpc.example.org]", "Further names under which the API is to be reached.")
	line("join", "", "otherpc", "The host whose cluster this box joins, as an agent without a cluster of its own.")
	fmt.Fprintf(&b, "\ndefaults:\n  # The host when --host is not given.\n  host: %s\n", quoted(a.Name))
	b.WriteString("\n# How the application is deployed. What is left out is the chart's.\n# release:\n#   enabled: true                # false: k3s alone\n#   hostname: ssg.example.org    # the name that the ingress answers to\n#   imageTag: sha-0123abc\n#   values: values.yaml          # further values for the chart\n#   secrets: secrets.values.yaml # passwords that are taken over; others are generated\n")
	b.WriteString("\n# Joins the box to your tailnet; the key comes from TS_AUTHKEY or a question.\n# tailnet:\n#   tags: [tag:homelab]\n")
	b.WriteString("\n# Makes the box a GitHub Actions runner; the token comes from GITHUB_TOKEN.\n# runner:\n#   repository: me/studentsystemgo\n")
	b.WriteString("\n# backup:\n#   folder: /mnt/usb/oldpc      # default: ~/.local/state/ssg-bootstrap/backups\n#   recipients: [age1…]         # who else can read them; see docs/recovery.md\n")
	if a.K3sMirror == "" {
		b.WriteString("\n# mirrors:\n#   k3s: https://mirror.example.org/github\n")
	} else {
		fmt.Fprintf(&b, "\nmirrors:\n  k3s: %s\n", quoted(a.K3sMirror))
	}
	return []byte(b.String())
}

// quoted writes a text so that YAML reads it as that text; "" stays empty.
func quoted(text string) string {
	plain := regexp.MustCompile(`^[A-Za-z~/][A-Za-z0-9._~/:+@=-]*$`).MatchString(text) && !strings.HasSuffix(text, ":")
	word := regexp.MustCompile(`(?i)^(y|n|yes|no|on|off|true|false|null|~)$`).MatchString(text)
	if text == "" || plain && !word {
		return text
	}
	return strconv.Quote(text)
}

func list(text string) string {
	if text == "" {
		return ""
	}
	return "[" + quoted(text) + "]"
}
