package langchain

import (
	"strings"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/internal/adapter"
)

// noteText is a note as the user's message that stands for it.
func (e *encoder) noteText(m *agent.Message) string {
	var b strings.Builder
	b.WriteString(adapter.NotePrefix)
	b.WriteString(m.Text())
	for _, p := range m.Parts {
		if p.Result != nil {
			b.WriteString(e.ending(p.Result))
		}
	}
	return strings.TrimRight(b.String(), "\n")
}

// ending tells of a result outside of a tool's message.
func (e *encoder) ending(r *agent.Result) string { return adapter.Ending(e.name(r), r) }
