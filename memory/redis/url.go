package redis

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// IsURL reports whether a store's address is one that [Open] knows.
func IsURL(address string) bool {
	scheme, _, ok := strings.Cut(address, "://")
	return ok && slices.Contains(schemes, scheme)
}

var schemes = []string{"redis", "rediss", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster"}

// target is what a URL and the options say together.
type target struct {
	kind    string // "redis", "sentinel" or "cluster"
	client  goredis.UniversalOptions
	options Options
}

// parse reads a URL. What stands in o goes before it.
func parse(rawURL string, o *Options) (*target, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, errors.New("redis: the store's address is not a URL; it must be like redis://user:password@host:port, with the special characters of the password as %XX")
	}
	if !slices.Contains(schemes, u.Scheme) {
		return nil, fmt.Errorf("redis: the store's address begins with %q; it must begin with one of %s, and then ://", u.Scheme, strings.Join(schemes, ", "))
	}
	t := &target{kind: "redis"}
	if o != nil {
		t.options = *o
	}
	if _, kind, ok := strings.Cut(u.Scheme, "+"); ok {
		t.kind = kind
	}
	t.client.Addrs = addresses(u.Host, t.kind)
	if u.User != nil {
		t.client.Username = u.User.Username()
		t.client.Password, _ = u.User.Password()
	}
	if err := t.path(strings.Trim(u.Path, "/")); err != nil {
		return nil, err
	}
	q := &query{values: u.Query()}
	t.read(q)
	if strings.HasPrefix(u.Scheme, "rediss") {
		if err := t.secure(q); err != nil {
			return nil, err
		}
	}
	return t, q.finish()
}

func addresses(hosts, kind string) []string {
	port := "6379"
	if kind == "sentinel" {
		port = "26379"
	}
	var addrs []string
	for _, h := range strings.Split(hosts, ",") {
		host := (&url.URL{Host: h}).Hostname()
		if host == "" {
			host = "localhost"
		}
		p := (&url.URL{Host: h}).Port()
		if p == "" {
			p = port
		}
		if strings.Contains(host, ":") {
			host = "[" + host + "]"
		}
		addrs = append(addrs, host+":"+p)
	}
	return addrs
}

// path reads the name of the primary and the number of the database.
func (t *target) path(path string) error {
	db := path
	switch t.kind {
	case "cluster":
		if path != "" {
			return fmt.Errorf("redis: a Cluster's address ends with %q; a Cluster has no databases to choose from", "/"+path)
		}
	case "sentinel":
		t.client.MasterName, db, _ = strings.Cut(path, "/")
		if t.client.MasterName == "" {
			return errors.New("redis: the address of Sentinels does not name the primary; write redis+sentinel://host:port,host:port/NAME")
		}
	}
	if db == "" {
		return nil
	}
	n, err := strconv.Atoi(db)
	if (err != nil || n < 0) && strings.Contains(path, "@") { // it is the end of a password
		return errors.New("redis: the address has an @ after a /; write a / in the password as %2F")
	}
	if err != nil || n < 0 {
		return fmt.Errorf("redis: the address names the database %q; it must be a number", db)
	}
	t.client.DB = n
	return nil
}

// read takes the options that stand in the query, where none was given otherwise.
func (t *target) read(q *query) {
	prefix, shards, replicas := q.text("prefix"), q.number("shards"), q.number("replicas")
	fsync, timeout := q.boolean("fsync"), q.duration("wait_timeout")
	if t.options.Prefix == "" {
		t.options.Prefix = prefix
	}
	if t.options.Shards == 0 {
		t.options.Shards = shards
	}
	if t.options.Replicas == 0 {
		t.options.Replicas = replicas
	}
	t.options.Fsync = t.options.Fsync || fsync
	if t.options.WaitTimeout == 0 {
		t.options.WaitTimeout = timeout
	}
	t.client.PoolSize = q.number("pool_size")
	if t.kind == "sentinel" {
		t.client.SentinelUsername, t.client.SentinelPassword = q.text("sentinel_user"), q.text("sentinel_password")
	}
}

// secure sets up TLS.
func (t *target) secure(q *query) error {
	ca, cert, key := q.text("ca"), q.text("cert"), q.text("key")
	t.client.TLSConfig = t.options.TLS
	if t.client.TLSConfig != nil {
		return nil
	}
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	if ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			return fmt.Errorf("redis: the file of ca=: %w", err)
		}
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(pem) {
			return fmt.Errorf("redis: the file %s of ca= has no certificate in PEM", ca)
		}
	}
	if cert != "" || key != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return fmt.Errorf("redis: the files of cert= and key=: %w", err)
		}
		conf.Certificates = []tls.Certificate{pair}
	}
	t.client.TLSConfig = conf
	return nil
}

// connect makes the client. It has no connection yet.
func (t *target) connect() goredis.UniversalClient {
	o := t.client
	o.ClientName = "fermata"
	o.Protocol = 2 // nothing of 3 is needed, and looking for pushed messages takes time
	o.ContextTimeoutEnabled = true
	if wait := t.options.WaitTimeout; t.options.Replicas > 0 || t.options.Fsync {
		o.ReadTimeout = 3*time.Second + cmp.Or(wait, defaultWait) // the client's own, and what WAIT takes
	}
	o.IsClusterMode = t.kind == "cluster"
	if t.kind == "redis" {
		o.Addrs = o.Addrs[:1]
	}
	return goredis.NewUniversalClient(&o)
}

// controlPool is how many connections are kept for claims and renewals.
const controlPool = 3

// connectControl makes the client for claims and renewals, which must not wait for
// a connection behind thousands of others.
func (t *target) connectControl() goredis.UniversalClient {
	small := *t
	small.client.PoolSize = controlPool
	return small.connect()
}

// query reads the parameters of a URL, and knows which nobody has read.
type query struct {
	values url.Values
	errs   []error
}

func (q *query) text(name string) string {
	v := q.values.Get(name)
	q.values.Del(name)
	return v
}

func (q *query) number(name string) int {
	v := q.text(name)
	if v == "" {
		return 0
	}
	n, err := strconv.Atoi(v)
	if err != nil {
		q.errs = append(q.errs, fmt.Errorf("redis: the address says %s=%s; it must be a number", name, v))
	}
	return n
}

func (q *query) boolean(name string) bool {
	v := q.text(name)
	if v == "" {
		return false
	}
	b, err := strconv.ParseBool(v)
	if err != nil {
		q.errs = append(q.errs, fmt.Errorf("redis: the address says %s=%s; it must be true or false", name, v))
	}
	return b
}

func (q *query) duration(name string) time.Duration {
	v := q.text(name)
	if v == "" {
		return 0
	}
	d, err := time.ParseDuration(v)
	if err != nil {
		q.errs = append(q.errs, fmt.Errorf("redis: the address says %s=%s; it must be a duration such as 2s", name, v))
	}
	return d
}

// finish reports what was wrong, and parameters that nobody has read.
func (q *query) finish() error {
	for name := range q.values {
		q.errs = append(q.errs, fmt.Errorf("redis: the address has the parameter %q, which is not known here; known are prefix, shards, replicas, fsync, wait_timeout, pool_size; with rediss also ca, cert, key; with sentinel also sentinel_user, sentinel_password", name))
	}
	return errors.Join(q.errs...)
}
