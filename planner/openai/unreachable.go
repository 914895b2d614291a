package openai

import (
	"compress/flate"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"syscall"
)

// address is the host and port of a URL.
func address(u *url.URL) string {
	if u.Port() != "" {
		return u.Host
	}
	port := "443"
	if u.Scheme == "http" {
		port = "80"
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// connectionFailure says what an error of the connection to addr means. What
// the network does may pass; what is wrong with a certificate or a URL does not.
func connectionFailure(err error, addr string) *failure {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err // its text has the whole URL
	}
	f := &failure{cause: err, transient: true}
	var (
		dns      *net.DNSError
		cert     *tls.CertificateVerificationError
		unknown  x509.UnknownAuthorityError
		wrong    x509.HostnameError
		invalid  x509.CertificateInvalidError
		record   tls.RecordHeaderError
		deflated flate.CorruptInputError
		timeout  net.Error
	)
	switch {
	case errors.As(err, &dns):
		f.came = "the address of " + dns.Name + " was not found: " + dns.Err
		f.hint = "check the host's name in Options.BaseURL or OPENAI_BASE_URL, and the network"
	case errors.Is(err, syscall.ECONNREFUSED):
		f.came = "nobody listens at " + addr + ": connection refused"
		f.hint = "check that the endpoint is up, and Options.BaseURL or OPENAI_BASE_URL"
	case errors.As(err, &cert), errors.As(err, &unknown), errors.As(err, &wrong), errors.As(err, &invalid):
		f.came, f.transient = "the certificate of "+addr+" is not trusted: "+err.Error(), false
		f.hint = "check the host in Options.BaseURL; for an authority of your own, set Options.Transport"
	case errors.As(err, &record), errors.Is(err, http.ErrSchemeMismatch):
		f.came, f.transient = addr+" does not speak TLS", false
		f.hint = "the base URL may have to begin with http://"
	case errors.Is(err, gzip.ErrHeader), errors.Is(err, gzip.ErrChecksum), errors.As(err, &deflated):
		f.came = "a compressed answer that cannot be unpacked: " + err.Error()
	case errors.As(err, &timeout) && timeout.Timeout(), errors.Is(err, context.DeadlineExceeded):
		f.came, f.slow = "no connection to "+addr+" in time: "+err.Error(), true
		f.hint = "check the network"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed),
		errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		f.came = "the connection to " + addr + " broke off"
	default:
		f.came = "the connection to " + addr + " failed: " + err.Error()
	}
	return f
}
