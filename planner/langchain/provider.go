package langchain

import (
	"reflect"
	"slices"
	"strings"

	"github.com/tmc/langchaingo/llms"
)

// A provider is what langchaingo's code for a provider does with a request, and
// what it tells of an answer. The zero value is one of which nothing is known,
// which is taken to do what llms.Model describes.
type provider struct {
	name   string
	images images

	noTools  bool // it drops tools, and takes neither calls nor results
	apart    bool // it reads the first part of an assistant's message only
	together bool // it wants the results of an answer's calls in one message
	schemas  bool // it reads a tool's schema as a map, and only a part of JSON Schema
	lossy    bool // its stream loses calls
	stops    bool // it always says why an answer has ended
	jsonMode bool // its JSON mode goes together with tools
}

// images says how a provider takes images.
type images int

const (
	imagesAny   images = iota // a URL as a URL, a data URL as its bytes
	imagesByURL               // both as a URL
	imagesBytes               // bytes only
	imagesNone
)

// providers are those of langchaingo v0.1.14, by the path of their package.
var providers = []provider{
	{name: "openai", images: imagesByURL, stops: true, jsonMode: true},
	{name: "anthropic", images: imagesBytes, apart: true, stops: true},
	{name: "googleai", images: imagesBytes, together: true, schemas: true, stops: true},
	{name: "vertex", images: imagesBytes, together: true, schemas: true, stops: true},
	{name: "bedrock", images: imagesBytes, lossy: true},
	{name: "mistral", images: imagesNone, stops: true},
	{name: "ollama", images: imagesBytes, noTools: true},
	{name: "cloudflare", images: imagesNone, noTools: true},
	{name: "cohere", images: imagesNone, noTools: true},
	{name: "ernie", images: imagesNone, noTools: true},
	{name: "huggingface", images: imagesNone, noTools: true},
	{name: "llamafile", images: imagesNone, noTools: true},
	{name: "local", images: imagesNone, noTools: true},
	{name: "maritaca", images: imagesNone, noTools: true},
	{name: "watsonx", images: imagesNone, noTools: true},
}

func named(name string) (provider, bool) {
	i := slices.IndexFunc(providers, func(p provider) bool { return p.name == name })
	if i < 0 {
		return provider{}, false
	}
	return providers[i], true
}

// providerOf knows a provider by the package of its type.
func providerOf(m llms.Model) provider {
	t := reflect.TypeOf(m)
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	path, ours := strings.CutPrefix(t.PkgPath(), "github.com/tmc/langchaingo/llms/")
	if !ours {
		return provider{}
	}
	p, _ := named(path[strings.LastIndexByte(path, '/')+1:]) // such as googleai/vertex
	return p
}

func names() []string {
	var all []string
	for _, p := range providers {
		all = append(all, p.name)
	}
	return all
}
