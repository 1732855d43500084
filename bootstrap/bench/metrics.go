package bench

import "slices"

// Metric names what a row measures. The names are those of the profiles'
// documented figures and stay: results of years are compared by them.
type Metric string

// The metrics, in the order of the documented table and then by layer.
const (
	RabbitMQFirst Metric = "rabbitmq-first-boot"
	RabbitMQLater Metric = "rabbitmq-later-boot"
	PrimaryFirst  Metric = "mariadb-primary-first-boot"
	PrimaryLater  Metric = "mariadb-primary-later-boot"
	ReplicaFirst  Metric = "mariadb-replica-first-boot"
	ReplicaInStep Metric = "mariadb-replica-in-step"
	ReplicaLater  Metric = "mariadb-replica-later-boot"
	RedisFirst    Metric = "redis-boot"
	RedisLater    Metric = "redis-later-boot"
	AppFirst      Metric = "app-first-boot"
	AppBoot       Metric = "app-boot"
	WorkerBoot    Metric = "worker-boot"
	ColdDeploy    Metric = "cold-deploy"
	NodeBoot      Metric = "node-boot"
	IdleMemory    Metric = "idle-memory"
	LinkUp        Metric = "network-bandwidth"
	LinkDown      Metric = "network-bandwidth-down"
	LinkLatency   Metric = "network-latency"
	DiskUsed      Metric = "disk-used"
	DiskFsync     Metric = "disk-fsync"
)

// Unit is what a row's figures are counted in.
type Unit string

// The units. Gigabytes are decimal, as in the documented table.
const (
	Seconds      Unit = "s"
	Milliseconds Unit = "ms"
	Gigabytes    Unit = "GB"
	Megabits     Unit = "Mbit/s"
)

// Definition is what is known of a metric before it is measured.
type Definition struct {
	Metric Metric
	Title  string
	// Short is the title where 80 columns must do.
	Short string
	Unit  Unit
	// HigherIsBetter is true of bandwidths alone.
	HigherIsBetter bool
	// Slow metrics are measured once unless the user asks for more: they take
	// minutes each.
	Slow bool
}

// Definitions lists every metric in the order in which rows are shown.
func Definitions() []Definition {
	return []Definition{
		{Metric: RabbitMQFirst, Short: "RabbitMQ, first boot", Title: "RabbitMQ first boot", Unit: Seconds, Slow: true},
		{Metric: RabbitMQLater, Short: "RabbitMQ, later boots", Title: "RabbitMQ subsequent boots (PVC populated)", Unit: Seconds},
		{Metric: PrimaryFirst, Short: "MariaDB, first boot", Title: "MariaDB primary first boot", Unit: Seconds, Slow: true},
		{Metric: PrimaryLater, Short: "MariaDB, later boots", Title: "MariaDB primary subsequent boots", Unit: Seconds},
		{Metric: ReplicaFirst, Short: "Replica, first boot", Title: "MariaDB replica first boot", Unit: Seconds, Slow: true},
		{Metric: ReplicaInStep, Short: "Replica, in step", Title: "MariaDB replica copied and in step", Unit: Seconds, Slow: true},
		{Metric: ReplicaLater, Short: "Replica, later boots", Title: "MariaDB replica subsequent boots", Unit: Seconds},
		{Metric: RedisFirst, Short: "Redis, first boot", Title: "Redis startup", Unit: Seconds},
		{Metric: RedisLater, Short: "Redis, later boots", Title: "Redis startup (PVC populated)", Unit: Seconds},
		{Metric: AppFirst, Short: "App, first boot", Title: "Go app first startup (makes the tables)", Unit: Seconds},
		{Metric: AppBoot, Short: "App, startup", Title: "Go app startup", Unit: Seconds},
		{Metric: WorkerBoot, Short: "Worker, startup", Title: "Go worker startup", Unit: Seconds},
		{Metric: ColdDeploy, Short: "Full cold deploy", Title: "Full cold deploy (all pods, image-cached)", Unit: Seconds, Slow: true},
		{Metric: NodeBoot, Short: "Node boot to Ready", Title: "Node boot, kernel to Ready", Unit: Seconds, Slow: true},
		{Metric: IdleMemory, Short: "Idle memory", Title: "Idle RAM footprint (k3s + the release's pods)", Unit: Gigabytes},
		{Metric: LinkUp, Short: "Bandwidth to box", Title: "Network bandwidth, to the box", Unit: Megabits, HigherIsBetter: true},
		{Metric: LinkDown, Short: "Bandwidth from box", Title: "Network bandwidth, from the box", Unit: Megabits, HigherIsBetter: true},
		{Metric: LinkLatency, Short: "Latency of the link", Title: "Network latency, there and back", Unit: Milliseconds},
		{Metric: DiskUsed, Short: "Disk used", Title: "Disk usage", Unit: Gigabytes},
		{Metric: DiskFsync, Short: "Disk latency, fsync", Title: "Disk latency (fsync)", Unit: Milliseconds},
	}
}

// Define returns what is known of a metric.
func Define(m Metric) (Definition, bool) {
	all := Definitions()
	i := slices.IndexFunc(all, func(d Definition) bool { return d.Metric == m })
	if i < 0 {
		return Definition{}, false
	}
	return all[i], true
}

// MetricNames lists all metrics, for completion and for mistakes.
func MetricNames() []string {
	var out []string
	for _, d := range Definitions() {
		out = append(out, string(d.Metric))
	}
	return out
}
