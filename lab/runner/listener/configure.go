package main

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"math/big"
	"os"
)

// keyBits is the size of the runner's key.
const keyBits = 2048

// configure registers the runner and writes its files.
func (i installation) configure(ctx context.Context, args []string) error {
	if i.has(settingsFile) {
		return errors.New("Cannot configure the runner because it is already configured. To reconfigure the runner, run './config.sh remove' first.")
	}
	o, err := i.parse("configure", args)
	if err != nil {
		return err
	}
	if err := o.complete(); err != nil {
		return err
	}
	service, err := newClient().exchange(ctx, o.url, o.token, "register")
	if err != nil {
		return err
	}
	i.say("Connected to GitHub")
	asked := agent{Name: o.name, Version: version, Labels: o.allLabels(), Ephemeral: o.ephemeral, DisableUpdate: o.disableUpdate}
	existing, taken, err := service.find(ctx, o.name)
	if err != nil {
		return err
	}
	if taken && !o.replace {
		return fmt.Errorf("A runner exists with the same name\nA runner with the name %s already exists in the pool: give --replace to take it over.", o.name)
	}
	asked.ID = existing.ID
	made, err := i.enrol(ctx, service, asked)
	if err != nil {
		return err
	}
	if taken {
		i.say("Successfully replaced the runner")
	} else {
		i.say("Runner successfully added")
	}
	if err := os.MkdirAll(i.file(o.work), 0o755); err != nil {
		return fmt.Errorf("make work folder: %w", err)
	}
	kept := settings{
		AgentID: made.ID, AgentName: made.Name, PoolID: 1, PoolName: defaultGroup, Ephemeral: o.ephemeral,
		DisableUpdate: o.disableUpdate, ServerURL: service.url, GitHubURL: o.url, WorkFolder: o.work,
	}
	if err := i.write(settingsFile, kept, 0o644); err != nil {
		return err
	}
	i.say("Settings Saved.")
	return i.writeServiceScript(kept)
}

// enrol makes the key and hands its public half to the service.
func (i installation) enrol(ctx context.Context, s service, asked agent) (agent, error) {
	key, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		return agent{}, fmt.Errorf("make key: %w", err)
	}
	if err := i.write(keyFile, parametersOf(key), 0o600); err != nil {
		return agent{}, err
	}
	asked.Authorization = authorization{Key: publicKey{Exponent: big.NewInt(int64(key.E)).Bytes(), Modulus: key.N.Bytes()}}
	made, err := s.enrol(ctx, asked)
	if err != nil {
		return agent{}, errors.Join(err, i.delete(keyFile))
	}
	login := credentials{Scheme: "OAuth"}
	login.Data.ClientID, login.Data.AuthorizationURL = made.Authorization.ClientID, made.Authorization.URL
	return made, i.write(credentialsFile, login, 0o644)
}

// remove takes the runner from GitHub's list and deletes its files, or only the
// files when it is told so.
func (i installation) remove(ctx context.Context, args []string) error {
	o, err := i.parse("remove", args)
	if err != nil {
		return err
	}
	if !o.local {
		if i.has(serviceFile) {
			return errors.New("Uninstall service first")
		}
		if err := i.unregister(ctx, o.token); err != nil {
			return err
		}
	}
	if err := i.delete(credentialsFile, keyFile, settingsFile); err != nil {
		return err
	}
	i.say("Removed .credentials and .runner")
	return nil
}

func (i installation) unregister(ctx context.Context, token string) error {
	var kept settings
	if err := i.read(settingsFile, &kept); err != nil {
		return fmt.Errorf("Cannot remove the runner: it is not configured: %w", err)
	}
	if token == "" {
		return errors.New("Invalid configuration provided for token. Terminating unattended configuration.")
	}
	service, err := newClient().exchange(ctx, kept.GitHubURL, token, "remove")
	if err != nil {
		return err
	}
	found, there, err := service.find(ctx, kept.AgentName)
	if err != nil {
		return err
	}
	if !there {
		i.say("Does not exist. Skipping Removing runner from the server")
		return nil
	}
	if err := service.remove(ctx, found.ID); err != nil {
		return err
	}
	i.say("Runner removed successfully")
	return nil
}
