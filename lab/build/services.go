package build

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/omkar619-dev/ssg-bootstrap/lab/build/image"
)

// servicePackages hold everything that the images of the services are made of.
// They are fetched together so that all images have the same C library below.
func servicePackages() []string {
	return []string{
		"bash", "busybox-static", "dash", "gosu", "libc-bin", "tzdata",
		"mariadb-client", "mariadb-server-core", "rabbitmq-server", "redis-server", "redis-tools",
	}
}

// Tags under which the services' images are offered: those that the chart names
// by default, and those that its documentation offers instead. What is inside
// is Debian's version each time.
func mariadbTags() []string { return []string{"11", "11.8"} }

func redisTags() []string { return []string{"7-alpine"} }

func rabbitmqTags() []string {
	return []string{"4.1-alpine", "4-alpine", "4.0-alpine", "4.1-management-alpine", "4-management-alpine", "3.13-management-alpine"}
}

// account is the user that a service's image has beside root. The numbers are
// the published images', not Debian's: volumes on a box are owned by them.
type account struct {
	name     string
	uid, gid int
	home     string
}

func (a account) part() part {
	passwd := fmt.Sprintf("root:x:0:0:root:/root:/bin/sh\n%[1]s:x:%[2]d:%[3]d::%[4]s:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n", a.name, a.uid, a.gid, a.home)
	group := fmt.Sprintf("root:x:0:\n%s:x:%d:\nnogroup:x:65534:\n", a.name, a.gid)
	return part{name: "account-" + a.name, files: []image.File{
		{Path: "/etc/passwd", Mode: 0o644, Data: []byte(passwd)},
		{Path: "/etc/group", Mode: 0o644, Data: []byte(group)},
		{Path: "/etc/nsswitch.conf", Mode: 0o644, Data: []byte("hosts: files dns\n")},
		{Path: "/tmp", Mode: os.ModeDir | os.ModeSticky | 0o777},
		{Path: "/root", Mode: os.ModeDir | 0o700},
	}}
}

// folder of the account's own, as its program expects it at start.
func (a account) folder(path string, mode os.FileMode) image.File {
	return image.File{Path: path, Mode: os.ModeDir | mode, UID: a.uid, GID: a.gid}
}

// planServices lists the images of MariaDB, RabbitMQ and Redis, by the product
// that they go into.
func (b *builder) planServices(ctx context.Context) (map[string][]plannedImage, error) {
	root, err := b.allPackages(ctx, "service-packages", servicePackages())
	if err != nil {
		return nil, err
	}
	base, err := b.planBase(ctx, root)
	if err != nil {
		return nil, fmt.Errorf("plan base: %w", err)
	}
	planned := map[string][]plannedImage{}
	for name, plan := range map[string]func(string, *picker) (service, error){
		"mariadb": b.planMariaDB, "rabbitmq": b.planRabbitMQ, "redis": b.planRedis,
	} {
		made, err := plan(root, base)
		if err != nil {
			return nil, fmt.Errorf("plan %s: %w", name, err)
		}
		planned[name] = made.images("docker.io/library/"+name, base.part("debian"))
	}
	return planned, nil
}

// service is an image before it is known under which names.
type service struct {
	parts  []part
	config v1.Config
	tags   []string
}

func (s service) images(repository string, base part) []plannedImage {
	var all []plannedImage
	for _, tag := range s.tags {
		all = append(all, plannedImage{name: repository + ":" + tag, parts: append([]part{base}, s.parts...), config: s.config})
	}
	return all
}

// planBase picks what all services stand on: the C library, a shell and the
// usual commands.
func (b *builder) planBase(ctx context.Context, root string) (*picker, error) {
	base := newPicker(root, nil)
	libraries := []string{libraryFolder + "libstdc++.so.6", libraryFolder + "libcrypto.so.3", libraryFolder + "libssl.so.3", libraryFolder + "libz.so.1"}
	if err := base.pick(append(libraries, "usr/bin/bash", "usr/lib/locale/C.utf8", "usr/lib64/"+loader, "usr/sbin/gosu")...); err != nil {
		return nil, err
	}
	for _, name := range mergedFolders() {
		base.files["/"+name] = image.File{Path: "/" + name, Link: "usr/" + name}
	}
	for _, name := range []string{"usr/sbin", "run", "proc", "sys", "dev"} {
		base.files["/"+name] = image.File{Path: "/" + name, Mode: os.ModeDir | 0o755}
	}
	program := filepath.Join(root, "usr", "bin", "busybox")
	list, err := output(ctx, "", program, "--list")
	if err != nil {
		return nil, err
	}
	base.files["/usr/bin/busybox"] = image.File{Path: "/usr/bin/busybox", Mode: 0o755, Source: program}
	for applet := range strings.FieldsSeq(list) {
		at := "/usr/bin/" + applet
		if _, have := base.files[at]; !have {
			base.files[at] = image.File{Path: at, Link: "busybox"}
		}
	}
	return base, nil
}

// script is one of our own files for a service's image.
func (b *builder) script(service, name, to string, mode os.FileMode) image.File {
	return image.File{Path: to, Mode: mode, Source: filepath.Join(b.lab, "build", "services", service, name)}
}

func (b *builder) planMariaDB(root string, base *picker) (service, error) {
	p := newPicker(root, base)
	var programs []string
	for _, name := range []string{"mariadb", "mariadb-admin", "mariadb-binlog", "mariadb-check", "mariadb-dump", "mariadb-install-db", "mariadb-tzinfo-to-sql", "mariadb-upgrade", "my_print_defaults", "resolveip"} {
		programs = append(programs, "usr/bin/"+name)
	}
	share := []string{"usr/share/mariadb/*.sql", "usr/share/mariadb/charsets", "usr/share/mariadb/english"}
	if err := p.pick(append(append(programs, share...), "usr/sbin/mariadbd", "usr/share/zoneinfo")...); err != nil {
		return service{}, err
	}
	mysql := account{name: "mysql", uid: 999, gid: 999, home: "/home/mysql"}
	account := mysql.part()
	account.files = append(account.files,
		mysql.folder("/var/lib/mysql", 0o755),
		mysql.folder("/run/mysqld", os.ModeSticky|0o777),
		image.File{Path: "/docker-entrypoint-initdb.d", Mode: os.ModeDir | 0o755},
		image.File{Path: "/etc/mysql/conf.d", Mode: os.ModeDir | 0o755},
		b.script("mariadb", "my.cnf", "/etc/mysql/my.cnf", 0o644),
		b.script("mariadb", "docker-entrypoint.sh", "/usr/local/bin/docker-entrypoint.sh", 0o755),
		b.script("mariadb", "healthcheck.sh", "/usr/local/bin/healthcheck.sh", 0o755),
	)
	return service{
		parts: []part{p.part("mariadb"), account},
		tags:  mariadbTags(),
		config: v1.Config{
			Entrypoint: []string{"docker-entrypoint.sh"}, Cmd: []string{"mariadbd"},
			Env:          append(searchPath(), "LANG=C.UTF-8"),
			ExposedPorts: map[string]struct{}{"3306/tcp": {}},
			Volumes:      map[string]struct{}{"/var/lib/mysql": {}},
		},
	}, nil
}

func (b *builder) planRabbitMQ(root string, base *picker) (service, error) {
	p := newPicker(root, base)
	p.skip = func(name string) bool {
		dir, file := filepath.Split(name)
		source := strings.HasSuffix(dir, "/src/") || strings.HasSuffix(dir, "/include/") || strings.Contains(dir, "/examples/")
		return source || strings.HasPrefix(file, "LICENSE")
	}
	releases, err := filepath.Glob(filepath.Join(root, "usr/lib/rabbitmq/lib/rabbitmq_server-*"))
	if err != nil || len(releases) != 1 {
		return service{}, fmt.Errorf("find the release among %q: %w", releases, err)
	}
	if err := p.pick("usr/lib/erlang", "usr/lib/rabbitmq/lib", "usr/bin/erl", "usr/bin/escript", "usr/bin/epmd"); err != nil {
		return service{}, err
	}
	rabbitmq := account{name: "rabbitmq", uid: 100, gid: 101, home: "/var/lib/rabbitmq"}
	account := rabbitmq.part()
	account.files = append(account.files,
		rabbitmq.folder("/var/lib/rabbitmq", 0o777),
		rabbitmq.folder("/var/log/rabbitmq", 0o777),
		rabbitmq.folder("/etc/rabbitmq", 0o777),
		rabbitmq.folder("/etc/rabbitmq/conf.d", 0o777),
		image.File{Path: "/opt/rabbitmq", Link: strings.TrimPrefix(releases[0], root)},
		b.script("rabbitmq", "10-defaults.conf", "/etc/rabbitmq/conf.d/10-defaults.conf", 0o644),
		b.script("rabbitmq", "enabled_plugins", "/etc/rabbitmq/enabled_plugins", 0o666),
		b.script("rabbitmq", "docker-entrypoint.sh", "/usr/local/bin/docker-entrypoint.sh", 0o755),
	)
	return service{
		parts: []part{p.part("rabbitmq"), account},
		tags:  rabbitmqTags(),
		config: v1.Config{
			Entrypoint: []string{"docker-entrypoint.sh"}, Cmd: []string{"rabbitmq-server"},
			Env: []string{
				"PATH=/opt/rabbitmq/sbin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
				"RABBITMQ_DATA_DIR=/var/lib/rabbitmq", "RABBITMQ_HOME=/opt/rabbitmq", "HOME=/var/lib/rabbitmq",
				"RABBITMQ_LOGS=-", "LANG=C.UTF-8",
			},
			ExposedPorts: map[string]struct{}{"4369/tcp": {}, "5671/tcp": {}, "5672/tcp": {}, "15691/tcp": {}, "15692/tcp": {}, "25672/tcp": {}},
			Volumes:      map[string]struct{}{"/var/lib/rabbitmq": {}},
		},
	}, nil
}

func (b *builder) planRedis(root string, base *picker) (service, error) {
	p := newPicker(root, base)
	if err := p.pick("usr/bin/redis-server", "usr/bin/redis-cli"); err != nil {
		return service{}, err
	}
	redis := account{name: "redis", uid: 999, gid: 1000, home: "/home/redis"}
	account := redis.part()
	account.files = append(account.files,
		redis.folder("/data", 0o755),
		b.script("redis", "docker-entrypoint.sh", "/usr/local/bin/docker-entrypoint.sh", 0o755),
	)
	return service{
		parts: []part{p.part("redis"), account},
		tags:  redisTags(),
		config: v1.Config{
			Entrypoint: []string{"docker-entrypoint.sh"}, Cmd: []string{"redis-server"}, WorkingDir: "/data",
			Env:          searchPath(),
			ExposedPorts: map[string]struct{}{"6379/tcp": {}},
			Volumes:      map[string]struct{}{"/data": {}},
		},
	}, nil
}
