// The wire contract of Skein: routing, ids, bodies and properties. It depends on nothing but an AMQP client.
package main

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

const slots = 1024

// Slot is the routing key of a device token: FNV-1a over its bytes, finished by MurmurHash3's fmix64, modulo 1024.
func Slot(token string) (string, error) {
	bytes, err := hex.DecodeString(token)
	if err != nil || len(bytes) == 0 {
		return "", fmt.Errorf("a device token is hexadecimal text")
	}
	h := uint64(0xcbf29ce484222325)
	for _, b := range bytes {
		h = (h ^ uint64(b)) * 0x100000001b3
	}
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	h ^= h >> 33
	return strconv.FormatUint(h%slots, 10), nil
}

// NewID makes a UUIDv7 (RFC 9562): 48 bits of milliseconds, then version, variant and 74 random bits.
func NewID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails, see its documentation
	ms := time.Now().UnixMilli()
	for i := range 6 {
		b[i] = byte(ms >> (40 - 8*i))
	}
	b[6] = b[6]&0x0f | 0x70
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:16])
}

// Item is one device of a message.
type Item struct {
	ID    string `json:"id"`
	Token string `json:"token"`
}

// Message is one AMQP message: a notification, or one payload for many devices.
type Message struct {
	Items []Item
	kind  string
	body  []byte
	keys  []string // the first item's slot, then the other slots, each once
	at    time.Time
}

// NewMessage gives each token an id and writes the body. One token makes a notification, more make a batch.
func NewMessage(topic string, tokens []string, payload json.RawMessage) (*Message, error) {
	if len(tokens) == 0 || len(tokens) > 1000 {
		return nil, fmt.Errorf("%d tokens; a batch has 1 to 1,000 items", len(tokens))
	}
	m := &Message{at: time.Now()}
	for _, token := range tokens {
		token = strings.ToLower(token) // one device, one spelling
		slot, err := Slot(token)
		if err != nil {
			return nil, err
		}
		m.Items = append(m.Items, Item{NewID(), token})
		if !slices.Contains(m.keys, slot) {
			m.keys = append(m.keys, slot)
		}
	}
	fields := map[string]any{
		"topic":        topic,
		"submitted_at": m.at.UTC().Format(time.RFC3339Nano),
		"payload":      payload,
	}
	if len(m.Items) == 1 {
		m.kind = "skein.notification.v1"
		fields["id"], fields["token"] = m.Items[0].ID, m.Items[0].Token
	} else {
		m.kind = "skein.batch.v1"
		fields["items"] = m.Items
	}
	var err error
	if m.body, err = json.Marshal(fields); err == nil && len(m.body) > 96<<10 {
		err = fmt.Errorf("%d bytes; a message has at most 96 KiB", len(m.body))
	}
	return m, err
}

// Publishing is the message as AMQP sends it. repeat marks what was published before and whose outcome was not learnt.
// There is no priority: it would break the order.
func (m *Message) Publishing(repeat bool) amqp.Publishing {
	headers := amqp.Table{}
	if others := m.keys[1:]; len(others) > 0 {
		bcc := make([]any, len(others))
		for i, slot := range others {
			bcc[i] = slot
		}
		headers["BCC"] = bcc
	}
	if repeat {
		headers["x-skein-repeat"] = true
	}
	return amqp.Publishing{
		ContentType:  "application/json",
		Type:         m.kind,
		MessageId:    m.Items[0].ID,
		DeliveryMode: amqp.Persistent,
		Timestamp:    m.at,
		Headers:      headers,
		Body:         m.body,
	}
}
