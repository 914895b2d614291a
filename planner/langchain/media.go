package langchain

import (
	"encoding/base64"
	"net/url"
	"strings"

	"github.com/tmc/langchaingo/llms"

	"github.com/fermata-run/fermata/agent"
)

// image is an image as the provider takes it, or nil: then words have to do.
func (e *encoder) image(m *agent.Media) llms.ContentPart {
	if !strings.HasPrefix(m.Type, "image/") || e.p.images == imagesNone {
		return nil
	}
	if !strings.HasPrefix(m.URL, "data:") {
		web := strings.HasPrefix(m.URL, "https://") || strings.HasPrefix(m.URL, "http://")
		if !web || e.p.images == imagesBytes {
			return nil
		}
		return llms.ImageURLPart(m.URL)
	}
	data, ok := dataOf(m.URL)
	switch {
	case !ok:
		return nil
	case e.p.images == imagesByURL:
		return llms.ImageURLPart(m.URL)
	}
	return llms.BinaryPart(m.Type, data)
}

// dataOf reads a data URL. ok says whether it is one, with something in it.
func dataOf(s string) (data []byte, ok bool) {
	head, body, ok := strings.Cut(s, ",")
	if !ok || body == "" {
		return nil, false
	}
	if !strings.HasSuffix(head, ";base64") {
		text, err := url.PathUnescape(body)
		return []byte(text), err == nil
	}
	data, err := base64.StdEncoding.DecodeString(body)
	if err != nil {
		data, err = base64.RawStdEncoding.DecodeString(body)
	}
	return data, err == nil
}

// mediaText tells of a file that is not shown.
func mediaText(m *agent.Media) string {
	where := m.URL
	if strings.HasPrefix(where, "data:") {
		where = "its content cannot be shown"
	}
	return "\n[file " + m.Name + ", " + m.Type + ": " + where + "]\n"
}
