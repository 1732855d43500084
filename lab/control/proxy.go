package control

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
)

// proxied is a connection whose first bytes were read with the proxy's answer.
type proxied struct {
	*net.TCPConn
	rest *bufio.Reader
}

func (p proxied) Read(to []byte) (int, error) { return p.rest.Read(to) }

// DialTailnet connects to a name or address in the tailnet, through the proxy
// that the tailnet names.
func DialTailnet(ctx context.Context, proxy, address string) (net.Conn, error) {
	if proxy == "" {
		return nil, errors.New("the workstation has not joined the tailnet: see tailnet.log beside the box's other files")
	}
	at, err := url.Parse(proxy)
	if err != nil {
		return nil, fmt.Errorf("reach %s: %w", address, err)
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", at.Host)
	if err != nil {
		return nil, fmt.Errorf("reach %s: %w", address, err)
	}
	request := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: address}, Host: address, Header: http.Header{}}
	rest := bufio.NewReader(conn)
	err = request.Write(conn)
	if err == nil {
		var answer *http.Response
		if answer, err = http.ReadResponse(rest, request); err == nil && answer.StatusCode != http.StatusOK {
			said, _ := io.ReadAll(io.LimitReader(answer.Body, 1000))
			err = fmt.Errorf("%s: %s", answer.Status, strings.TrimSpace(string(said)))
		}
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("reach %s: %w", address, err)
	}
	return proxied{conn.(*net.TCPConn), rest}, nil
}
