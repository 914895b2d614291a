package redis_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/internal/redisserver"
	"github.com/fermata-run/fermata/memory"
	"github.com/fermata-run/fermata/memory/redis"
)

// TestAddresses opens addresses that are refused before any server is asked.
func TestAddresses(t *testing.T) {
	t.Parallel()
	junk := filepath.Join(t.TempDir(), "junk.pem")
	must(t, os.WriteFile(junk, []byte("junk"), 0o600))
	for address, says := range map[string][]string{
		"http://localhost":                                 {`"http"`, "redis+cluster"},
		"localhost:6379":                                   {`"localhost"`, "redis+cluster"},
		"":                                                 {`""`, "redis+cluster"},
		"redis://localhost/one":                            {`"one"`, "number"},
		"redis://localhost/-1":                             {`"-1"`, "number"},
		"redis://localhost?colour=red":                     {`"colour"`, "known are prefix, shards"},
		"redis://localhost?ca=x":                           {`"ca"`, "with rediss"},
		"redis://localhost?shards=many":                    {"shards=many", "number"},
		"redis://localhost?replicas=1.5":                   {"replicas=1.5", "number"},
		"redis://localhost?fsync=maybe":                    {"fsync=maybe", "true or false"},
		"redis://localhost?wait_timeout=5":                 {"wait_timeout=5", "2s"},
		"redis://localhost?pool_size=big":                  {"pool_size=big"},
		"redis://localhost?shards=5000":                    {"5000 shards", "1024"},
		"redis://localhost?shards=-1":                      {"-1 shards"},
		"redis://localhost?replicas=-1":                    {"Replicas is -1"},
		"redis://localhost?wait_timeout=1us":               {"1µs", "millisecond"},
		"redis://localhost?prefix=a%7Bb%7D":                {`'{'`, "not allowed"},
		"redis://localhost?prefix=a*":                      {`'*'`},
		"redis+sentinel://localhost:26379":                 {"name the primary", "/NAME"},
		"redis+sentinel://localhost:26379/m/x":             {`"x"`, "number"},
		"redis+cluster://localhost:7000/1":                 {`"/1"`, "no databases"},
		"redis+cluster://localhost:7000/mymaster":          {"no databases"},
		"redis://localhost?sentinel_user=x":                {"sentinel_user", "with sentinel"},
		"rediss://localhost?ca=/no/such/file":              {"ca=", "/no/such/file"},
		"rediss://localhost?ca=" + junk:                    {"ca=", "no certificate"},
		"rediss://localhost?cert=" + junk + "&key=" + junk: {"cert= and key="},
		"redis://:/sesame@localhost":                       {"%2F"},
		"redis://u:sesame/x@localhost":                     {"%XX"},
		"redis://u:sesame?x@localhost":                     {"%XX"},
		"redis://u:sesame#x@localhost":                     {"%XX"},
		"redis://u:sesame %zz@localhost":                   {"not a URL", "%XX"},
		"redis://u:sesame@local host":                      {"%XX"},
	} {
		s, err := redis.Open(t.Context(), address, nil)
		if err == nil {
			t.Errorf("%s was opened", address)
			_ = s.Close()
			continue
		}
		for _, text := range says {
			if !strings.Contains(err.Error(), text) {
				t.Errorf("%s: the error %q does not say %q", address, err, text)
			}
		}
		if strings.Contains(err.Error(), "sesame") {
			t.Errorf("%s: the error %q has the password", address, err)
		}
	}
	for address, want := range map[string]bool{
		"redis://x": true, "rediss://x": true, "redis+sentinel://x": true, "rediss+cluster://x": true,
		"redis": false, "/var/redis://x": false, "http://x": false, "fermata.db": false, "": false,
	} {
		if redis.IsURL(address) != want {
			t.Errorf("IsURL(%q) is %v", address, !want)
		}
	}
}

func TestPasswords(t *testing.T) {
	t.Parallel()
	srv := redisserver.Test(t, &redisserver.Options{Password: "open:se/sa?me"})
	s := open(t, "redis://:open%3Ase%2Fsa%3Fme@"+srv.Addr(), nil)
	begin(t, s, "r1")
	for _, address := range []string{"redis://:simsalabim@" + srv.Addr(), "redis://nobody:simsalabim@" + srv.Addr(), "redis://" + srv.Addr()} {
		_, err := redis.Open(t.Context(), address, nil)
		is(t, err, nil, "user and password")
		if strings.Contains(err.Error(), "simsalabim") {
			t.Errorf("the error %q has the password", err)
		}
	}
	nobody := redisserver.Test(t, nil)
	must(t, nobody.Kill())
	_, err := redis.Open(t.Context(), "redis://:simsalabim@"+nobody.Addr(), nil)
	is(t, err, nil, "open", "refused")
	if strings.Contains(err.Error(), "simsalabim") {
		t.Errorf("the error %q has the password", err)
	}
}

// TestLayoutIsFixed opens a store with other numbers than it was made with.
func TestLayoutIsFixed(t *testing.T) {
	t.Parallel()
	srv := redisserver.Test(t, nil)
	c := admin(t, srv)
	must(t, open(t, srv.URL()+"?shards=3", nil).Close())
	_, err := redis.Open(t.Context(), srv.URL(), &redis.Options{Shards: 4})
	is(t, err, nil, "3 shards", "4 are asked for")
	s := open(t, srv.URL(), nil)
	for _, run := range []agent.RunID{"a", "b", "c", "d", "e", "f", "g", "h"} {
		begin(t, s, run)
	}
	keys, err := c.Keys(t.Context(), "fermata:{*}:runs").Result()
	must(t, err)
	if len(keys) != 3 {
		t.Errorf("the runs lie in %v, want 3 shards", keys)
	}
	// What stands in the options goes before the address; other prefixes and
	// databases are other stores.
	must(t, open(t, srv.URL()+"?shards=9", &redis.Options{Shards: 3}).Close())
	other := open(t, srv.URL()+"?prefix=other:&shards=9", nil)
	third := open(t, srv.URL()+"/3?shards=9", nil)
	for _, s := range []memory.Store{other, third} {
		_, err := s.Read(t.Context(), "a", memory.ReadOptions{})
		is(t, err, memory.ErrNotFound)
	}
	if all, err := c.HGet(t.Context(), "other:config", "shards").Result(); err != nil || all != "9" {
		t.Errorf("the other store has %q shards (%v)", all, err)
	}

	must(t, c.HSet(t.Context(), "fermata:config", "format", "3").Err())
	_, err = redis.Open(t.Context(), srv.URL(), nil)
	is(t, err, nil, `"3"`, "another prefix")
	must(t, c.HSet(t.Context(), "fermata:config", "format", "2", "shards", "some").Err())
	_, err = redis.Open(t.Context(), srv.URL(), nil)
	is(t, err, memory.ErrCorrupt, `"some"`, "restore")
	must(t, c.Set(t.Context(), "fermata:config", "x", 0).Err())
	_, err = redis.Open(t.Context(), srv.URL(), nil)
	is(t, err, memory.ErrCorrupt, "fermata:config")
}
