package redisserver

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// certificates are a throw-away authority and one server certificate that it
// signed, for 127.0.0.1 and localhost, as PEM.
type certificates struct {
	ca, cert, key []byte
}

// theCertificates are made once in a program, so that all its servers trust one
// another.
var theCertificates = sync.OnceValues(newCertificates)

func newCertificates() (*certificates, error) {
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	ca := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "redisserver's throw-away authority"},
		NotBefore:             now.Add(-time.Hour),
		NotAfter:              now.AddDate(0, 0, 7),
		KeyUsage:              x509.KeyUsageCertSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, &caKey.PublicKey, caKey)
	if err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	cert := &x509.Certificate{
		SerialNumber: big.NewInt(2),
		Subject:      pkix.Name{CommonName: "redis-server"},
		NotBefore:    ca.NotBefore,
		NotAfter:     ca.NotAfter,
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		DNSNames:     []string{"localhost"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	certDER, err := x509.CreateCertificate(rand.Reader, cert, ca, &key.PublicKey, caKey)
	if err != nil {
		return nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return &certificates{
		ca:   pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: caDER}),
		cert: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certDER}),
		key:  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}),
	}, nil
}

// secure writes the certificates into the directory home. It returns what a
// client needs and the lines of redis.conf that a server needs.
func secure(home string) (client *tls.Config, lines []string, err error) {
	c, err := theCertificates()
	if err != nil {
		return nil, nil, fmt.Errorf("redisserver: make certificates: %w", err)
	}
	for _, f := range []struct {
		directive, name string
		content         []byte
	}{
		{"tls-ca-cert-file", caFile, c.ca},
		{"tls-cert-file", "cert.pem", c.cert},
		{"tls-key-file", "key.pem", c.key},
	} {
		path := filepath.Join(home, f.name)
		if err := os.WriteFile(path, f.content, 0o600); err != nil {
			return nil, nil, fmt.Errorf("redisserver: write a certificate: %w", err)
		}
		lines = append(lines, f.directive+" "+quote(path))
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(c.ca)
	client = &tls.Config{RootCAs: pool, ServerName: loopback, MinVersion: tls.VersionTLS12}
	return client, append(lines, "tls-auth-clients no", "tls-replication yes", "tls-cluster yes"), nil
}

const caFile = "ca.pem"
