// Submits push notifications to Skein by plain AMQP.
//
//	producer AMQP_URL POOL TOPIC < messages    each line {"tokens":["…",…],"payload":{"aps":{…}}}
//	producer vectors routing.json              checks the routing against the published vectors
//
// Prints a line for each notification that is accepted: the number of its line, its id, its device token.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"log"
	"os"
)

func main() {
	var err error
	switch {
	case len(os.Args) == 3 && os.Args[1] == "vectors":
		err = checkVectors(os.Args[2])
	case len(os.Args) == 4:
		err = submitAll(os.Args[1], os.Args[2], os.Args[3])
	default:
		err = fmt.Errorf("usage: producer AMQP_URL POOL TOPIC | producer vectors FILE")
	}
	if err != nil {
		log.Fatal(err)
	}
}

func submitAll(url, pool, topic string) error {
	lines := map[*Message]int{}
	producer := NewProducer(url, pool, func(m *Message) {
		for _, item := range m.Items {
			fmt.Println(lines[m], item.ID, item.Token)
		}
		delete(lines, m)
	})
	defer producer.Close()
	input := bufio.NewScanner(os.Stdin)
	input.Buffer(nil, 1<<20)
	for number := 0; input.Scan(); number++ {
		var line struct {
			Tokens  []string
			Payload json.RawMessage
		}
		if err := json.Unmarshal(input.Bytes(), &line); err != nil {
			return fmt.Errorf("line %d: %w", number, err)
		}
		m, err := NewMessage(topic, line.Tokens, line.Payload)
		if err != nil {
			return fmt.Errorf("line %d: %w", number, err)
		}
		lines[m] = number
		if err := producer.Submit(m); err != nil {
			return err
		}
	}
	if err := input.Err(); err != nil {
		return err
	}
	return producer.Flush()
}

func checkVectors(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var vectors []struct {
		Token string
		Slot  int
	}
	if err := json.Unmarshal(text, &vectors); err != nil {
		return err
	}
	for _, v := range vectors {
		if slot, err := Slot(v.Token); err != nil || slot != fmt.Sprint(v.Slot) {
			return fmt.Errorf("%s: slot %s, not %d", v.Token, slot, v.Slot)
		}
	}
	fmt.Println(len(vectors), "vectors hold")
	return nil
}
