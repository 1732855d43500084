package images

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
)

// need is the highest processor level that something in an image asks for.
type need struct {
	level int
	why   string
}

// needed lays the layers upon each other and finds what asks for most.
func needed(layers []contents) need {
	programs := map[string]program{}
	var system distribution
	for _, l := range layers {
		for _, gone := range l.Gone {
			maps.DeleteFunc(programs, func(name string, _ program) bool {
				return name == gone || strings.HasPrefix(name, strings.TrimSuffix(gone, "/")+"/")
			})
		}
		maps.Copy(programs, l.Programs)
		if l.Distribution != nil {
			system = *l.Distribution
		}
	}
	n := need{level: 1}
	if level := system.level(); level > 1 {
		n = need{level, fmt.Sprintf("%s is built for x86-64-v%d throughout", cmp.Or(system.Name, system.ID+" "+system.Version), level)}
	}
	for _, name := range slices.Sorted(maps.Keys(programs)) {
		p := programs[name]
		if p.Level <= n.level {
			continue
		}
		n.level = p.Level
		n.why = fmt.Sprintf("/%s needs x86-64-v%d", name, p.Level)
		if p.Go {
			n.why = fmt.Sprintf("/%s was built with GOAMD64=v%d", name, p.Level)
		}
	}
	return n
}

// level is what a distribution's packages are compiled for. Those that are not
// named keep to the first level, as Debian, Ubuntu, Alpine and Fedora do.
func (d distribution) level() int {
	major, _, _ := strings.Cut(d.Version, ".")
	version, err := strconv.Atoi(major)
	if err != nil {
		version = 0
	}
	switch d.ID {
	case "rhel", "centos", "ol", "rocky", "almalinux":
		switch {
		case version >= 10:
			return 3
		case version == 9:
			return 2
		}
	case "amzn":
		if version >= 2023 {
			return 2
		}
	case "opensuse-leap", "sles", "sle-micro":
		if version >= 16 {
			return 2
		}
	case "wolfi", "chainguard":
		return 2
	}
	return 1
}

// refusal is about all images that the processor cannot run, at once.
type refusal struct {
	images []*image
	needs  []need
}

func (r *refusal) add(i *image, n need) {
	r.images, r.needs = append(r.images, i), append(r.needs, n)
}

func (r *refusal) err(level int) error {
	if len(r.images) == 0 {
		return nil
	}
	var says, next []string
	for i, img := range r.images {
		says = append(says, img.ref.name+": "+r.needs[i].why)
		next = append(next, advice(img.ref, r.needs[i]))
	}
	what := r.images[0].ref.name + " would not run on it"
	if n := len(r.images); n > 1 {
		what = fmt.Sprintf("%d images would not run on it", n)
	}
	return &fault.Error{
		Code: fault.ImageUnsuitable, Op: fmt.Sprintf("compare the images with the box's processor, x86-64-v%d", level),
		Err: errors.New(what), Evidence: strings.Join(says, "\n"),
		Next: strings.Join(slices.Compact(next), "; ") + "; nothing was sent",
	}
}

// advice names what to use in the place of an image.
func advice(r reference, n need) string {
	repository, tag, _ := strings.Cut(r.parsed.Context().RepositoryStr()+" "+r.parsed.Identifier(), " ")
	family := regexp.MustCompile(`^(.*)-(ubi|ol|oraclelinux|oracle|rhel|rocky|centos|alma|almalinux)(-?(micro|minimal|init))?[0-9.]*$`)
	switch m := family.FindStringSubmatch(tag); {
	case strings.Contains(n.why, "GOAMD64"):
		return "build " + path.Base(repository) + " with GOAMD64=v1, which is Go's default"
	case repository == "library/mariadb" && m != nil:
		return fmt.Sprintf("use mariadb:%s, which is made of Ubuntu and runs on x86-64-v1", m[1])
	case repository == "library/mysql":
		return "use mariadb:11, which is made of Ubuntu and runs on x86-64-v1"
	case m != nil:
		return fmt.Sprintf("use %s:%s or a tag that ends in -alpine or a Debian release's name", path.Base(repository), m[1])
	case strings.HasPrefix(r.name, "cgr.dev/"):
		return "use the official image of " + path.Base(repository) + ", made of Debian or Alpine"
	}
	if strings.HasSuffix(n.why, fmt.Sprintf("needs x86-64-v%d", n.level)) {
		return "build " + path.Base(repository) + " for x86-64-v1 (-march=x86-64)"
	}
	return "use an image of " + path.Base(repository) + " that is made of Debian, Ubuntu or Alpine"
}
