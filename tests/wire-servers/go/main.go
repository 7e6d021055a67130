// Go's net/http as an APNs that answers as each request wishes; see ../README.md.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"
)

const (
	gone  = `{"reason":"Unregistered","timestamp":1700000000123}`
	bad   = `{"reason":"BadDeviceToken"}`
	busy  = `{"reason":"TooManyRequests"}`
	slow  = 20 * time.Millisecond
	large = 20_000
	huge  = 100_000
)

var (
	port            = flag.Int("port", 0, "")
	cert            = flag.String("cert", "", "")
	key             = flag.String("key", "", "")
	ca              = flag.String("ca", "", "")
	streams         = flag.Int("streams", 200, "")
	streamWindow    = flag.Int("stream-window", 0, "")
	connection      = flag.Int("connection-window", 0, "")
	headerTable     = flag.Int("header-table", 0, "")
	frame           = flag.Int("frame", 0, "")
	shutdownEvery   = flag.Int64("shutdown-every", 0, "")
	reads           atomic.Int64
	shutdownPlease  = make(chan struct{}, 1)
	errBadRequest   = errors.New("not a request of a provider")
	headersRequired = []string{"Apns-Topic", "Apns-Push-Type", "Apns-Priority", "Apns-Expiration", "Apns-Id"}
)

func check(request *http.Request) error {
	if request.Method != "POST" || !strings.HasPrefix(request.URL.Path, "/3/device/") || request.ProtoMajor != 2 {
		return errBadRequest
	}
	for _, name := range headersRequired {
		if len(request.Header.Values(name)) != 1 {
			return errBadRequest
		}
	}
	bearer := strings.HasPrefix(request.Header.Get("Authorization"), "bearer ey")
	shown := len(request.TLS.PeerCertificates) == 1
	if shown == bearer || shown != (*ca != "") {
		return errBadRequest
	}
	return nil
}

func handle(w http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(request.Body)
	if err != nil {
		return
	}
	sum := 0
	for _, b := range body {
		sum += int(b)
	}
	id := request.Header.Get("Apns-Id")
	fmt.Printf("read %s %s %d %d\n", id, strings.TrimPrefix(request.URL.Path, "/3/device/"), len(body), sum)
	if n := reads.Add(1); *shutdownEvery > 0 && n%*shutdownEvery == 0 {
		shutdownPlease <- struct{}{}
	}
	header := w.Header()
	header.Set("Apns-Id", id)
	// A field that the encoder indexes and has to evict again.
	header.Set("Apns-Unique-Id", id)
	answer := func(status int, body string) {
		if strings.HasPrefix(body, "{") {
			header.Set("Content-Type", "application/json")
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
	if check(request) != nil {
		answer(403, `{"reason":"Forbidden"}`)
		return
	}
	switch request.Header.Get("Apns-Collapse-Id") {
	case "":
		answer(200, "")
	case "gone":
		answer(410, gone)
	case "bad":
		answer(400, bad)
	case "busy":
		answer(429, busy)
	case "html":
		answer(404, "<html><body>not here</body></html>")
	case "slow":
		time.Sleep(slow)
		answer(200, "")
	case "hints":
		header.Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		header.Del("Link")
		answer(200, "")
	case "trailers":
		answer(410, gone)
		header.Set(http.TrailerPrefix+"X-After", "the body")
	case "split":
		header.Set("Content-Type", "application/json")
		w.WriteHeader(410)
		for i := range gone {
			_, _ = io.WriteString(w, gone[i:i+1])
			w.(http.Flusher).Flush()
		}
	case "headers":
		for i := range 40 {
			header.Set(fmt.Sprintf("X-Field-%d", i), strings.Repeat(id[i%8:], 5))
		}
		answer(200, "")
	case "large":
		answer(400, strings.Repeat(" ", large))
	case "huge":
		answer(400, strings.Repeat(" ", huge))
	default:
		answer(500, `{"reason":"InternalServerError"}`)
	}
}

func main() {
	flag.Parse()
	config := &tls.Config{}
	if *ca != "" {
		pem, err := os.ReadFile(*ca)
		if err != nil {
			log.Fatal(err)
		}
		config.ClientCAs = x509.NewCertPool()
		config.ClientCAs.AppendCertsFromPEM(pem)
		config.ClientAuth = tls.RequireAndVerifyClientCert
	}
	for first := true; ; first = false {
		listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", *port))
		if err != nil {
			log.Fatal(err)
		}
		server := &http.Server{
			Handler:   http.HandlerFunc(handle),
			TLSConfig: config.Clone(),
			HTTP2: &http.HTTP2Config{
				MaxConcurrentStreams:          *streams,
				MaxReceiveBufferPerStream:     *streamWindow,
				MaxReceiveBufferPerConnection: *connection,
				MaxDecoderHeaderTableSize:     *headerTable,
				MaxReadFrameSize:              *frame,
			},
		}
		if first {
			fmt.Println("listening")
		}
		go func() {
			<-shutdownPlease
			_ = server.Shutdown(context.Background())
		}()
		if err := server.ServeTLS(listener, *cert, *key); !errors.Is(err, http.ErrServerClosed) {
			log.Fatal(err)
		}
	}
}
