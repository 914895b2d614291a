package desk

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/fermata-run/fermata/internal/jsonl"
)

// A Bank is the pretend shop's bank. It pays whatever it is asked to pay, as
// often as it is asked: that nothing is paid twice is up to who asks. Every
// payment is a line of JSON in its ledger, on disk before anybody is told.
type Bank struct {
	path string
	// Pause is how long the bank takes to answer after it has paid. A process
	// that dies in that time does not know that the money has gone.
	Pause time.Duration
}

// Payment is what the bank says of a payment.
type Payment struct {
	Order     int       `json:"order"`
	Amount    float64   `json:"amount"` // in EUR
	Reason    string    `json:"reason,omitempty"`
	Reference string    `json:"reference"`
	Paid      time.Time `json:"paid"`
}

// Entry is one line of the ledger.
type Entry struct {
	Payment
	Key     string `json:"key"`     // of the call that asked for it
	Process int    `json:"process"` // of this machine, which asked
}

// PauseVar is the environment variable that says how long the pretend bank
// takes to answer, such as 2s.
const PauseVar = "FERMATA_BANK_PAUSE"

const usualPause = 300 * time.Millisecond

// NewBank opens the bank whose ledger is the file at path.
func NewBank(path string) *Bank {
	b := &Bank{path: path, Pause: usualPause}
	if d, err := time.ParseDuration(os.Getenv(PauseVar)); err == nil && d >= 0 {
		b.Pause = d
	}
	return b
}

// Pay pays, and answers when Pause has passed.
func (b *Bank) Pay(ctx context.Context, key string, p Payment) (Payment, error) {
	p.Paid = time.Now().UTC().Truncate(time.Millisecond)
	p.Reference = fmt.Sprintf("FB-%d-%s", p.Order, p.Paid.Format("150405"))
	if err := b.enter(Entry{Payment: p, Key: key, Process: os.Getpid()}); err != nil {
		return Payment{}, err
	}
	t := time.NewTimer(b.Pause)
	defer t.Stop()
	select {
	case <-t.C:
		return p, nil
	case <-ctx.Done():
		return Payment{}, fmt.Errorf("the bank did not answer: %w", context.Cause(ctx))
	}
}

// enter appends a line to the ledger in one write.
func (b *Bank) enter(e Entry) error {
	if err := jsonl.Append(b.path, e); err != nil {
		return fmt.Errorf("desk: the bank's ledger cannot be written: %w", err)
	}
	return nil
}

// Entries returns what the ledger says of an order; 0 is every order.
func (b *Bank) Entries(order int) ([]Entry, error) {
	all, err := jsonl.Read[Entry](b.path)
	if err != nil {
		return nil, fmt.Errorf("desk: the bank's ledger cannot be read: %w", err)
	}
	return slices.DeleteFunc(all, func(e Entry) bool { return order != 0 && e.Order != order }), nil
}
