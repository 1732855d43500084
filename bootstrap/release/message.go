package release

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// message is one message as it is kept. Headers keep their types, which AMQP
// tells apart and JSON does not.
type message struct {
	Queue           string           `json:"queue"`
	ContentType     string           `json:"contentType,omitempty"`
	ContentEncoding string           `json:"contentEncoding,omitempty"`
	Priority        uint8            `json:"priority,omitempty"`
	CorrelationID   string           `json:"correlationId,omitempty"`
	ReplyTo         string           `json:"replyTo,omitempty"`
	Expiration      string           `json:"expiration,omitempty"`
	MessageID       string           `json:"messageId,omitempty"`
	Timestamp       time.Time        `json:"timestamp,omitzero"`
	Type            string           `json:"type,omitempty"`
	AppID           string           `json:"appId,omitempty"`
	Headers         map[string]typed `json:"headers,omitempty"`
	Body            []byte           `json:"body"`
}

// typed is one value of a header with its type.
type typed struct {
	Type  string           `json:"t"`
	Value json.RawMessage  `json:"v,omitempty"`
	Table map[string]typed `json:"table,omitempty"`
	List  []typed          `json:"list,omitempty"`
}

// encodeMessage writes a message on a line. Who sent it is left out: the broker
// takes a sender's name only from that sender.
func encodeMessage(queue string, m amqp.Delivery) ([]byte, error) {
	headers, err := encodeTable(m.Headers)
	if err != nil {
		return nil, err
	}
	line, err := json.Marshal(message{
		Queue: queue, ContentType: m.ContentType, ContentEncoding: m.ContentEncoding, Priority: m.Priority,
		CorrelationID: m.CorrelationId, ReplyTo: m.ReplyTo, Expiration: m.Expiration, MessageID: m.MessageId,
		Timestamp: m.Timestamp, Type: m.Type, AppID: m.AppId, Headers: headers, Body: m.Body,
	})
	if err != nil {
		return nil, fmt.Errorf("write a message: %w", err)
	}
	return append(line, '\n'), nil
}

func decodeMessage(line []byte) (string, amqp.Publishing, error) {
	var m message
	if err := json.Unmarshal(line, &m); err != nil || m.Queue == "" {
		return "", amqp.Publishing{}, errors.New("a message in the backup cannot be read")
	}
	headers, err := decodeTable(m.Headers)
	return m.Queue, amqp.Publishing{
		ContentType: m.ContentType, ContentEncoding: m.ContentEncoding, DeliveryMode: amqp.Persistent, Priority: m.Priority,
		CorrelationId: m.CorrelationID, ReplyTo: m.ReplyTo, Expiration: m.Expiration, MessageId: m.MessageID,
		Timestamp: m.Timestamp, Type: m.Type, AppId: m.AppID, Headers: headers, Body: m.Body,
	}, err
}

func encodeTable(t amqp.Table) (map[string]typed, error) {
	if len(t) == 0 {
		return nil, nil
	}
	out := map[string]typed{}
	for k, v := range t {
		e, err := encodeValue(v)
		if err != nil {
			return nil, err
		}
		out[k] = e
	}
	return out, nil
}

func encodeValue(v any) (typed, error) {
	switch v := v.(type) {
	case amqp.Table:
		t, err := encodeTable(v)
		return typed{Type: "table", Table: t}, err
	case []any:
		out := typed{Type: "list"}
		for _, item := range v {
			e, err := encodeValue(item)
			if err != nil {
				return out, err
			}
			out.List = append(out.List, e)
		}
		return out, nil
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return typed{}, fmt.Errorf("write a header: %w", err)
	}
	return typed{Type: fmt.Sprintf("%T", v), Value: raw}, nil
}

func decodeTable(t map[string]typed) (amqp.Table, error) {
	if len(t) == 0 {
		return nil, nil
	}
	out := amqp.Table{}
	for k, v := range t {
		d, err := decodeValue(v)
		if err != nil {
			return nil, err
		}
		out[k] = d
	}
	return out, nil
}

func decodeValue(t typed) (any, error) {
	switch t.Type {
	case "table":
		v, err := decodeTable(t.Table)
		if v == nil {
			v = amqp.Table{}
		}
		return v, err
	case "list":
		out := []any{}
		for _, item := range t.List {
			v, err := decodeValue(item)
			if err != nil {
				return nil, err
			}
			out = append(out, v)
		}
		return out, nil
	case "<nil>":
		return nil, nil
	case "bool":
		return scalar[bool](t)
	case "uint8":
		return scalar[uint8](t)
	case "int8":
		return scalar[int8](t)
	case "int16":
		return scalar[int16](t)
	case "uint16":
		return scalar[uint16](t)
	case "int32":
		return scalar[int32](t)
	case "uint32":
		return scalar[uint32](t)
	case "int64":
		return scalar[int64](t)
	case "float32":
		return scalar[float32](t)
	case "float64":
		return scalar[float64](t)
	case "string":
		return scalar[string](t)
	case "[]uint8":
		return scalar[[]byte](t)
	case "time.Time":
		return scalar[time.Time](t)
	case "amqp091.Decimal":
		return scalar[amqp.Decimal](t)
	}
	return nil, fmt.Errorf("a header has the type %q, which another version of ssg-bootstrap wrote", t.Type)
}

func scalar[T any](t typed) (any, error) {
	var v T
	if err := json.Unmarshal(t.Value, &v); err != nil {
		return nil, fmt.Errorf("read a header: %w", err)
	}
	return v, nil
}
