package github

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// download is one of the runner's packages as the API offers it.
type download struct {
	OS           string `json:"os"`
	Architecture string `json:"architecture"`
	URL          string `json:"download_url"`
	File         string `json:"filename"`
	SHA256       string `json:"sha256_checksum,omitempty"`
}

// listDownloads offers the package that lies in the mirror's folder, and names
// those for other machines as GitHub does, which nobody fetches here.
func (s *Server) listDownloads(w http.ResponseWriter, r *http.Request, _ string, _ *repository) {
	offered := []download{}
	for _, one := range []download{
		{OS: "osx", Architecture: "x64"}, {OS: "linux", Architecture: "x64"}, {OS: "linux", Architecture: "arm64"}, {OS: "win", Architecture: "x64"},
	} {
		suffix := ".tar.gz"
		if one.OS == "win" {
			suffix = ".zip"
		}
		one.File = fmt.Sprintf("actions-runner-%s-%s-%s%s", one.OS, one.Architecture, RunnerVersion, suffix)
		one.URL = fmt.Sprintf("%s/actions/runner/releases/download/v%s/%s", base(r), RunnerVersion, one.File)
		if one.OS == "linux" && one.Architecture == "x64" {
			sum, err := s.sums.of(RunnerPackage(s.options.Mirror))
			if errors.Is(err, fs.ErrNotExist) {
				continue // not built yet: there is nothing for this machine
			}
			if err != nil {
				refuse(w, http.StatusInternalServerError, "%v", err)
				return
			}
			one.SHA256 = hex.EncodeToString(sum)
			if s.state.CorruptHash {
				sum[len(sum)-1] ^= 0xff
				one.SHA256 = hex.EncodeToString(sum)
			}
		}
		offered = append(offered, one)
	}
	reply(w, http.StatusOK, offered)
}

// RunnerPackage is the path of the lab's runner in a mirror's folder.
func RunnerPackage(mirror string) string {
	return filepath.Join(mirror, "actions", "runner", "releases", "download", "v"+RunnerVersion, "actions-runner-linux-x64-"+RunnerVersion+".tar.gz")
}

// sums remembers the checksum of a file until the file changes.
type sums struct {
	mu    sync.Mutex
	known map[string]summed
}

type summed struct {
	size     int64
	modified time.Time
	sum      [sha256.Size]byte
}

// of returns the file's SHA-256, for the caller to keep.
func (s *sums) of(path string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read the runner's package: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("read the runner's package: %w", err)
	}
	was := s.known[path]
	if was.size != info.Size() || !was.modified.Equal(info.ModTime()) {
		hash := sha256.New()
		if _, err := io.Copy(hash, file); err != nil {
			return nil, fmt.Errorf("read the runner's package: %w", err)
		}
		was = summed{size: info.Size(), modified: info.ModTime(), sum: [sha256.Size]byte(hash.Sum(nil))}
		if s.known == nil {
			s.known = map[string]summed{}
		}
		s.known[path] = was
	}
	return was.sum[:], nil
}
