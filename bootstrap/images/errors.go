package images

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/omkar619-dev/ssg-bootstrap/bootstrap/fault"
)

// registryError says what a registry's refusal means, and what to do.
func registryError(r reference, at name.Reference, err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	host := at.Context().RegistryStr()
	var refused *transport.Error
	if errors.As(err, &refused) {
		switch refused.StatusCode {
		case http.StatusNotFound:
			return unknownImage(r, fmt.Errorf("%s has no such image", host), nil)
		case http.StatusUnauthorized, http.StatusForbidden:
			return &fault.Error{
				Code: fault.RegistryRefused, Op: "find " + r.name, Err: fmt.Errorf("%s does not let us read it, or there is no such image", host),
				Evidence: refused.Error(),
				Next:     "check the name; if the image is private, `docker login " + host + "` on this computer, then run the same command again",
			}
		case http.StatusTooManyRequests:
			return &fault.Error{
				Code: fault.FetchFailed, Op: "fetch " + r.name, Err: fmt.Errorf("%s limits how much may be fetched", host), Evidence: refused.Error(),
				Next: "wait an hour, or `docker login " + host + "` for a higher limit; what was fetched is kept",
			}
		}
	}
	if strings.Contains(err.Error(), "does not match requested digest") || strings.Contains(err.Error(), "error verifying sha256 checksum") {
		return wrongDigest(r, err)
	}
	return &fault.Error{
		Code: fault.FetchFailed, Op: "fetch " + r.name, Err: fmt.Errorf("%s does not answer as a registry does", host), Evidence: err.Error(),
		Next: "check this computer's network and run the same command again; or take the images from a folder: `ssg-bootstrap images import --from oci:FOLDER`",
	}
}

// unknownImage is an image that its source does not have; has names what it
// has instead, if that is known.
func unknownImage(r reference, err error, has []string) error {
	slices.Sort(has)
	next := "check the image's name and tag"
	if _, exact := r.parsed.(name.Digest); exact {
		next = "check the digest: the registry may have removed what nobody tags any more"
	}
	return &fault.Error{Code: fault.ImageUnknown, Op: "find " + r.name, Err: err, Evidence: strings.Join(has, "\n"), Next: next}
}

func wrongDigest(r reference, err error) error {
	return &fault.Error{
		Code: fault.DigestMismatch, Op: "fetch " + r.name, Err: errors.New("what came is not what its digest says; it was thrown away"),
		Evidence: err.Error(),
		Next:     "run it again; if it persists, the registry or the mirror is damaged: try another",
	}
}
