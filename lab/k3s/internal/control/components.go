package control

import (
	"context"
	"fmt"
	"net/http"

	"github.com/spf13/pflag"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/client-go/rest"
	"k8s.io/component-base/cli/flag"
	"k8s.io/component-base/compatibility"
	"k8s.io/component-base/featuregate"
	logsapi "k8s.io/component-base/logs/api/v1"
	apiserverapp "k8s.io/kubernetes/cmd/kube-apiserver/app"
	apiserveroptions "k8s.io/kubernetes/cmd/kube-apiserver/app/options"
	controllerapp "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	controlleroptions "k8s.io/kubernetes/cmd/kube-controller-manager/app/options"
	schedulerapp "k8s.io/kubernetes/cmd/kube-scheduler/app"
	scheduleroptions "k8s.io/kubernetes/cmd/kube-scheduler/app/options"
)

// The three components are taken apart into options and Run, rather than run as
// the commands they also are: each command claims the process's signal handler,
// and it can be claimed only once. The kubelet has no such parts, so it gets it.

// ShareLogging lets components in one process set up logging each for itself,
// as long as they agree.
func ShareLogging() { logsapi.ReapplyHandling = logsapi.ReapplyHandlingIgnoreUnchanged }

// RunAPIServer runs the API server until the context ends. What before makes of
// its handler is served in its place.
func RunAPIServer(ctx context.Context, args []string, before func(http.Handler) http.Handler) error {
	s := apiserveroptions.NewServerRunOptions()
	if err := parse("kube-apiserver", s.Flags(), args); err != nil {
		return err
	}
	if err := applyGlobals(s.GenericServerRunOptions.ComponentGlobalsRegistry, func(fg featuregate.FeatureGate) error {
		return logsapi.ValidateAndApply(s.Logs, fg)
	}); err != nil {
		return err
	}
	// Its own loopback client would log warnings meant for its callers.
	rest.SetDefaultWarningHandler(rest.NoWarnings{})
	completed, err := s.Complete(ctx)
	if err != nil {
		return err
	}
	if errs := completed.Validate(); len(errs) > 0 {
		return utilerrors.NewAggregate(errs)
	}
	return runAPIServer(ctx, completed, before)
}

// runAPIServer is the command's Run with the handler put in between.
func runAPIServer(ctx context.Context, o apiserveroptions.CompletedOptions, before func(http.Handler) http.Handler) error {
	config, err := apiserverapp.NewConfig(o)
	if err != nil {
		return err
	}
	completed, err := config.Complete()
	if err != nil {
		return err
	}
	server, err := apiserverapp.CreateServerChain(completed)
	if err != nil {
		return err
	}
	prepared, err := server.PrepareRun()
	if err != nil {
		return err
	}
	handler := server.GenericAPIServer.Handler
	handler.FullHandlerChain = before(handler.FullHandlerChain)
	return prepared.Run(ctx)
}

// RunControllerManager runs the controller manager until the context ends.
func RunControllerManager(ctx context.Context, args []string) error {
	s, err := controlleroptions.NewKubeControllerManagerOptions()
	if err != nil {
		return err
	}
	known, off, aliases := controllerapp.KnownControllers(), controllerapp.ControllersDisabledByDefault(), controllerapp.ControllerAliases()
	sets := s.Flags(known, off, aliases)
	s.ParsedFlags = &sets
	if err := parse("kube-controller-manager", sets, args); err != nil {
		return err
	}
	if err := applyGlobals(s.ComponentGlobalsRegistry, func(featuregate.FeatureGate) error {
		return logsapi.ValidateAndApply(s.Logs, utilfeature.DefaultFeatureGate)
	}); err != nil {
		return err
	}
	c, err := s.Config(ctx, known, off, aliases)
	if err != nil {
		return err
	}
	return controllerapp.Run(ctx, c.Complete())
}

// RunScheduler runs the scheduler until the context ends.
func RunScheduler(ctx context.Context, args []string) error {
	s := scheduleroptions.NewOptions()
	if err := parse("kube-scheduler", *s.Flags, args); err != nil {
		return err
	}
	if err := applyGlobals(s.ComponentGlobalsRegistry, func(fg featuregate.FeatureGate) error {
		return logsapi.ValidateAndApply(s.Logs, fg)
	}); err != nil {
		return err
	}
	config, scheduler, err := schedulerapp.Setup(ctx, s)
	if err != nil {
		return err
	}
	return schedulerapp.Run(ctx, config, scheduler)
}

func parse(name string, sets flag.NamedFlagSets, args []string) error {
	fs := pflag.NewFlagSet(name, pflag.ContinueOnError)
	fs.SetNormalizeFunc(flag.WordSepNormalizeFunc)
	fs.Usage = func() {}
	for _, set := range sets.FlagSets {
		fs.AddFlagSet(set)
	}
	if err := fs.Parse(args); err != nil {
		return err
	}
	if rest := fs.Args(); len(rest) > 0 {
		return fmt.Errorf("%q is not a flag", rest[0])
	}
	return nil
}

// applyGlobals puts feature gates into force and then logging, which has gates
// of its own.
func applyGlobals(r compatibility.ComponentGlobalsRegistry, logging func(featuregate.FeatureGate) error) error {
	if err := r.Set(); err != nil {
		return err
	}
	return logging(r.FeatureGateFor("kube"))
}
