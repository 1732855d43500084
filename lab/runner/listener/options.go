package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
)

// options are what configure and remove are told.
type options struct {
	unattended, replace, noDefaultLabels, ephemeral, disableUpdate, local bool

	url, token, name, labels, work, group string
}

// inputPrefix begins the variables that stand in for options, so that a token
// need not be on the command line.
const inputPrefix = "ACTIONS_RUNNER_INPUT_"

// parse reads the command line, and for what it lacks the environment.
func (i installation) parse(verb string, args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet(verb, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	texts := map[string]*string{"token": &o.token}
	switches := map[string]*bool{"unattended": &o.unattended, "local": &o.local}
	if verb == "configure" {
		delete(switches, "local")
		for name, at := range map[string]*string{
			"url": &o.url, "name": &o.name, "labels": &o.labels, "work": &o.work, "runnergroup": &o.group,
		} {
			texts[name] = at
		}
		for name, at := range map[string]*bool{
			"replace": &o.replace, "no-default-labels": &o.noDefaultLabels, "ephemeral": &o.ephemeral, "disableupdate": &o.disableUpdate,
		} {
			switches[name] = at
		}
	}
	for name, at := range texts {
		value, _ := i.lookup(variable(name))
		flags.StringVar(at, name, value, "")
	}
	for name, at := range switches {
		value, _ := i.lookup(variable(name))
		flags.BoolVar(at, name, strings.EqualFold(value, "true"), "")
	}
	// A switch takes no value, and a word that belongs to nothing is a mistake.
	if err := flags.Parse(args); err != nil || flags.NArg() > 0 {
		return o, fmt.Errorf("Unrecognized command-line input arguments: %s", strings.Join(args, " "))
	}
	return o, nil
}

func variable(option string) string { return inputPrefix + strings.ToUpper(option) }

// complete fills in what has a default and refuses what has none.
func (o *options) complete() error {
	if !o.unattended {
		return errors.New("the lab's runner asks no questions: give --unattended and all the rest")
	}
	if o.url == "" {
		return errors.New("Invalid configuration provided for url. Terminating unattended configuration.")
	}
	if o.token == "" {
		return errors.New("Invalid configuration provided for token. Terminating unattended configuration.")
	}
	if o.name == "" {
		host, err := os.Hostname()
		if err != nil {
			return fmt.Errorf("find a name: %w", err)
		}
		o.name = host
	}
	if len(o.name) > 64 {
		return errors.New("Invalid configuration provided for name. Terminating unattended configuration.")
	}
	if o.work == "" {
		o.work = "_work"
	}
	if o.group != "" && o.group != defaultGroup {
		return fmt.Errorf("Could not find any self-hosted runner group named %q.", o.group)
	}
	return nil
}

// defaultGroup is the only group that a repository's runners can be in.
const defaultGroup = "Default"

// allLabels are those that the runner gives itself and its owner's.
func (o options) allLabels() []label {
	var all []label
	if !o.noDefaultLabels {
		for _, name := range []string{"self-hosted", "Linux", "X64"} {
			all = append(all, label{Name: name, Type: "system"})
		}
	}
	for name := range strings.SplitSeq(o.labels, ",") {
		if name = strings.TrimSpace(name); name != "" {
			all = append(all, label{Name: name, Type: "user"})
		}
	}
	return all
}
