package secrets

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestNoFormatterRevealsAValue(t *testing.T) {
	v := NewValue("canary-7f3a")
	type holder struct{ V Value }
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "v", v, "h", holder{v})
	js, err := json.Marshal(holder{v})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{
		fmt.Sprint(v), fmt.Sprintf("%v %+v %#v %s %q", v, v, v, v, v),
		fmt.Sprintf("%v %+v %#v", holder{v}, holder{v}, &holder{v}), string(js), log.String(),
	} {
		if strings.Contains(s, "canary") {
			t.Errorf("secret revealed in %q", s)
		}
	}
	if v.Reveal() != "canary-7f3a" {
		t.Error("Reveal lost the secret")
	}
}
