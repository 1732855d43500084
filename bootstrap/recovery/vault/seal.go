package vault

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"filippo.io/age"
	"github.com/klauspost/compress/zstd"
)

var (
	errOtherIdentity = errors.New("it was made for another age identity than this computer's")
	errMissing       = errors.New("a piece of it is missing")
	errDamaged       = errors.New("it is damaged: what is on the disk is not what was written")
)

// codec compresses and encrypts. It is safe for concurrent use.
type codec struct {
	pack   *zstd.Encoder
	unpack *zstd.Decoder
}

func newCodec() (codec, error) {
	pack, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return codec{}, fmt.Errorf("set up compression: %w", err)
	}
	// The limit is for damage that makes a length up.
	unpack, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(MostPiece), zstd.WithDecoderLowmem(true))
	if err != nil {
		return codec{}, fmt.Errorf("set up decompression: %w", err)
	}
	return codec{pack, unpack}, nil
}

func (c codec) seal(plain []byte, to []age.Recipient) ([]byte, error) {
	var out bytes.Buffer
	w, err := age.Encrypt(&out, to...)
	if err != nil {
		return nil, fmt.Errorf("encrypt: %w", err)
	}
	_, err = w.Write(c.pack.EncodeAll(plain, nil))
	if err := errors.Join(err, w.Close()); err != nil {
		return nil, fmt.Errorf("encrypt: %w", err)
	}
	return out.Bytes(), nil
}

// unseal is the way back, for at most so many bytes.
func (c codec) unseal(sealed []byte, most int, with []age.Identity) ([]byte, error) {
	if len(with) == 0 {
		return nil, errOtherIdentity
	}
	r, err := age.Decrypt(bytes.NewReader(sealed), with...)
	var other *age.NoIdentityMatchError
	if errors.As(err, &other) {
		return nil, errOtherIdentity
	}
	if err != nil {
		return nil, errDamaged
	}
	packed, err := io.ReadAll(r)
	if err != nil {
		return nil, errDamaged
	}
	plain, err := c.unpack.DecodeAll(packed, nil)
	if err != nil || len(plain) > most {
		return nil, errDamaged
	}
	return plain, nil
}
