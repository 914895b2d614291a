package langchain

import (
	"encoding/json"
	"math"
	"reflect"
	"strings"

	"github.com/fermata-run/fermata/agent"
)

// usageOf reads what an answer has cost. The keys are, in the order of openai
// and ollama, anthropic, googleai and bedrock, mistral:
//
//	PromptTokens     InputTokens           input_tokens          usage.prompt_tokens
//	CompletionTokens OutputTokens          output_tokens         usage.completion_tokens
//	PromptCachedTokens CacheReadInputTokens CachedTokens
//	ReasoningTokens  ThinkingTokens
//
// and are taken without their case and underscores. Anthropic does not count
// what it read from its cache or wrote there as input.
func usageOf(info map[string]any) agent.Usage {
	n := counts{}
	n.take(info)
	u := agent.Usage{
		Input:     n.first("prompttokens", "inputtokens", "inputtokencount", "prompttokencount"),
		Output:    n.first("completiontokens", "outputtokens", "outputtokencount", "candidatestokencount"),
		Cached:    n.first("promptcachedtokens", "cachedtokens", "cachereadinputtokens"),
		Reasoning: n.first("reasoningtokens", "completionreasoningtokens", "thinkingtokens"),
	}
	if written, ok := n["cachecreationinputtokens"]; ok {
		u.Input += written + n["cachereadinputtokens"]
	}
	u.Cached, u.Reasoning = min(u.Cached, u.Input), min(u.Reasoning, u.Output)
	return u
}

// counts are the numbers of an answer's information, by their plain keys.
type counts map[string]int

func (n counts) take(info map[string]any) {
	for k, v := range info {
		key := strings.ReplaceAll(strings.ToLower(k), "_", "")
		if i, ok := number(v); ok {
			n[key] = i
		} else if key == "usage" && v != nil {
			n.take(fields(v))
		}
	}
}

// fields are those of a struct or map.
func fields(v any) map[string]any {
	b, err := json.Marshal(v)
	if err != nil {
		return nil
	}
	var m map[string]any
	_ = json.Unmarshal(b, &m) // what is no object has no fields
	return m
}

func (n counts) first(keys ...string) int {
	for _, k := range keys {
		if n[k] > 0 {
			return n[k]
		}
	}
	return 0
}

// number returns a number of any type as a whole one that is not negative.
func number(v any) (int, bool) {
	f := math.NaN()
	switch r := reflect.ValueOf(v); {
	case !r.IsValid():
	case r.CanInt():
		f = float64(r.Int())
	case r.CanUint():
		f = float64(r.Uint())
	case r.CanFloat():
		f = r.Float()
	case r.Kind() == reflect.String: // such as json.Number
		_ = json.Unmarshal([]byte(r.String()), &f) // what is no number leaves it as it is
	}
	if !(f >= 0 && f <= 1<<53) {
		return 0, false
	}
	return int(f), true
}
