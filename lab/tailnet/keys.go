package tailnet

import (
	"errors"
	"time"
)

// maxKeyLife is the longest that an auth key may last.
const maxKeyLife = 90 * 24 * time.Hour

// mint makes an auth key; zero life is the longest.
func (st *state) mint(key authKey, life time.Duration, now time.Time) *authKey {
	if life <= 0 || life > maxKeyLife {
		life = maxKeyLife
	}
	key.ID = "k" + randomText(12) + "CNTRL"
	key.Secret = "tskey-auth-" + key.ID + "-" + randomText(32)
	key.Created, key.Expires = now, now.Add(life)
	st.Keys = append(st.Keys, &key)
	return &key
}

// valid returns the key that a node shows, if it still opens.
func (st *state) valid(secret string, now time.Time) (*authKey, error) {
	for _, key := range st.Keys {
		if key.Secret != secret {
			continue
		}
		if !key.opens(now) {
			break
		}
		return key, nil
	}
	// One sentence for all reasons: the real server does not tell either.
	return nil, errors.New("invalid key: API key does not exist, is used up or has expired")
}

func (k *authKey) opens(now time.Time) bool {
	usedUp := !k.Reusable && !k.Used.IsZero()
	return !usedUp && k.Revoked.IsZero() && now.Before(k.Expires)
}
