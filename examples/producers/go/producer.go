// A producer that keeps what Skein promises: nothing lost, each device's messages in order.
package main

import (
	"errors"
	"fmt"
	"log"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

const (
	window    = 256 // messages under way
	backoff   = 500 * time.Millisecond
	heartbeat = 10 * time.Second // a connection that is silent for two of them is lost
)

// Producer publishes to one pool. It is for one goroutine.
type Producer struct {
	url, exchange string
	connection    *amqp.Connection
	channel       *amqp.Channel
	returns       chan amqp.Return
	closed        chan *amqp.Error
	underWay      []*flight       // oldest first
	tokens        map[string]bool // those of underWay
	confirmed     func(*Message)
}

type flight struct {
	message      *Message
	confirmation *amqp.DeferredConfirmation
}

// NewProducer makes one. confirmed is called for each message that the broker has accepted, oldest first.
func NewProducer(url, pool string, confirmed func(*Message)) *Producer {
	return &Producer{url: url, exchange: "skein." + pool, tokens: map[string]bool{}, confirmed: confirmed}
}

// Submit publishes a message. It waits first while one of its devices has a message under way, or the window is full.
// An error is final: the message can't be routed.
func (p *Producer) Submit(m *Message) error {
	for len(p.underWay) >= window || p.busy(m) {
		if err := p.settleOldest(); err != nil {
			return err
		}
	}
	for _, item := range m.Items {
		p.tokens[item.Token] = true
	}
	f := &flight{message: m}
	p.underWay = append(p.underWay, f)
	if p.channel == nil || p.publish(f, false) != nil {
		p.reconnect()
	}
	return nil
}

// Flush waits until everything is confirmed.
func (p *Producer) Flush() error {
	for len(p.underWay) > 0 {
		if err := p.settleOldest(); err != nil {
			return err
		}
	}
	return nil
}

func (p *Producer) busy(m *Message) bool {
	for _, item := range m.Items {
		if p.tokens[item.Token] {
			return true
		}
	}
	return false
}

func (p *Producer) publish(f *flight, repeat bool) (err error) {
	m := f.message
	f.confirmation, err = p.channel.PublishWithDeferredConfirm(
		p.exchange, m.keys[0], true /* mandatory */, false, m.Publishing(repeat))
	return err
}

// settleOldest waits for the oldest message's outcome, for as long as the connection lives: a broker that is short of
// memory or disk answers when it is well again.
func (p *Producer) settleOldest() error {
	f := p.underWay[0]
	acked := f.confirmation.Wait()
	// A return comes before the ack of its message.
	if len(p.returns) > 0 {
		return fmt.Errorf("%s: no queue is bound for its slot: is the pool set up?", (<-p.returns).MessageId)
	}
	switch {
	case acked:
		p.underWay = p.underWay[1:]
		for _, item := range f.message.Items {
			delete(p.tokens, item.Token)
		}
		p.confirmed(f.message)
	case !p.channel.IsClosed():
		// Nacked: a queue is full. Nothing later of its devices is under way, so it can be published again in its place.
		log.Print("a queue is full, waiting")
		time.Sleep(backoff)
		if p.publish(f, true) != nil {
			p.reconnect()
		}
	default:
		if why := <-p.closed; why != nil && why.Code == amqp.NotFound {
			return fmt.Errorf("%s: %w", p.exchange, why)
		}
		time.Sleep(backoff)
		p.reconnect()
	}
	return nil
}

// reconnect connects until it succeeds, and publishes again what has no outcome, in its order and marked as a repeat.
func (p *Producer) reconnect() {
	for wait := time.Duration(0); ; wait = backoff {
		time.Sleep(wait)
		err := p.connect()
		for _, f := range p.underWay {
			if err == nil {
				err = p.publish(f, true)
			}
		}
		if err == nil {
			return
		}
		log.Print("no connection: ", err)
	}
}

func (p *Producer) connect() error {
	if p.connection != nil {
		_ = p.connection.CloseDeadline(time.Now()) // it is of no use any more: don't wait for it
	}
	p.channel = nil
	connection, err := amqp.DialConfig(p.url, amqp.Config{Heartbeat: heartbeat})
	if err != nil {
		return err
	}
	p.connection = connection
	channel, err := connection.Channel()
	if err == nil {
		err = channel.Confirm(false)
	}
	if err != nil {
		return errors.Join(err, connection.Close())
	}
	p.channel = channel
	p.returns = channel.NotifyReturn(make(chan amqp.Return, window))
	p.closed = channel.NotifyClose(make(chan *amqp.Error, 1))
	return nil
}

// Close ends the connection.
func (p *Producer) Close() {
	if p.connection != nil {
		_ = p.connection.Close()
	}
}
