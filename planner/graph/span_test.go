package graph

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"
)

func TestDurationOf(t *testing.T) {
	const d = 24 * time.Hour
	tests := []struct {
		value any
		want  time.Duration
		err   string
	}{
		{"36h", 36 * time.Hour, ""},
		{"1w2d3h", 9*d + 3*time.Hour, ""},
		{"200ms", 200 * time.Millisecond, ""},
		{"1.5d", 36 * time.Hour, ""},
		{"2us3ns", 2003, ""},
		{"0", 0, ""},
		{"0s", 0, ""},
		{"106751d", 106751 * d, ""},
		{"P3DT4H", 3*d + 4*time.Hour, ""},
		{"P2W", 14 * d, ""},
		{"PT0.5S", 500 * time.Millisecond, ""},
		{"PT1M", time.Minute, ""},
		{90, 90 * time.Second, ""},
		{int64(2), 2 * time.Second, ""},
		{0.25, 250 * time.Millisecond, ""},
		{json.Number("3"), 3 * time.Second, ""},
		{time.Hour, time.Hour, ""},

		{"-5s", 0, "the duration -5s is negative"},
		{-1.5, 0, "the duration -1.5s is negative"},
		{time.Duration(-1), 0, "the duration -1ns is negative"},
		{"106752d", 0, `the duration 106752d is too long`},
		{"100000d1000000h", 0, "is too long"},
		{"P106751DT24H", 0, "is too long"},
		{"99999999999999999999h", 0, "is too long"},
		{int64(math.MaxInt64), 0, "is too long"},
		{1e300, 0, "is too long"},
		{math.NaN(), 0, "is too long"},
		{"P1M", 0, "has years or months, whose length differs: say days, as in P30D"},
		{"P1Y", 0, "has years or months"},
		{"", 0, `got the text ""`},
		{"5", 0, `got the text "5"`},
		{"h", 0, `got the text "h"`},
		{"1.2.3h", 0, `got the text "1.2.3h"`},
		{"1 h", 0, `got the text "1 h"`},
		{"5 minutes", 0, `expected a duration such as "36h", "2w", "1d12h" or "P3DT4H", got the text "5 minutes"`},
		{"P", 0, `got the text "P"`},
		{"PT", 0, `got the text "PT"`},
		{"P3H", 0, `got the text "P3H"`},
		{nil, 0, "got null"},
		{true, 0, "got true"},
		{[]any{}, 0, "got a list"},
	}
	for _, tt := range tests {
		got, err := durationOf(tt.value)
		if got != tt.want || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%#v: got %v, %v, want %v, %s", tt.value, got, err, tt.want, tt.err)
		}
	}
}

func TestMomentOf(t *testing.T) {
	from := time.Date(2026, 1, 31, 9, 0, 0, 0, time.UTC)
	tests := []struct {
		value any
		want  time.Time
		err   string
	}{
		{"2d", from.AddDate(0, 0, 2), ""},
		{60, from.Add(time.Minute), ""},
		{"2027-05-06T07:08:09.5+02:00", time.Date(2027, 5, 6, 5, 8, 9, 5e8, time.UTC), ""},
		{from, from, ""},
		{"2027-05-06", time.Time{}, `expected a time such as 2026-01-31T09:00:00Z, or a duration, got the text "2027-05-06"`},
		{"soon", time.Time{}, `got the text "soon", or a time such as`},
		{nil, time.Time{}, "got null"},
	}
	for _, tt := range tests {
		got, err := momentOf(tt.value, from)
		if !got.Equal(tt.want) || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%#v: got %v, %v, want %v, %s", tt.value, got, err, tt.want, tt.err)
		}
	}
}

func FuzzDurationOf(f *testing.F) {
	for _, s := range []string{"1w2d3h", "P3DT4H", "-1.5h", "1e9s", "0.1ns", "P"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := durationOf(s)
		if d < 0 || err != nil && d != 0 {
			t.Fatalf("%q is %v, %v", s, d, err)
		}
		if err != nil {
			return
		}
		if again, err := durationOf(d.String()); again != d || err != nil {
			t.Fatalf("%q is %v, which is %v, %v", s, d, again, err)
		}
	})
}
