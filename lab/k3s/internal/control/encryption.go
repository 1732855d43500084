package control

import (
	"crypto/rand"
	"encoding/json"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apiserver "k8s.io/apiserver/pkg/apis/apiserver/v1"

	"encoding/base64"
)

// newEncryptionConfig encrypts secrets with a fresh key and still reads those
// that were stored before, as k3s does when encryption is switched on late.
func newEncryptionConfig() ([]byte, error) {
	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		return nil, err
	}
	return json.Marshal(apiserver.EncryptionConfiguration{
		TypeMeta: metav1.TypeMeta{Kind: "EncryptionConfiguration", APIVersion: "apiserver.config.k8s.io/v1"},
		Resources: []apiserver.ResourceConfiguration{{
			Resources: []string{"secrets"},
			Providers: []apiserver.ProviderConfiguration{
				{AESCBC: &apiserver.AESConfiguration{Keys: []apiserver.Key{{
					Name: "aescbckey", Secret: base64.StdEncoding.EncodeToString(key),
				}}}},
				{Identity: &apiserver.IdentityConfiguration{}},
			},
		}},
	})
}
