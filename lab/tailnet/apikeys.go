package tailnet

import (
	"net/http"
	"slices"
	"time"
)

// keyRequest and keyAnswer are the API's words for auth keys.
type keyRequest struct {
	Capabilities  keyCapabilities `json:"capabilities"`
	ExpirySeconds int64           `json:"expirySeconds"`
	Description   string          `json:"description"`
}

type keyCapabilities struct {
	Devices struct {
		Create struct {
			Reusable      bool     `json:"reusable"`
			Ephemeral     bool     `json:"ephemeral"`
			Preauthorized bool     `json:"preauthorized"`
			Tags          []string `json:"tags"`
		} `json:"create"`
	} `json:"devices"`
}

type keyAnswer struct {
	ID            string          `json:"id"`
	KeyType       string          `json:"keyType"`
	Key           string          `json:"key,omitempty"` // only ever said once
	Description   string          `json:"description,omitempty"`
	ExpirySeconds int64           `json:"expirySeconds"`
	Created       time.Time       `json:"created"`
	Expires       time.Time       `json:"expires"`
	Revoked       *time.Time      `json:"revoked,omitempty"`
	Invalid       bool            `json:"invalid,omitempty"`
	Capabilities  keyCapabilities `json:"capabilities"`
}

func describeKey(key *authKey, now time.Time) keyAnswer {
	answer := keyAnswer{
		ID: key.ID, KeyType: "auth", Description: key.Description, Created: key.Created, Expires: key.Expires,
		ExpirySeconds: int64(key.Expires.Sub(key.Created).Seconds()), Invalid: !key.opens(now),
	}
	if !key.Revoked.IsZero() {
		answer.Revoked = &key.Revoked
	}
	create := &answer.Capabilities.Devices.Create
	create.Reusable, create.Ephemeral, create.Preauthorized, create.Tags = key.Reusable, key.Ephemeral, key.Preauthorized, key.Tags
	return answer
}

func (s *Server) createKey(r *http.Request) (any, error) {
	var request keyRequest
	if err := body(r, &request); err != nil {
		return nil, err
	}
	create := request.Capabilities.Devices.Create
	life := time.Duration(request.ExpirySeconds) * time.Second
	if life < 0 || life > maxKeyLife {
		return nil, refuse(http.StatusBadRequest, "expirySeconds must be between 0 and %d", int(maxKeyLife.Seconds()))
	}
	if len(create.Tags) == 0 {
		return nil, refuse(http.StatusBadRequest, "tags are required for keys that an OAuth client makes")
	}
	var answer keyAnswer
	err := s.change(func(st *state) error {
		if err := st.mayTag(st.Client.Tags, create.Tags); err != nil {
			return refuse(http.StatusBadRequest, "%v", err)
		}
		key := st.mint(authKey{
			Description: request.Description, Tags: create.Tags,
			Reusable: create.Reusable, Ephemeral: create.Ephemeral, Preauthorized: create.Preauthorized,
		}, life, s.now())
		answer = describeKey(key, s.now())
		answer.Key = key.Secret
		return nil
	})
	return answer, err
}

func (s *Server) listKeys(*http.Request) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := []keyAnswer{}
	for _, key := range s.state.Keys {
		if key.opens(s.now()) {
			list = append(list, describeKey(key, s.now()))
		}
	}
	return map[string]any{"keys": list}, nil
}

// keyByID finds a key. The lock is held.
func (s *Server) keyByID(id string) (*authKey, error) {
	i := slices.IndexFunc(s.state.Keys, func(key *authKey) bool { return key.ID == id })
	if i < 0 {
		return nil, refuse(http.StatusNotFound, "key not found")
	}
	return s.state.Keys[i], nil
}

func (s *Server) getKey(r *http.Request) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key, err := s.keyByID(r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	return describeKey(key, s.now()), nil
}

func (s *Server) deleteKey(r *http.Request) (any, error) {
	return nil, s.change(func(*state) error {
		key, err := s.keyByID(r.PathValue("id"))
		if err == nil {
			key.Revoked = s.now()
		}
		return err
	})
}
