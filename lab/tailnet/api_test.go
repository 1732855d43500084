package tailnet

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"tailscale.com/client/tailscale/v2"
)

func keyFor(tags ...string) tailscale.CreateKeyRequest {
	request := tailscale.CreateKeyRequest{ExpirySeconds: 600, Description: "ssg-bootstrap oldpc"}
	create := &request.Capabilities.Devices.Create
	create.Preauthorized, create.Tags = true, tags
	return request
}

// isRefused fails the test unless the API answered with that status and words.
func isRefused(t *testing.T, what string, err error, status int, words string) {
	t.Helper()
	said, ok := err.(tailscale.APIError)
	if !ok || said.Status != status || !strings.Contains(said.Message, words) {
		t.Errorf("%s: %v (%+v), want %d %q", what, err, said, status, words)
	}
}

func TestAClientMakesKeysThatOpenOnce(t *testing.T) {
	s, _ := start(t, disk(t))
	api := client(s)
	key, err := api.Keys().CreateAuthKey(t.Context(), keyFor(HomelabTag))
	if err != nil {
		t.Fatal(err)
	}
	if left := time.Until(key.Expires); left > 10*time.Minute || left < 9*time.Minute {
		t.Errorf("it lasts for %s", left)
	}
	is := mustUp(t, box(t, s, disk(t), "oldpc", key.Key))
	if is.Self.Tags == nil || !slices.Contains(is.Self.Tags.AsSlice(), HomelabTag) {
		t.Errorf("a node that asks for no tags has %v, not the key's", is.Self.Tags)
	}
	if _, err := up(t, box(t, s, disk(t), "second", key.Key)); err == nil {
		t.Error("the key opens twice")
	}
	again, err := api.Keys().Get(t.Context(), key.ID)
	if err != nil || !again.Invalid || again.Key != "" {
		t.Errorf("afterwards the API says %+v, %v", again, err)
	}
	other, err := api.Keys().CreateAuthKey(t.Context(), keyFor(HomelabTag))
	if err != nil {
		t.Fatal(err)
	}
	if err := api.Keys().Delete(t.Context(), other.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := up(t, box(t, s, disk(t), "third", other.Key)); err == nil {
		t.Error("a key that was taken back opens")
	}
}

func TestWhatTheAPIRefuses(t *testing.T) {
	s, _ := start(t, disk(t))
	_, err := client(s).Keys().CreateAuthKey(t.Context(), keyFor())
	isRefused(t, "a key without tags", err, http.StatusBadRequest, "tags are required")
	_, err = client(s).Keys().CreateAuthKey(t.Context(), keyFor(OtherTag))
	isRefused(t, "another tag", err, http.StatusBadRequest, "requested tags [tag:other] are invalid or not permitted")
	isRefused(t, "a device that is not", client(s).Devices().Delete(t.Context(), "n000009CNTRL"), http.StatusNotFound, "no manageable device")

	stranger := client(s)
	stranger.Auth = &tailscale.OAuth{ClientID: s.state.Client.ID, ClientSecret: "tskey-client-wrong"}
	if _, err := stranger.Devices().List(t.Context()); err == nil || !strings.Contains(err.Error(), "401") {
		t.Errorf("a wrong secret: %v", err)
	}
	stranger = client(s)
	stranger.Auth, stranger.APIKey = nil, "tskey-api-wrong"
	_, err = stranger.Devices().List(t.Context())
	isRefused(t, "a wrong token", err, http.StatusUnauthorized, "API token invalid")

	known := client(s)
	if _, err := known.Devices().List(t.Context()); err != nil {
		t.Fatal(err)
	}
	turn(t, s, "fault", "429", "2")
	for range 2 {
		_, err = known.Devices().List(t.Context())
		isRefused(t, "a fault that was asked for", err, http.StatusTooManyRequests, "Too Many Requests")
	}
	if _, err := known.Devices().List(t.Context()); err != nil {
		t.Errorf("after the faults: %v", err)
	}
	turn(t, s, "scopes", scopeKeys)
	_, err = client(s).Devices().List(t.Context())
	isRefused(t, "without the scope", err, http.StatusForbidden, "does not have enough permissions")
}

func TestDevicesAreChangedThroughTheAPI(t *testing.T) {
	s, _ := start(t, disk(t))
	turn(t, s, "hold-name", "oldpc", "dead")
	turn(t, s, "hold-name", "second")
	devices, id := client(s).Devices(), found(t, s, "oldpc").NodeID
	for what, err := range map[string]error{
		"ip":   devices.SetIPv4Address(t.Context(), id, "100.64.9.9"),
		"key":  devices.SetKey(t.Context(), id, tailscale.DeviceKey{KeyExpiryDisabled: false}),
		"name": devices.SetName(t.Context(), id, "newpc"),
		"tags": devices.SetTags(t.Context(), id, []string{HomelabTag}),
	} {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	if got := found(t, s, "newpc"); got.Addresses[0] != "100.64.9.9" || got.KeyExpiryDisabled || got.Expires.Before(time.Now()) {
		t.Errorf("now it is %+v", got)
	}
	isRefused(t, "a name that is taken", devices.SetName(t.Context(), id, "second"), http.StatusBadRequest, "in use")
	isRefused(t, "an address elsewhere", devices.SetIPv4Address(t.Context(), id, "10.0.0.1"), http.StatusBadRequest, "not an address of a tailnet")
	isRefused(t, "another's address", devices.SetIPv4Address(t.Context(), id, found(t, s, "second").Addresses[0]), http.StatusBadRequest, "in use")
	isRefused(t, "another tag", devices.SetTags(t.Context(), id, []string{OtherTag}), http.StatusBadRequest, "not permitted")
}

func TestThePolicySaysWhoMayTag(t *testing.T) {
	s, _ := start(t, disk(t))
	policy := client(s).PolicyFile()
	raw, err := policy.Raw(t.Context())
	if err != nil || !strings.Contains(raw.HuJSON, "// The lab's tailnet.") || raw.ETag == "" {
		t.Fatalf("the policy is %+v, %v", raw, err)
	}
	fresh := strings.Replace(raw.HuJSON, `"tag:other": ["autogroup:admin"]`, `"tag:other": ["tag:homelab"]`, 1)
	if err := policy.Validate(t.Context(), fresh); err != nil {
		t.Errorf("validate: %v", err)
	}
	if err := policy.Validate(t.Context(), "{"); err == nil {
		t.Error("nonsense is valid")
	}
	if err := policy.Set(t.Context(), fresh, raw.ETag); err != nil {
		t.Fatal(err)
	}
	isRefused(t, "over what was changed meanwhile", policy.Set(t.Context(), fresh, raw.ETag), http.StatusPreconditionFailed, "precondition failed")
	if _, err := client(s).Keys().CreateAuthKey(t.Context(), keyFor(OtherTag)); err != nil {
		t.Errorf("a tag that the client's tag owns: %v", err)
	}
}

// Reading changes nothing; joining, minting and deleting do, and no secret is
// in what is noted.
func TestTheBookTellsReadsFromWrites(t *testing.T) {
	s, _ := start(t, disk(t))
	api := client(s)
	key, err := api.Keys().CreateAuthKey(t.Context(), keyFor(HomelabTag))
	if err != nil {
		t.Fatal(err)
	}
	mustUp(t, box(t, s, disk(t), "oldpc", key.Key))
	if _, err := api.Devices().List(t.Context()); err != nil {
		t.Fatal(err)
	}
	var wrote []string
	for _, e := range s.book.since(0) {
		if e.Write {
			wrote = append(wrote, e.Method+" "+e.Path)
		}
		if strings.Contains(e.Note+e.Path, "tskey") {
			t.Errorf("a secret is in %+v", e)
		}
	}
	if want := []string{"POST /api/v2/tailnet/-/keys", "POST /machine/register"}; !slices.Equal(wrote, want) {
		t.Errorf("writes are %v, want %v", wrote, want)
	}
}
