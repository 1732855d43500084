package addons

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
)

// Decode reads the objects of one file, lists taken apart, in the order in which
// they can be created.
func Decode(content []byte) ([]*unstructured.Unstructured, error) {
	d := utilyaml.NewYAMLOrJSONDecoder(bytes.NewReader(content), 4096)
	var all []*unstructured.Unstructured
	for {
		o := &unstructured.Unstructured{}
		err := d.Decode(&o.Object)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if len(o.Object) == 0 {
			continue // a document of comments
		}
		if o.GetKind() == "" || o.GetAPIVersion() == "" {
			return nil, errors.New("an object lacks kind or apiVersion")
		}
		if err := flatten(o, &all); err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(all, func(a, b *unstructured.Unstructured) int { return rank(a) - rank(b) })
	return all, nil
}

func flatten(o *unstructured.Unstructured, all *[]*unstructured.Unstructured) error {
	if !o.IsList() {
		if o.GetName() == "" {
			return fmt.Errorf("%s has no name", o.GetKind())
		}
		*all = append(*all, o)
		return nil
	}
	list, err := o.ToList()
	if err != nil {
		return err
	}
	for i := range list.Items {
		if err := flatten(&list.Items[i], all); err != nil {
			return err
		}
	}
	return nil
}

// rank puts first what others need to exist.
func rank(o *unstructured.Unstructured) int {
	switch o.GetKind() {
	case "Namespace", "CustomResourceDefinition":
		return 0
	case "ServiceAccount", "ClusterRole", "Role", "ClusterRoleBinding", "RoleBinding", "ConfigMap", "Secret":
		return 1
	}
	return 2
}
