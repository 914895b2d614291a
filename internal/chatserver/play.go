package chatserver

import (
	"encoding/json"
	"net/http"
	"time"
)

// An End says how a raw answer ends.
type End string

const (
	EndClean End = ""     // as HTTP wants it
	EndCut   End = "cut"  // the connection is closed in the middle
	EndHang  End = "hang" // nothing more comes until the client goes away
)

// Raw is an answer byte by byte.
type Raw struct {
	Status int               `json:"status,omitempty"` // 0 means 200; negative sends not even the header
	Header map[string]string `json:"header,omitempty"`
	Body   string            `json:"body,omitempty"`
	Drip   Duration          `json:"drip,omitempty"` // a pause before each byte
	End    End               `json:"end,omitempty"`
}

func (r *Raw) play() play {
	p := play{status: r.Status, header: r.Header, end: r.End, pace: time.Duration(r.Drip)}
	if p.pace <= 0 {
		p.pieces = []string{r.Body}
		return p
	}
	for i := range len(r.Body) {
		p.pieces = append(p.pieces, r.Body[i:i+1])
	}
	return p
}

// play is what goes over the wire.
type play struct {
	delay  time.Duration // before all
	status int           // 0 means 200; negative sends not even the header
	header map[string]string
	pace   time.Duration // before each piece
	pieces []string      // each is flushed
	end    End
}

// perform sends p. It returns early when the client goes away, and never when
// p hangs and the client does not.
func (p play) perform(w http.ResponseWriter, r *http.Request) {
	if !wait(r, p.delay) {
		return
	}
	if p.status < 0 {
		p.finish(r)
		return
	}
	for k, v := range p.header {
		w.Header().Set(k, v)
	}
	if p.status == 0 {
		p.status = http.StatusOK
	}
	w.WriteHeader(p.status)
	flush := http.NewResponseController(w)
	_ = flush.Flush() // a client that has gone is seen below
	for _, piece := range p.pieces {
		if !wait(r, p.pace) {
			return
		}
		if _, err := w.Write([]byte(piece)); err != nil {
			return
		}
		_ = flush.Flush()
	}
	p.finish(r)
}

func (p play) finish(r *http.Request) {
	switch p.end {
	case EndHang:
		<-r.Context().Done()
	case EndCut:
		panic(http.ErrAbortHandler) // net/http closes the connection
	}
}

// wait reports whether the client is still there after d.
func wait(r *http.Request, d time.Duration) bool {
	if d <= 0 {
		return r.Context().Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-r.Context().Done():
		return false
	}
}

func errorPlay(status int, typ, code, message string) play {
	return play{status: status, header: jsonHeader(), pieces: []string{errorBody(typ, code, message)}}
}

func errorBody(typ, code, message string) string {
	b, _ := json.Marshal(map[string]any{"error": map[string]any{"message": message, "type": typ, "code": code, "param": nil}})
	return string(b) // strings always have a JSON form
}

func jsonHeader() map[string]string   { return map[string]string{"Content-Type": "application/json"} }
func streamHeader() map[string]string { return map[string]string{"Content-Type": "text/event-stream"} }
