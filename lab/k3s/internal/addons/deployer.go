package addons

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
)

const (
	manager    = "deploy@k3s"
	scanEvery  = 15 * time.Second // k3s's own interval
	retryEvery = 3 * time.Second  // after a failure: often only a type that is not served yet
)

// Deployer applies the manifests of one folder.
type Deployer struct {
	Dir     string
	Log     *slog.Logger
	client  dynamic.Interface
	mapper  *restmapper.DeferredDiscoveryRESTMapper
	applied map[string]string // path -> checksum of what was applied
	broken  map[string]string // path -> last error, so that it is logged once
}

// NewDeployer makes a deployer with a client of its own.
func NewDeployer(dir string, config *rest.Config, log *slog.Logger) (*Deployer, error) {
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	disco, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil, err
	}
	return &Deployer{
		Dir: dir, Log: log, client: client,
		mapper:  restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(disco)),
		applied: map[string]string{}, broken: map[string]string{},
	}, nil
}

// Run applies and goes on looking until the context ends. Objects of removed
// components are deleted first.
func (d *Deployer) Run(ctx context.Context, removed []string, v Values) error {
	for _, name := range removed {
		if err := d.remove(ctx, name, v); err != nil {
			return fmt.Errorf("remove component %s: %w", name, err)
		}
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
			next := scanEvery
			if !d.scan(ctx) {
				next = retryEvery
			}
			timer.Reset(next)
		}
	}
}

// scan applies every file that is new or changed; false asks for a soon retry.
func (d *Deployer) scan(ctx context.Context) bool {
	files, err := manifests(d.Dir)
	if err != nil {
		d.Log.Error("Failed to list manifests", "error", err)
		return false
	}
	ok := true
	for _, f := range files {
		if err := d.applyFile(ctx, f); err != nil && ctx.Err() == nil {
			ok = false
			if d.broken[f] != err.Error() {
				d.Log.Error("Failed to process config", "file", f, "error", err)
			}
			d.broken[f] = err.Error()
			continue
		}
		delete(d.broken, f)
	}
	return ok
}

func manifests(dir string) ([]string, error) {
	var files []string
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		switch filepath.Ext(path) {
		case ".yaml", ".yml", ".json":
			if !skipped(path) {
				files = append(files, path)
			}
		}
		return nil
	})
	return files, err
}

func (d *Deployer) applyFile(ctx context.Context, path string) error {
	content, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	objects, err := Decode(content)
	if err != nil {
		return fmt.Errorf("parse: %w", err)
	}
	sum := sha256.New()
	sum.Write(content)
	if filepath.Base(path) == traefikFile {
		config, err := d.traefikConfig(ctx)
		if err != nil {
			return err
		}
		fmt.Fprint(sum, config.text)
		if err := config.apply(objects); err != nil {
			return err
		}
	}
	checksum := hex.EncodeToString(sum.Sum(nil))
	if d.applied[path] == checksum {
		return nil
	}
	for _, o := range objects {
		if err := d.apply(ctx, o); err != nil {
			return fmt.Errorf("apply %s %s: %w", o.GetKind(), o.GetName(), err)
		}
	}
	d.applied[path] = checksum
	d.Log.Info("Applied manifest", "file", path, "objects", len(objects))
	return nil
}

func (d *Deployer) apply(ctx context.Context, o *unstructured.Unstructured) error {
	r, err := d.resource(o)
	if err != nil {
		return err
	}
	_, err = r.Apply(ctx, o.GetName(), o, metav1.ApplyOptions{FieldManager: manager, Force: true})
	return err
}

func (d *Deployer) resource(o *unstructured.Unstructured) (dynamic.ResourceInterface, error) {
	gvk := o.GroupVersionKind()
	mapping, err := d.mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	if meta.IsNoMatchError(err) {
		d.mapper.Reset() // the type may have been defined a moment ago
		mapping, err = d.mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	}
	if err != nil {
		return nil, err
	}
	if mapping.Scope.Name() == meta.RESTScopeNameRoot {
		return d.client.Resource(mapping.Resource), nil
	}
	ns := o.GetNamespace()
	if ns == "" {
		ns = metav1.NamespaceDefault
		o.SetNamespace(ns)
	}
	return d.client.Resource(mapping.Resource).Namespace(ns), nil
}

// remove deletes a packaged component's objects. Types stay: deleting one would
// delete every object that anybody made of it.
func (d *Deployer) remove(ctx context.Context, name string, v Values) error {
	content, err := Render(name, v)
	if err != nil {
		return err
	}
	objects, err := Decode(content)
	if err != nil {
		return err
	}
	for _, o := range objects {
		if o.GetKind() == "CustomResourceDefinition" {
			continue
		}
		r, err := d.resource(o)
		if meta.IsNoMatchError(err) {
			continue
		}
		if err != nil {
			return err
		}
		policy := metav1.DeletePropagationBackground
		err = r.Delete(ctx, o.GetName(), metav1.DeleteOptions{PropagationPolicy: &policy})
		if err != nil && !apierrors.IsNotFound(err) {
			return err
		}
	}
	return nil
}
