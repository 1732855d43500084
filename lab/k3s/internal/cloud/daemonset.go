package cloud

import (
	"fmt"
	"strconv"
	"strings"

	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	appsapply "k8s.io/client-go/applyconfigurations/apps/v1"
	coreapply "k8s.io/client-go/applyconfigurations/core/v1"
	metaapply "k8s.io/client-go/applyconfigurations/meta/v1"
	servicehelpers "k8s.io/cloud-provider/service/helpers"
)

const (
	image          = "rancher/klipper-lb:v0.4.13"
	accountName    = "svclb"
	nameLabel      = "svccontroller.k3s.cattle.io/svcname"
	namespaceLabel = "svccontroller.k3s.cattle.io/svcnamespace"
	selectorLabel  = "svccontroller.k3s.cattle.io/nodeselector"
)

// daemonSet describes the pods of one service's load balancer.
func daemonSet(namespace string, svc *core.Service) *appsapply.DaemonSetApplyConfiguration {
	name := balancerName(svc)
	podLabels := map[string]string{"app": name, nameLabel: svc.Name, namespaceLabel: svc.Namespace}
	pod := coreapply.PodSpec().
		WithServiceAccountName(accountName).
		WithAutomountServiceAccountToken(false).
		WithPriorityClassName("system-node-critical").
		WithSecurityContext(coreapply.PodSecurityContext().
			WithSysctls(coreapply.Sysctl().WithName("net.ipv4.ip_forward").WithValue("1"))).
		WithTolerations(
			coreapply.Toleration().WithKey("node-role.kubernetes.io/control-plane").WithOperator(core.TolerationOpExists).WithEffect(core.TaintEffectNoSchedule),
			coreapply.Toleration().WithKey("CriticalAddonsOnly").WithOperator(core.TolerationOpExists))
	for _, port := range svc.Spec.Ports {
		pod.WithContainers(container(svc, port))
	}
	return appsapply.DaemonSet(name, namespace).
		WithLabels(map[string]string{selectorLabel: "false", nameLabel: svc.Name, namespaceLabel: svc.Namespace}).
		WithSpec(appsapply.DaemonSetSpec().
			WithSelector(metaapply.LabelSelector().WithMatchLabels(map[string]string{"app": name})).
			WithUpdateStrategy(appsapply.DaemonSetUpdateStrategy().
				WithRollingUpdate(appsapply.RollingUpdateDaemonSet().WithMaxUnavailable(intstr.FromInt32(1)))).
			WithTemplate(coreapply.PodTemplateSpec().WithLabels(podLabels).WithSpec(pod)))
}

func container(svc *core.Service, port core.ServicePort) *coreapply.ContainerApplyConfiguration {
	name := fmt.Sprintf("lb-%s-%d", strings.ToLower(string(port.Protocol)), port.Port)
	return coreapply.Container().
		WithName(name).
		WithImage(image).
		WithImagePullPolicy(core.PullIfNotPresent).
		WithPorts(coreapply.ContainerPort().WithName(name).
			WithContainerPort(port.Port).WithHostPort(port.Port).WithProtocol(port.Protocol)).
		WithEnv(environment(svc, port)...).
		WithSecurityContext(coreapply.SecurityContext().
			WithCapabilities(coreapply.Capabilities().WithAdd("NET_ADMIN")))
}

// environment is the contract with the image. A service that wants to see its
// clients' addresses is reached through its node port on this node, because the
// cluster address would hide them.
func environment(svc *core.Service, port core.ServicePort) []*coreapply.EnvVarApplyConfiguration {
	text := func(name, value string) *coreapply.EnvVarApplyConfiguration {
		return coreapply.EnvVar().WithName(name).WithValue(value)
	}
	env := []*coreapply.EnvVarApplyConfiguration{
		text("SRC_PORT", strconv.Itoa(int(port.Port))),
		text("SRC_RANGES", sourceRanges(svc)),
		text("DEST_PROTO", string(port.Protocol)),
	}
	if servicehelpers.RequestsOnlyLocalTraffic(svc) {
		host := coreapply.EnvVar().WithName("DEST_IPS").WithValueFrom(coreapply.EnvVarSource().
			WithFieldRef(coreapply.ObjectFieldSelector().WithFieldPath("status.hostIPs")))
		return append(env, text("DEST_PORT", strconv.Itoa(int(port.NodePort))), host)
	}
	return append(env,
		text("DEST_PORT", strconv.Itoa(int(port.Port))),
		text("DEST_IPS", strings.Join(svc.Spec.ClusterIPs, ",")))
}

func sourceRanges(svc *core.Service) string {
	ranges, err := servicehelpers.GetLoadBalancerSourceRanges(svc)
	if err != nil {
		// The API server has validated them; without any, everyone may come.
		return "0.0.0.0/0"
	}
	return strings.Join(ranges.StringSlice(), ",")
}
