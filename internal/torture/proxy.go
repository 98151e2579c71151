package torture

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// proxy stands between journals and their server and does to messages what
// networks do: it lets some through in two halves with a pause between them, cuts
// the connection in the midst of one, and cuts it when one has just been sent.
type proxy struct {
	target    *Target
	listener  net.Listener
	directory string
	config    *pgconn.Config // of the server
	// armed lets it do harm; journals cannot be opened through faults.
	armed                atomic.Bool
	halves, cuts, closes atomic.Int64

	cancel context.CancelFunc
	conns  sync.WaitGroup // owns all goroutines
}

// startProxy listens on a socket of its own until it is closed.
func startProxy(ctx context.Context, target *Target) (*proxy, error) {
	config, err := pgconn.ParseConfig(target.URL)
	if err != nil {
		return nil, errors.New("the target's URL is not a connection string") // the error quotes it
	}
	p := &proxy{target: target, config: config}
	if p.directory, err = os.MkdirTemp("", "stele-proxy-"); err != nil {
		return nil, err
	}
	listen := net.ListenConfig{}
	if p.listener, err = listen.Listen(ctx, "unix", filepath.Join(p.directory, ".s.PGSQL.5432")); err != nil {
		return nil, errors.Join(err, os.RemoveAll(p.directory))
	}
	life, cancel := context.WithCancel(ctx)
	p.cancel = cancel
	p.conns.Go(func() { p.accept(life) })
	return p, nil
}

// URL leads to the server by way of the proxy.
func (p *proxy) URL() string {
	u := url.URL{Scheme: "postgres", User: url.UserPassword(p.config.User, p.config.Password), Path: "/" + p.config.Database}
	u.RawQuery = url.Values{"host": {p.directory}, "port": {"5432"}, "sslmode": {"disable"}}.Encode()
	return u.String()
}

func (p *proxy) accept(ctx context.Context) {
	for i := 1; ; i++ {
		client, err := p.listener.Accept()
		if err != nil {
			return // it is closed
		}
		lots := p.target.lots(-i)
		p.conns.Go(func() { p.serve(ctx, client, lots) })
	}
}

// serve passes on what both sides say, until one of them ends or is ended.
func (p *proxy) serve(ctx context.Context, client net.Conn, lots *rand.Rand) {
	defer client.Close()
	network, address := pgconn.NetworkAddress(p.config.Host, p.config.Port)
	dialer := net.Dialer{}
	server, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return
	}
	defer server.Close()
	stop := context.AfterFunc(ctx, func() {
		_ = client.Close()
		_ = server.Close()
	})
	defer stop()
	p.conns.Go(func() {
		_, _ = io.Copy(client, server) // either end is the end of both
		_ = client.Close()
		_ = server.Close()
	})
	buffer := make([]byte, 256<<10)
	for {
		n, err := client.Read(buffer)
		if err != nil || !p.pass(ctx, server, buffer[:n], lots) {
			return
		}
	}
}

// pass sends what a client has written, more or less. It reports whether the
// connection goes on.
func (p *proxy) pass(ctx context.Context, server net.Conn, message []byte, lots *rand.Rand) bool {
	half := len(message) / 2
	if !p.armed.Load() {
		half = -1
	}
	switch fate := lots.IntN(100); {
	case half < 0:
	case fate < 5:
		p.halves.Add(1)
		if _, err := server.Write(message[:half]); err != nil || !pause(ctx, upTo(lots, 10*time.Millisecond)) {
			return false
		}
		message = message[half:]
	case fate == 5:
		p.cuts.Add(1)
		_, _ = server.Write(message[:half]) // the connection ends either way
		return false
	case fate == 6:
		p.closes.Add(1)
		_, _ = server.Write(message) // the connection ends either way
		return false
	}
	_, err := server.Write(message)
	return err == nil
}

func (p *proxy) close() error {
	p.cancel()
	err := p.listener.Close()
	p.conns.Wait()
	return errors.Join(err, os.RemoveAll(p.directory))
}
