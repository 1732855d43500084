package profiles

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/goldentest"
)

func TestEveryMistakeIsReportedWithItsPlace(t *testing.T) {
	files, err := filepath.Glob("testdata/invalid/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			_, err = Parse(file, data)
			if fault.CodeOf(err) != fault.ConfigInvalid {
				t.Fatalf("got %v", err)
			}
			goldentest.Equal(t, strings.TrimSuffix(file, ".yaml")+".golden", err.Error()+"\n"+fault.EvidenceOf(err)+"\n")
		})
	}
}
