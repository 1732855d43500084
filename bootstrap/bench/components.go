package bench

// component is one part of the application's release and how its boots are
// measured.
type component struct {
	// name is the chart's label for it.
	name string
	// first and later are its rows; where a first boot is no different there is
	// only later.
	first, later Metric
	// inStep is the row of the moment that comes after serving, if there is one.
	inStep Metric
	rule   Rule
	needs  []string
	// stateful ones keep a volume.
	stateful bool
}

// The observer's name for the moment at which a replica has caught up.
const inStepRule = "in-step"

// components lists those that boot by themselves before those that need them.
func components() []component {
	rule := func(name, container, kind, where string) Rule {
		pod := name
		if name == "app" || name == "worker" {
			// Their pods are named after the release; the container tells.
			pod = ""
		}
		return Rule{Name: name, Pod: pod, Container: container, Kind: kind, Where: where}
	}
	return []component{
		{name: "rabbitmq", first: RabbitMQFirst, later: RabbitMQLater, stateful: true, rule: rule("rabbitmq", "rabbitmq", "amqp", "5672")},
		{name: "redis", first: RedisFirst, later: RedisLater, stateful: true, rule: rule("redis", "redis", "redis", "6379")},
		{name: "mysql-primary", first: PrimaryFirst, later: PrimaryLater, stateful: true, rule: rule("mysql-primary", "mariadb", "mysql", "3306")},
		{
			name: "mysql-replica", first: ReplicaFirst, later: ReplicaLater, inStep: ReplicaInStep, stateful: true,
			rule: rule("mysql-replica", "mariadb", "mysql", "3306"), needs: []string{"mysql-primary"},
		},
		{
			name: "app", first: AppFirst, later: AppBoot, rule: rule("app", "app", "http", "3000/healthz"),
			needs: []string{"mysql-primary", "mysql-replica", "redis", "rabbitmq"},
		},
		// It listens nowhere: it works once it holds its connection to the broker.
		{name: "worker", later: WorkerBoot, rule: rule("worker", "worker", "peer", "5672"), needs: []string{"rabbitmq"}},
	}
}

// rules are what the observer is told, for a release that may lack some.
func rules(of []component) []Rule {
	var out []Rule
	for _, c := range of {
		out = append(out, c.rule)
		if c.inStep != "" {
			out = append(out, Rule{Name: inStepRule, Pod: c.rule.Pod, Container: c.rule.Container, Kind: "file", Where: "/run/mysqld/in-step"})
		}
	}
	return out
}

func (c component) metrics() []Metric {
	var out []Metric
	for _, m := range []Metric{c.first, c.inStep, c.later} {
		if m != "" {
			out = append(out, m)
		}
	}
	return out
}
