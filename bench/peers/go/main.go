// A client on github.com/sideshow/apns2, as its documentation shows it: one client, a fixed number of goroutines that push.
package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"math"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/sideshow/apns2"
	"github.com/sideshow/apns2/token"
	"golang.org/x/net/http2"
)

const tokens = 100_000

var (
	target   = flag.String("target", "", "host:port of the server")
	ca       = flag.String("ca", "", "the server's root certificate, PEM")
	bytes    = flag.Int("payload-bytes", 233, "bytes of each payload")
	inFlight = flag.Int("in-flight", 1000, "requests open at once")
	count    = flag.Int64("notifications", 200_000, "notifications that are measured")
	warmUp   = flag.Int64("warm-up", 50_000, "notifications before that")
)

func main() {
	flag.Parse()
	client := connect()
	push(client, 0, 1, 1)
	push(client, 1, *warmUp, *inFlight)
	cpu, began := cpuTime(), time.Now()
	accepted := push(client, *warmUp, *warmUp+*count, *inFlight)
	seconds := time.Since(began).Seconds()
	line, err := json.Marshal(map[string]any{
		"client":        "apns2",
		"version":       versions(),
		"notifications": *count,
		"accepted":      accepted,
		"cpu_us":        math.Round(float64((cpuTime()-cpu).Nanoseconds())/10/float64(*count)) / 100,
		"per_second":    int64(float64(*count) / seconds),
	})
	check(err)
	fmt.Println(string(line))
}

func connect() *apns2.Client {
	pem, err := os.ReadFile(*ca)
	check(err)
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		log.Fatal("the root certificate cannot be read")
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(err)
	client := apns2.NewTokenClient(&token.Token{AuthKey: key, KeyID: "ABCDE12345", TeamID: "TEAM123456"})
	client.Host = "https://" + *target
	client.HTTPClient.Transport = &http2.Transport{
		DialTLS:         apns2.DialTLS,
		TLSClientConfig: &tls.Config{RootCAs: roots},
	}
	return client
}

// push writes the notifications from..until, each with a token, an id and a payload of its own.
func push(client *apns2.Client, from, until int64, goroutines int) int64 {
	var next, accepted atomic.Int64
	next.Store(from)
	var group sync.WaitGroup
	for range goroutines {
		group.Go(func() {
			for number := next.Add(1) - 1; number < until; number = next.Add(1) - 1 {
				response, err := client.Push(notification(uint64(number)))
				if err == nil && response.StatusCode == http.StatusOK {
					accepted.Add(1)
				} else if err != nil {
					log.Print(err)
				}
			}
		})
	}
	group.Wait()
	return accepted.Load()
}

func notification(number uint64) *apns2.Notification {
	device := mix(number*0x9e3779b97f4a7c15) % tokens
	var token [32]byte
	for part := range 4 {
		binary.BigEndian.PutUint64(token[part*8:], mix(mix(device)^uint64(part)))
	}
	head := fmt.Sprintf(`{"aps":{"alert":{"title":"Anna Example","body":"%016x`, mix(number))
	tail := fmt.Sprintf(`"},"sound":"default"},"skein_seq":%d}`, number)
	payload := make([]byte, 0, *bytes)
	payload = append(payload, head...)
	for len(payload)+len(tail) < *bytes {
		payload = append(payload, 'x')
	}
	return &apns2.Notification{
		ApnsID:      id(number),
		DeviceToken: hex.EncodeToString(token[:]),
		Topic:       "com.example.im",
		Priority:    apns2.PriorityHigh,
		PushType:    apns2.PushTypeAlert,
		Expiration:  time.Unix(1999999999, 0),
		Payload:     append(payload, tail...),
	}
}

// id gives a UUIDv7.
func id(number uint64) string {
	millis, random := uint64(time.Now().UnixMilli()), mix(^number)
	return fmt.Sprintf("%08x-%04x-7%03x-%04x-%012x", millis>>16, millis&0xffff, random&0xfff, 0x8000|random>>12&0x3fff, number)
}

// mix is the finaliser of MurmurHash3.
func mix(hash uint64) uint64 {
	hash ^= hash >> 33
	hash *= 0xff51afd7ed558ccd
	hash ^= hash >> 33
	hash *= 0xc4ceb9fe1a85ec53
	return hash ^ hash>>33
}

func cpuTime() time.Duration {
	var usage syscall.Rusage
	check(syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func versions() string {
	text := runtime.Version()
	if build, ok := debug.ReadBuildInfo(); ok {
		for _, module := range build.Deps {
			if module.Path == "github.com/sideshow/apns2" || module.Path == "golang.org/x/net" {
				text += ", " + module.Path + " " + module.Version
			}
		}
	}
	return text
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
