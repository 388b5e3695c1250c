package natsbus_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"

	"github.com/parley-chat/parley/internal/bus/natsbus"
)

// mustCertify makes a certificate for the loopback address, signed by itself, and writes it and its key.
func mustCertify(t *testing.T) (cert, key string, pair tls.Certificate) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for name, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if pair, err = tls.LoadX509KeyPair(cert, key); err != nil {
		t.Fatal(err)
	}
	return cert, key, pair
}

func mustServe(t *testing.T, o natsserver.Options) *natsserver.Server {
	t.Helper()
	o.Host, o.NoLog, o.NoSigs = "127.0.0.1", true, true
	s, err := natsserver.NewServer(&o)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(patience) {
		t.Fatal("NATS does not start")
	}
	return s
}

// Both sides show certificates; without one nobody is let in, and nobody trusts a stranger's.
func TestTLS(t *testing.T) {
	t.Parallel()
	cert, key, pair := mustCertify(t)
	pool := x509.NewCertPool()
	pool.AddCert(pair.Leaf)
	s := mustServe(t, natsserver.Options{Port: natsserver.RANDOM_PORT, TLS: true, TLSTimeout: 5, TLSVerify: true, TLSConfig: &tls.Config{
		MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert,
	}})
	url := "tls://" + s.Addr().String()
	meet(t, mustStart(t, natsbus.Config{URL: url, Cluster: "a", CA: cert, Cert: cert, Key: key}), mustStart(t, natsbus.Config{URL: url, Cluster: "a", CA: cert, Cert: cert, Key: key}))
	for _, c := range []natsbus.Config{{URL: url, Cluster: "a", CA: cert}, {URL: url, Cluster: "a", Cert: cert, Key: key}} {
		if n := mustStart(t, c); n.Connected() {
			t.Errorf("%+v is let in", c)
		}
	}
}

// doorman lets nobody in at the first attempts.
type doorman struct{ attempts atomic.Int32 }

func (d *doorman) Check(c natsserver.ClientAuthentication) bool {
	return d.attempts.Add(1) > 5 && c.GetOpts().Password == "right"
}

// Who is refused tries again: the server may learn their password without a restart of the node.
func TestPassword(t *testing.T) {
	t.Parallel()
	d := &doorman{}
	s := mustServe(t, natsserver.Options{Port: natsserver.RANDOM_PORT, CustomClientAuthentication: d})
	n := mustStart(t, natsbus.Config{URL: "nats://parley:right@" + s.Addr().String(), Cluster: "a"})
	n.waits(t)
	if got := d.attempts.Load(); got < 6 {
		t.Errorf("%d attempts", got)
	}
}
