package crashtest

import (
	"encoding/json"
	"hash/fnv"
	"maps"
	"net/http"
	"sync"
	"time"
)

// request is one attempt of a call, as the service is asked for it.
type request struct {
	Tool    string `json:"tool"`
	Key     string `json:"key"`
	Attempt int    `json:"attempt"`
}

// A service is the outside world: it acts on requests, and records them.
type service struct {
	mu    sync.Mutex
	came  map[request]int // how often each came
	acted map[request]int // how often it was acted on
	going map[request]int // those that it is about to act on
	void  map[request]bool
	late  int           // requests that came after somebody was told that they had not
	stirs chan struct{} // closed when something is done to a worker or the store

	holders *holders
}

func newService() *service {
	return &service{came: map[request]int{}, acted: map[request]int{}, going: map[request]int{}, void: map[request]bool{},
		stirs: make(chan struct{}), holders: newHolders()}
}

// stirred lets the requests go on that were held until something happens.
func (s *service) stirred() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.stirs)
	s.stirs = make(chan struct{})
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/claimed", "/released":
		s.told(w, r)
		return
	}
	var q request
	if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if r.URL.Path == "/lookup" {
		s.lookup(w, q)
		return
	}
	s.act(w, r, q)
}

// The fates of requests.
const (
	heldBefore = iota // the worker may die before the act
	heldAfter         // or after it, before it learns of it
	turnedDown        // it is not acted on, at the first attempt
	fates      = 10   // most are acted on at once
)

func (s *service) act(w http.ResponseWriter, r *http.Request, q request) {
	s.mu.Lock()
	s.came[q]++
	if s.void[q] {
		s.late++
		s.mu.Unlock()
		http.Error(w, "it is too late: it was said that this had not been asked for", http.StatusGone)
		return
	}
	fate, first, stirs := fateOf(q), s.came[q] == 1, s.stirs
	if fate == turnedDown && q.Attempt == 1 {
		s.mu.Unlock()
		http.Error(w, "not now", http.StatusGone)
		return
	}
	s.going[q]++
	s.mu.Unlock()
	if fate == heldBefore && first {
		s.hold(r, stirs)
	}
	s.mu.Lock()
	s.acted[q]++
	s.going[q]--
	s.mu.Unlock()
	if fate == heldAfter && first {
		s.hold(r, stirs)
	}
	_, _ = w.Write([]byte(`"ok"`))
}

// hold waits until something happens: to the one that asks, or to another.
func (s *service) hold(r *http.Request, stirs chan struct{}) {
	select {
	case <-stirs:
	case <-r.Context().Done():
	}
}

func fateOf(q request) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(q.Key))
	return int(h.Sum32()>>8) % fates
}

// lookup tells what became of a request, if that is certain.
func (s *service) lookup(w http.ResponseWriter, q request) {
	switch acted, going := s.fate(q); {
	case acted:
		_, _ = w.Write([]byte(`"ok, as was found"`))
	case going:
		http.Error(w, "it is going on", http.StatusConflict)
	default:
		http.Error(w, "there was no such request", http.StatusNotFound)
	}
}

// fate tells whether the service has acted on a request, or is about to. If
// neither, it never will: whoever asks may rely on it, and a request that is still
// on its way is turned down.
func (s *service) fate(q request) (acted, going bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	acted, going = s.acted[q] > 0, s.going[q] > 0
	if !acted && !going {
		s.void[q] = true
	}
	return acted, going
}

// requests returns how often each request came, and was acted on.
func (s *service) requests() (came, acted map[request]int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.came), maps.Clone(s.acted)
}

// told takes what a worker tells of its claims.
func (s *service) told(w http.ResponseWriter, r *http.Request) {
	var list []claimed
	if err := json.NewDecoder(r.Body).Decode(&list); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	for _, c := range list {
		if r.URL.Path == "/claimed" {
			s.holders.claimed(c, time.Now())
		} else {
			s.holders.released(c)
		}
	}
}
