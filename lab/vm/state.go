package vm

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Ports are where a box answers on the workstation's loopback interface.
type Ports struct {
	SSH   int `json:"ssh"`
	API   int `json:"api"`   // 6443 on the box's LAN address
	HTTP  int `json:"http"`  // 80 on the box's LAN address
	HTTPS int `json:"https"` // 443 on the box's LAN address
}

// State is what outlives the program that started a box.
type State struct {
	Name    string    `json:"name"`
	Image   string    `json:"image"` // the folder of the image below the disk
	Accel   string    `json:"accel"`
	Ports   Ports     `json:"ports"`
	AlsoAt  []int     `json:"alsoAt,omitempty"` // further ports that lead to its sshd
	Options Options   `json:"options"`
	Started time.Time `json:"started"`
}

const stateFile = "state.json"

// readState returns fs.ErrNotExist for a box that was never up.
func readState(dir string) (State, error) {
	var state State
	content, err := os.ReadFile(filepath.Join(dir, stateFile))
	if err != nil {
		return state, err
	}
	if err := json.Unmarshal(content, &state); err != nil {
		return state, fmt.Errorf("read %s of %s: %w", stateFile, filepath.Base(dir), err)
	}
	return state, nil
}

func writeState(dir string, state State) error {
	content, err := json.MarshalIndent(state, "", "  ")
	if err != nil {
		return fmt.Errorf("write %s: %w", stateFile, err)
	}
	return writeFile(filepath.Join(dir, stateFile), append(content, '\n'), 0o644)
}

// writeFile replaces a file in one step, for others read it at any time.
func writeFile(path string, content []byte, mode fs.FileMode) error {
	temporary, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer os.Remove(temporary.Name())
	_, err = temporary.Write(content)
	err = errors.Join(err, temporary.Chmod(mode), temporary.Close())
	if err == nil {
		err = os.Rename(temporary.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// keepPorts returns the ports of the last time where they are still free, so
// that a box keeps its address, and others where they are not.
func keepPorts(last Ports) (Ports, error) {
	var taken []int
	pick := func(port int) (int, error) {
		for {
			free, err := freePort(port)
			if err != nil {
				return 0, err
			}
			if !slices.Contains(taken, free) {
				taken = append(taken, free)
				return free, nil
			}
			port = 0
		}
	}
	var ports Ports
	for _, p := range []struct {
		last int
		to   *int
	}{{last.SSH, &ports.SSH}, {last.API, &ports.API}, {last.HTTP, &ports.HTTP}, {last.HTTPS, &ports.HTTPS}} {
		port, err := pick(p.last)
		if err != nil {
			return Ports{}, err
		}
		*p.to = port
	}
	return ports, nil
}

// freePort returns wish when nobody listens there, else a free port. Zero
// wishes for nothing.
func freePort(wish int) (int, error) {
	for _, port := range []int{wish, 0} {
		listener, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		defer listener.Close()
		return listener.Addr().(*net.TCPAddr).Port, nil
	}
	return 0, errors.New("find a free port on loopback: none is left")
}
