// Package photo checks what signed links to pictures need. It promises that the
// server does not start without a key that can sign, whether or not anybody
// ever asks for a picture.
package photo

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"

	"github.com/omkar619-dev/ssg-bootstrap/lab/app/internal/settings"
)

// Check fails unless all settings are there and the key is an RSA key.
func Check(photos settings.Photos) error {
	for name, value := range map[string]string{
		"S3_BUCKET": photos.Bucket, "S3_REGION": photos.Region, "CF_DOMAIN": photos.Domain,
		"CF_KEY_PAIR_ID": photos.KeyPairID, "CF_PRIVATE_KEY_PATH": photos.KeyPath,
	} {
		if value == "" {
			return fmt.Errorf("%s is not set", name)
		}
	}
	content, err := os.ReadFile(photos.KeyPath)
	if err != nil {
		return fmt.Errorf("read CloudFront key: %w", err)
	}
	if _, err := parse(content); err != nil {
		return fmt.Errorf("read CloudFront key %s: %w", photos.KeyPath, err)
	}
	return nil
}

func parse(content []byte) (*rsa.PrivateKey, error) {
	block, _ := pem.Decode(content)
	if block == nil {
		return nil, errors.New("no PEM block in it")
	}
	if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	key, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("a %T, not an RSA key", parsed)
	}
	return key, nil
}
