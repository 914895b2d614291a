package crashtest

import (
	"encoding/json"
	"hash/fnv"
	"net/http"
	"sync"
)

// request is one attempt of a call, as the service is asked for it.
type request struct {
	Tool    string `json:"tool"`
	Key     string `json:"key"`
	Attempt int    `json:"attempt"`
}

// A service is the outside world: it acts on requests, and records them.
type service struct {
	mu       sync.Mutex
	acted    map[request]int // how often each came
	going    map[request]int // those that it is about to act on
	nextKill chan struct{}   // closed when a worker is killed
}

func newService() *service {
	return &service{acted: map[request]int{}, going: map[request]int{}, nextKill: make(chan struct{})}
}

// killed lets the requests go on that were held until a kill.
func (s *service) killed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.nextKill)
	s.nextKill = make(chan struct{})
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var q request
	if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if r.URL.Path == "/lookup" {
		s.lookup(w, q)
		return
	}
	s.mu.Lock()
	s.going[q]++
	kill := s.nextKill
	s.mu.Unlock()
	held := chance(q)
	if held == 0 { // the worker may die before the act
		s.hold(r, kill)
	}
	s.mu.Lock()
	s.acted[q]++
	s.going[q]--
	s.mu.Unlock()
	if held == 1 { // or after it, before it learns of it
		s.hold(r, kill)
	}
	_, _ = w.Write([]byte(`"ok"`))
}

// hold waits until a worker is killed: the one that asks, or another.
func (s *service) hold(r *http.Request, kill chan struct{}) {
	select {
	case <-kill:
	case <-r.Context().Done():
	}
}

// chance picks one request in eight for each of two fates.
func chance(q request) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(q.Key))
	return int(h.Sum32()>>8) % 8
}

// lookup tells what became of a request, if that is certain.
func (s *service) lookup(w http.ResponseWriter, q request) {
	switch acted, going := s.fate(q); {
	case acted:
		_, _ = w.Write([]byte(`"ok, as was found"`))
	case going:
		http.Error(w, "it is going on", http.StatusConflict)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

// fate tells whether the service has acted on a request, or is about to.
func (s *service) fate(q request) (acted, going bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.acted[q] > 0, s.going[q] > 0
}

// all returns what the service has acted on.
func (s *service) all() map[request]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make(map[request]int, len(s.acted))
	for q, n := range s.acted {
		all[q] = n
	}
	return all
}
