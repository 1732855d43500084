package addons

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"
)

const traefikFile = "traefik.yaml"

// In k3s Traefik is a Helm chart, and a HelmChartConfig named traefik carries an
// owner's values for it. There is no Helm here; these are the values that are
// understood, and any other is an error rather than silence.
type traefikValues struct {
	AdditionalArguments []string       `json:"additionalArguments,omitempty"`
	Resources           map[string]any `json:"resources,omitempty"`
	Deployment          *struct {
		Replicas *int64 `json:"replicas,omitempty"`
	} `json:"deployment,omitempty"`
	Service *struct {
		Spec map[string]any `json:"spec,omitempty"`
	} `json:"service,omitempty"`
}

type traefikConfig struct {
	text   string
	values traefikValues
}

func (d *Deployer) traefikConfig(ctx context.Context) (traefikConfig, error) {
	configs := schema.GroupVersionResource{Group: "helm.cattle.io", Version: "v1", Resource: "helmchartconfigs"}
	o, err := d.client.Resource(configs).Namespace(metav1.NamespaceSystem).Get(ctx, "traefik", metav1.GetOptions{})
	if apierrors.IsNotFound(err) || meta.IsNoMatchError(err) {
		return traefikConfig{}, nil
	}
	if err != nil {
		return traefikConfig{}, fmt.Errorf("read HelmChartConfig traefik: %w", err)
	}
	text, _, err := unstructured.NestedString(o.Object, "spec", "valuesContent")
	if err != nil {
		return traefikConfig{}, fmt.Errorf("read HelmChartConfig traefik: %w", err)
	}
	return parseTraefik(text)
}

func parseTraefik(text string) (traefikConfig, error) {
	c := traefikConfig{text: text}
	if err := yaml.UnmarshalStrict([]byte(text), &c.values); err != nil {
		return c, fmt.Errorf("HelmChartConfig traefik: the lab's stand-in understands additionalArguments, resources, deployment.replicas and service.spec: %w", err)
	}
	return c, nil
}

// apply puts the values into the packaged objects.
func (c traefikConfig) apply(objects []*unstructured.Unstructured) error {
	for _, o := range objects {
		var err error
		switch o.GetKind() {
		case "Deployment":
			err = c.applyDeployment(o)
		case "Service":
			err = c.applyService(o)
		}
		if err != nil {
			return fmt.Errorf("set Traefik's values: %w", err)
		}
	}
	return nil
}

func (c traefikConfig) applyDeployment(o *unstructured.Unstructured) error {
	path := []string{"spec", "template", "spec", "containers"}
	containers, _, err := unstructured.NestedSlice(o.Object, path...)
	if err != nil || len(containers) == 0 {
		return fmt.Errorf("deployment without containers: %w", err)
	}
	container, ok := containers[0].(map[string]any)
	if !ok {
		return fmt.Errorf("container is %T", containers[0])
	}
	args, _, err := unstructured.NestedStringSlice(container, "args")
	if err != nil {
		return err
	}
	if err := unstructured.SetNestedStringSlice(container, append(args, c.values.AdditionalArguments...), "args"); err != nil {
		return err
	}
	if c.values.Resources != nil {
		container["resources"] = c.values.Resources
	}
	if dep := c.values.Deployment; dep != nil && dep.Replicas != nil {
		if err := unstructured.SetNestedField(o.Object, *dep.Replicas, "spec", "replicas"); err != nil {
			return err
		}
	}
	return unstructured.SetNestedSlice(o.Object, containers, path...)
}

func (c traefikConfig) applyService(o *unstructured.Unstructured) error {
	if c.values.Service == nil {
		return nil
	}
	for k, v := range c.values.Service.Spec {
		if err := unstructured.SetNestedField(o.Object, v, "spec", k); err != nil {
			return err
		}
	}
	return nil
}
