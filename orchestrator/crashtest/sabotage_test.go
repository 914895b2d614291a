package crashtest

import (
	"context"
	"maps"
	"math/rand/v2"
	"sync"
	"time"
)

// Sabotage is what is done to workers, to the store, and to the ways between.
type sabotage struct {
	saboteurs []*saboteur
	ctx       context.Context // ends when it is to stop
	end       context.CancelFunc
	work      sync.WaitGroup
	calm      sync.RWMutex // read-locked while a fault goes on; who has it locked is alone

	mu     sync.Mutex
	played map[string]int
}

// A saboteur plays faults on one target, one after the other.
type saboteur struct {
	*sabotage
	target      string
	deck        []fault
	least, most time.Duration // between two faults
	dice        *rand.Rand
}

// fault is something that is done to a target. It is undone before play returns.
type fault struct {
	name  string
	times int // in a deck
	play  func()
}

func newSabotage() *sabotage {
	s := &sabotage{played: map[string]int{}}
	s.ctx, s.end = context.WithCancel(context.Background())
	return s
}

// on adds a saboteur, who begins when begin is called.
func (s *sabotage) on(target string, dice *rand.Rand, least, most time.Duration) *saboteur {
	one := &saboteur{sabotage: s, target: target, dice: dice, least: least, most: most}
	s.saboteurs = append(s.saboteurs, one)
	return one
}

// fault adds to the deck.
func (s *saboteur) fault(name string, times int, play func()) {
	s.deck = append(s.deck, fault{name, times, play})
}

func (s *sabotage) begin() {
	for _, one := range s.saboteurs {
		s.work.Go(one.act)
	}
}

// stop waits until all that was done is undone.
func (s *sabotage) stop() {
	s.end()
	s.work.Wait()
}

// wait waits for a time between two others, or until all is to stop.
func (s *saboteur) wait(least, most time.Duration) bool {
	timer := time.NewTimer(between(s.dice, least, most))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.ctx.Done():
		return false
	}
}

// act plays until all is to stop: at first each fault once.
func (s *saboteur) act() {
	hand := s.shuffle(false)
	for s.wait(s.least, s.most) {
		if len(hand) == 0 {
			hand = s.shuffle(true)
		}
		s.calm.RLock()
		s.count(s.target + " " + hand[0].name)
		hand[0].play()
		s.calm.RUnlock()
		hand = hand[1:]
	}
}

// shuffle returns the faults of the deck in a random order, each as often as it
// is in there, or once.
func (s *saboteur) shuffle(all bool) (hand []fault) {
	for _, f := range s.deck {
		n := 1
		if all {
			n = f.times
		}
		for range n {
			hand = append(hand, f)
		}
	}
	s.dice.Shuffle(len(hand), func(i, j int) { hand[i], hand[j] = hand[j], hand[i] })
	return hand
}

func (s *sabotage) count(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.played[what]++
}

// counts returns how often each fault was played.
func (s *sabotage) counts() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.played)
}

// enough reports whether each fault was played at least once.
func (s *sabotage) enough() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range s.saboteurs {
		for _, f := range one.deck {
			if s.played[one.target+" "+f.name] == 0 {
				return false
			}
		}
	}
	return true
}
