// Package datastore keeps the promise that the cluster's state is kine on a
// SQLite file in k3s's place, opened as k3s opens it: a write-ahead log that is
// whole after a power cut, though the last moments before it may be missing.
package datastore

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/k3s-io/kine/pkg/drivers"
	"github.com/k3s-io/kine/pkg/drivers/sqlite"
	"github.com/k3s-io/kine/pkg/server"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
)

const (
	stopTimeout    = 2 * time.Second
	notifyInterval = 5 * time.Second
	etcdVersion    = "3.6.11" // the API server asks, to know about watch progress
	maxReceive     = 2 << 20
	maxSend        = 1<<31 - 1
)

// Store is a running kine.
type Store struct {
	server *grpc.Server
	cancel context.CancelFunc
	done   chan error
	wg     *sync.WaitGroup
}

// Start opens the database and serves it on a Unix socket.
func Start(database, socket string) (*Store, error) {
	if err := os.MkdirAll(filepath.Dir(database), 0o700); err != nil {
		return nil, fmt.Errorf("make database folder: %w", err)
	}
	// The store outlives the caller's context: it must be the last to stop.
	ctx, cancel := context.WithCancel(context.Background())
	s := &Store{cancel: cancel, done: make(chan error, 1), wg: &sync.WaitGroup{}}
	if err := s.open(ctx, database, socket); err != nil {
		cancel()
		return nil, err
	}
	return s, nil
}

func (s *Store) open(ctx context.Context, database, socket string) error {
	_, backend, err := sqlite.New(ctx, s.wg, &drivers.Config{
		DataSourceName:   database + "?" + sqlite.DefaultParams,
		CompactTimeout:   5 * time.Second,
		CompactMinRetain: 1000,
		CompactBatchSize: 1000,
		PollBatchSize:    500,
	})
	if err != nil {
		return fmt.Errorf("open database: %w", err)
	}
	if err := backend.Start(ctx); err != nil {
		return fmt.Errorf("start database: %w", err)
	}
	l, err := listen(ctx, socket)
	if err != nil {
		return fmt.Errorf("serve database: %w", err)
	}
	s.server = grpc.NewServer(
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second}),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 2 * time.Hour, Timeout: 20 * time.Second}),
		grpc.MaxRecvMsgSize(maxReceive),
		grpc.MaxSendMsgSize(maxSend),
	)
	server.New(backend, "unix", notifyInterval, etcdVersion).Register(s.server)
	go func() { s.done <- s.server.Serve(l) }()
	return nil
}

func listen(ctx context.Context, socket string) (net.Listener, error) {
	// A socket that a killed process left would refuse the new one.
	if err := os.Remove(socket); err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "unix", socket)
	if err != nil {
		return nil, err
	}
	return l, os.Chmod(socket, 0o600)
}

// Done delivers the end of the server.
func (s *Store) Done() <-chan error { return s.done }

// Stop ends the server and closes the database.
func (s *Store) Stop() {
	timer := time.AfterFunc(stopTimeout, s.server.Stop)
	defer timer.Stop()
	s.server.GracefulStop()
	s.cancel()
	s.wg.Wait()
}
