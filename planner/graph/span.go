package graph

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Units of durations beside those of Go.
const (
	spanDay  = 24 * time.Hour
	spanWeek = 7 * spanDay
)

// durationOf returns the duration that a value stands for: text such as "36h",
// "1w2d3h" or "200ms", in which d is 24 hours and w is 7 days; ISO 8601's text such as
// "P3DT4H"; or a number of seconds. It is not negative. The error says what is wrong.
func durationOf(v any) (time.Duration, error) {
	d, err := anyDuration(v)
	if err == nil && d < 0 {
		return 0, fmt.Errorf("the duration %s is negative: time does not go back", d)
	}
	return d, err
}

func anyDuration(v any) (time.Duration, error) {
	switch v := v.(type) {
	case time.Duration:
		return v, nil
	case string:
		return parseDuration(v)
	case int64:
		if v > math.MaxInt64/int64(time.Second) || v < math.MinInt64/int64(time.Second) {
			return 0, durationTooLong(fmt.Sprint(v, " seconds"))
		}
		return time.Duration(v) * time.Second, nil
	case float64:
		ns := v * float64(time.Second)
		if math.IsNaN(ns) || ns >= math.MaxInt64 || ns <= math.MinInt64 {
			return 0, durationTooLong(fmt.Sprint(v, " seconds"))
		}
		return time.Duration(ns), nil
	case nil:
		return 0, errors.New(`expected a duration such as "36h", got null`)
	}
	if n, err := normalise(v); err == nil {
		switch n.(type) {
		case string, int64, float64:
			return anyDuration(n)
		}
	}
	return 0, fmt.Errorf(`expected a duration such as "36h", got %s`, describeValue(v))
}

func durationTooLong(what string) error {
	return fmt.Errorf("the duration %.40s is too long: the longest is some 292 years", what)
}

// ParseDuration reads a duration as definitions have them: "36h", "2w", "1d12h" or
// "P3DT4H". It may have a sign.
func ParseDuration(s string) (time.Duration, error) { return parseDuration(s) }

// parseDuration reads the text of a duration, which may have a sign.
func parseDuration(s string) (time.Duration, error) {
	text, negative := strings.CutPrefix(s, "-")
	var d time.Duration
	var err error
	if rest, ok := strings.CutPrefix(text, "P"); ok {
		d, err = isoDuration(s, rest)
	} else {
		d, err = sumUnits(s, text, spanUnits)
	}
	if negative {
		d = -d
	}
	return d, err
}

var spanUnits = map[string]time.Duration{
	"ns": 1, "us": time.Microsecond, "µs": time.Microsecond, "μs": time.Microsecond, "ms": time.Millisecond,
	"s": time.Second, "m": time.Minute, "h": time.Hour, "d": spanDay, "w": spanWeek,
}

// isoDuration reads what follows the P of whole.
func isoDuration(whole, s string) (time.Duration, error) {
	date, clock, hasClock := strings.Cut(s, "T")
	if date == "" && clock == "" || hasClock && clock == "" {
		return 0, noDuration(whole)
	}
	if strings.ContainsAny(date, "YM") {
		return 0, fmt.Errorf("the duration %.40q has years or months, whose length differs: say days, as in P30D", whole)
	}
	var d, c time.Duration
	var err error
	if date != "" {
		if d, err = sumUnits(whole, date, map[string]time.Duration{"D": spanDay, "W": spanWeek}); err != nil {
			return 0, err
		}
	}
	if clock != "" {
		if c, err = sumUnits(whole, clock, map[string]time.Duration{"H": time.Hour, "M": time.Minute, "S": time.Second}); err != nil {
			return 0, err
		}
	}
	if d > math.MaxInt64-c {
		return 0, durationTooLong(whole)
	}
	return d + c, nil
}

// sumUnits adds up numbers that are each followed by a unit.
func sumUnits(whole, s string, known map[string]time.Duration) (time.Duration, error) {
	if s == "0" {
		return 0, nil
	}
	if s == "" {
		return 0, noDuration(whole)
	}
	var sum time.Duration
	for s != "" {
		n := 0
		for n < len(s) && (s[n] >= '0' && s[n] <= '9' || s[n] == '.' || s[n] == ',') {
			n++
		}
		u := n
		for u < len(s) && (s[u] < '0' || s[u] > '9') && s[u] != '.' && s[u] != ',' {
			u++
		}
		unit, ok := known[s[n:u]]
		if !ok || n == 0 {
			return 0, noDuration(whole)
		}
		d, ok := timesUnit(strings.Replace(s[:n], ",", ".", 1), unit)
		switch {
		case !ok:
			return 0, noDuration(whole)
		case d < 0 || d > math.MaxInt64-sum:
			return 0, durationTooLong(whole)
		}
		sum, s = sum+d, s[u:]
	}
	return sum, nil
}

// timesUnit multiplies a decimal number with a unit, exactly where the number is
// whole. It is not ok if that is no number, and negative if it is too large.
func timesUnit(number string, unit time.Duration) (d time.Duration, ok bool) {
	if i, err := strconv.ParseInt(number, 10, 64); err == nil {
		if i > math.MaxInt64/int64(unit) {
			return -1, true
		}
		return time.Duration(i) * unit, true
	}
	f, err := strconv.ParseFloat(number, 64)
	ns := math.Round(f * float64(unit))
	if ns >= math.MaxInt64 {
		return -1, true
	}
	return time.Duration(ns), err == nil
}

func noDuration(s string) error {
	return fmt.Errorf(`expected a duration such as "36h", "2w", "1d12h" or "P3DT4H", got %s`, describeValue(s))
}

// momentOf returns the time that a value stands for: a duration as of durationOf is
// counted from from; a time, or text as of RFC 3339, is itself.
func momentOf(v any, from time.Time) (time.Time, error) {
	if t, ok := v.(time.Time); ok {
		return t, nil
	}
	s, ok := v.(string)
	if !ok || len(s) < 5 || s[4] != '-' {
		d, err := durationOf(v)
		if err != nil {
			return time.Time{}, fmt.Errorf("%w, or a time such as 2026-01-31T09:00:00Z", err)
		}
		return from.Add(d), nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return time.Time{}, fmt.Errorf("expected a time such as 2026-01-31T09:00:00Z, or a duration, got the text %.40q", s)
	}
	if t.UTC().Add(time.Microsecond).Year() > 9999 {
		return time.Time{}, fmt.Errorf("the time %s is after the year 9999 of UTC, and cannot be kept", s)
	}
	return t, nil
}

// describeValue says what a value is, for messages.
func describeValue(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case bool:
		return strconv.FormatBool(v)
	case int64, float64, int:
		return fmt.Sprintf("the number %v", v)
	case string:
		return fmt.Sprintf("the text %.60q", v)
	case []any:
		return "a list"
	case map[string]any:
		return "an object"
	case time.Time:
		return "the time " + v.Format(time.RFC3339)
	case time.Duration:
		return "the duration " + v.String()
	}
	return fmt.Sprintf("a %T", v)
}
