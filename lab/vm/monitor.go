package vm

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"time"
)

// command gives the running emulator one order and returns when it is carried out.
func (m machine) command(ctx context.Context, name string, arguments any) error {
	if err := command(ctx, m.monitor(), name, arguments); err != nil {
		return fmt.Errorf("tell %s to %s: %w", m.options.Name, name, err)
	}
	return nil
}

// command speaks QMP: a greeting, a request to leave the negotiation, then the
// order itself; events come in between.
func command(ctx context.Context, socket, name string, arguments any) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "unix", socket)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Now()) })()
	replies := json.NewDecoder(conn)
	var greeting struct{ QMP json.RawMessage }
	if err := replies.Decode(&greeting); err != nil {
		return fmt.Errorf("read greeting: %w", err)
	}
	if err := order(conn, replies, "qmp_capabilities", nil); err != nil {
		return err
	}
	return order(conn, replies, name, arguments)
}

func order(conn net.Conn, replies *json.Decoder, name string, arguments any) error {
	request := map[string]any{"execute": name}
	if arguments != nil {
		request["arguments"] = arguments
	}
	if err := json.NewEncoder(conn).Encode(request); err != nil {
		return fmt.Errorf("send: %w", err)
	}
	for {
		var reply struct {
			Return json.RawMessage `json:"return"`
			Error  *struct {
				Desc string `json:"desc"`
			} `json:"error"`
		}
		if err := replies.Decode(&reply); err != nil {
			return fmt.Errorf("read reply: %w", err)
		}
		switch {
		case reply.Error != nil:
			return fmt.Errorf("refused: %s", reply.Error.Desc)
		case reply.Return != nil:
			return nil
		}
	}
}
