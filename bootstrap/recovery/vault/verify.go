package vault

import (
	"context"
	"errors"
	"fmt"
)

// Index reads the list of a part's pieces and holds it to what the manifest
// says of it.
func (v *Vault) Index(e Entry, part Part) (Index, error) {
	text, err := v.Get(e, part.Index)
	if err != nil {
		return nil, err
	}
	x, err := DecodeIndex(text)
	if err == nil && (len(x) != part.Pieces || x.Bytes() != part.Bytes) {
		err = fmt.Errorf("the list of the pieces of %s has other sums than the manifest", part.Name)
	}
	if err != nil {
		return nil, v.unreadable(e, err)
	}
	return x, nil
}

// Verify reads a backup back, every byte of it, and proves it. seen is told
// how many bytes of total were read; it may be nil.
func (v *Vault) Verify(ctx context.Context, e Entry, seen func(done, total int64)) (Manifest, error) {
	m, err := v.Manifest(e)
	if err != nil {
		return m, err
	}
	var total, done int64
	for _, part := range m.Parts {
		total += part.Bytes
	}
	proven := map[Sum]bool{}
	for _, part := range m.Parts {
		x, err := v.Index(e, part)
		if err != nil {
			return m, err
		}
		for _, piece := range x {
			if err := interrupted(ctx); err != nil {
				return m, err
			}
			if !proven[piece.Sum] {
				if err := v.prove(e, piece); err != nil {
					return m, err
				}
				proven[piece.Sum] = true
			}
			if done += piece.Size; seen != nil {
				seen(done, total)
			}
		}
	}
	return m, nil
}

func (v *Vault) prove(e Entry, piece Piece) error {
	data, err := v.Get(e, piece.Sum)
	if err == nil && int64(len(data)) != piece.Size {
		err = v.unreadable(e, errors.New("a piece has another length than the list says"))
	}
	return err
}

// ErrRotten says that pieces which earlier runs stored are not what was put.
var ErrRotten = errors.New("pieces that earlier backups stored are damaged on this computer's disk")

// Prove reads back what is about to be committed, every byte of it. Pieces that
// are not what was put count as absent from then on, so that the next run which
// holds their content stores them anew; the error is then ErrRotten.
func (v *Vault) Prove(ctx context.Context, parts []Part, seen func(done, total int64)) error {
	p, err := v.current()
	if err != nil {
		return err
	}
	var total, done int64
	for _, part := range parts {
		total += part.Bytes
	}
	proven, bad := map[Sum]bool{}, 0
	read := func(s Sum) ([]byte, error) {
		proven[s] = true
		data, err := p.get(s, MostPiece)
		if errors.Is(err, errDamaged) || errors.Is(err, errMissing) {
			p.rotten[s], err = true, nil
			bad++
		}
		return data, v.failedOrNil("read the backup back", err)
	}
	for _, part := range parts {
		text, err := read(part.Index)
		if err != nil {
			return err
		}
		// Of a list that is damaged the pieces are not known; the next run tells.
		x, _ := DecodeIndex(text)
		for _, piece := range x {
			if err := interrupted(ctx); err != nil {
				return err
			}
			if !proven[piece.Sum] {
				if _, err := read(piece.Sum); err != nil {
					return err
				}
			}
			if done += piece.Size; seen != nil {
				seen(done, total)
			}
		}
	}
	if bad > 0 {
		return fmt.Errorf("%d of the %w", bad, ErrRotten)
	}
	return nil
}

// Last returns the last piece of a part that was just put.
func (v *Vault) Last(part Part) ([]byte, error) {
	p, err := v.current()
	if err != nil {
		return nil, err
	}
	text, err := p.get(part.Index, MostPiece)
	if err != nil {
		return nil, err
	}
	x, err := DecodeIndex(text)
	if err != nil || len(x) == 0 {
		return nil, err
	}
	return p.get(x[len(x)-1].Sum, MostPiece)
}
