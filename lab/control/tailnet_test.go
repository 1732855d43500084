package control_test

import (
	"encoding/json"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/omkar619-dev/ssg-bootstrap/lab/control"
)

// TestMain is also the tailnet's program: what the server starts is this test.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "--dir" {
		standIn(os.Args[2])
	}
	os.Exit(m.Run())
}

// standIn answers as the tailnet does, and ends when it is told to die.
func standIn(dir string) {
	path := filepath.Join(dir, control.TailnetSocket)
	_ = os.Remove(path)
	listener, err := net.Listen("unix", path)
	if err != nil {
		os.Exit(1)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /info", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(control.TailnetInfo{PID: os.Getpid(), API: "http://127.0.0.1:1"})
	})
	mux.HandleFunc("POST /turn", func(w http.ResponseWriter, r *http.Request) {
		switch verb := r.FormValue("verb"); verb {
		case "die":
			os.Exit(3)
		case "refuse":
			http.Error(w, "I will not", http.StatusBadRequest)
		default:
			_ = json.NewEncoder(w).Encode(append([]string{verb}, r.PostForm["arg"]...))
		}
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	_ = server.Serve(listener)
	os.Exit(1)
}

func TestTheTailnetRunsBesideTheLink(t *testing.T) {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	config := control.Config{Socket: socket(t), Target: "127.0.0.1:1", Mirror: t.TempDir()}
	config.Tailnet = control.Tailnet{Program: program, Dir: filepath.Dir(config.Socket)}
	client, info, ended := start(t, config)
	if info.Tailnet.API != "http://127.0.0.1:1" || info.Tailnet.PID == os.Getpid() {
		t.Fatalf("the tailnet is %+v", info.Tailnet)
	}
	tailnet := control.Dial(filepath.Join(config.Tailnet.Dir, control.TailnetSocket))
	if said, err := tailnet.TurnTailnet(t.Context(), "hold-name", "oldpc", "dead"); err != nil || strings.TrimSpace(string(said)) != `["hold-name","oldpc","dead"]` {
		t.Errorf("hold-name: %s, %v", said, err)
	}
	if _, err := tailnet.TurnTailnet(t.Context(), "refuse"); err == nil || err.Error() != "I will not" {
		t.Errorf("what it refuses: %v", err)
	}
	_, _ = tailnet.TurnTailnet(t.Context(), "die") // it cannot answer that
	first, tick := info.Tailnet.PID, time.NewTicker(20*time.Millisecond)
	defer tick.Stop()
	for info.Tailnet.PID == first || info.Tailnet.PID == 0 {
		<-tick.C
		if info, err = client.Info(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := client.Quit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("serve: %v", err)
	}
	if _, err := tailnet.TailnetInfo(t.Context()); err == nil {
		t.Error("the tailnet outlives the server")
	}
}

func TestATailnetThatDoesNotStartIsReported(t *testing.T) {
	config := control.Config{Socket: socket(t), Target: "127.0.0.1:1", Mirror: t.TempDir()}
	config.Tailnet = control.Tailnet{Program: filepath.Join(t.TempDir(), "nothing"), Dir: filepath.Dir(config.Socket)}
	if err := control.Serve(t.Context(), config); err == nil || !strings.Contains(err.Error(), "start the tailnet") {
		t.Errorf("serve: %v", err)
	}
}
