package redis

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"
	"time"

	"github.com/fermata-run/fermata/agent"
	"github.com/fermata-run/fermata/memory"
)

// What is kept is text with fields between spaces, the last of which is bytes
// that the store does not look into:
//
//	record    <id> <time> <checksum> <data>
//	snapshot  <checksum> <number> <id> <data>
//	ask       <checksum> <kind> <opened> <due> <people> <checksum of data> <data>
//
// Times are microseconds since 1970; "" is none. A checksum is CRC-32C, in
// hexadecimal, of all else, and for a record also of its number. That of an ask is
// of its id and of what stands before the data, its head, which lists read without
// them; people are as [memory.AskEntry.People] writes them.

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var errSum = errors.New("it does not fit its checksum")

const sumLen = 8 // of a checksum in hexadecimal

func appendSum(b []byte, sum uint32) []byte {
	const digits = "0123456789abcdef"
	for shift := 28; shift >= 0; shift -= 4 {
		b = append(b, digits[sum>>shift&15])
	}
	return b
}

// micros writes a time as it is kept.
func micros(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return strconv.FormatInt(t.UnixMicro(), 10)
}

func parseMicros(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("%q is not a time in microseconds", s)
	}
	return time.UnixMicro(n).UTC(), nil
}

func recordSum(seq int64, head, data []byte) uint32 {
	var number [20]byte
	sum := crc32.Update(0, castagnoli, strconv.AppendInt(number[:0], seq, 10))
	return crc32.Update(crc32.Update(sum, castagnoli, head), castagnoli, data)
}

func encodeRecord(r *memory.Record) []byte {
	b := make([]byte, 0, len(r.ID)+len(r.Data)+sumLen+20)
	b = append(append(b, r.ID...), ' ')
	b = append(strconv.AppendInt(b, r.Time.UnixMicro(), 10), ' ')
	sum := recordSum(r.Seq, b, r.Data)
	b = append(appendSum(b, sum), ' ')
	return append(b, r.Data...)
}

func decodeRecord(seq int64, v string) (r memory.Record, err error) {
	b := []byte(v)
	id := bytes.IndexByte(b, ' ')
	if id <= 0 {
		return r, fmt.Errorf("record %d is not of the form of a record", seq)
	}
	at := bytes.IndexByte(b[id+1:], ' ')
	head := id + 1 + at + 1
	if at < 0 || len(b) < head+sumLen+1 || b[head+sumLen] != ' ' {
		return r, fmt.Errorf("record %d is not of the form of a record", seq)
	}
	data := b[head+sumLen+1:]
	if string(appendSum(nil, recordSum(seq, b[:head], data))) != string(b[head:head+sumLen]) {
		return r, fmt.Errorf("record %d does not fit its checksum", seq)
	}
	t, err := parseMicros(string(b[id+1 : id+1+at]))
	return memory.Record{Seq: seq, ID: agent.RecordID(b[:id]), Time: t, Data: data}, err
}

// seal puts a checksum before text and data.
func seal(head string, data []byte) []byte {
	sum := crc32.Update(crc32.Checksum([]byte(head), castagnoli), castagnoli, data)
	b := make([]byte, 0, sumLen+1+len(head)+len(data))
	b = append(appendSum(b, sum), ' ')
	return append(append(b, head...), data...)
}

// unseal returns the n fields and the data that seal was given.
func unseal(v string, n int) (fields []string, data []byte, err error) {
	if len(v) < sumLen+1 || v[sumLen] != ' ' || string(appendSum(nil, crc32.Checksum([]byte(v[sumLen+1:]), castagnoli))) != v[:sumLen] {
		return nil, nil, errSum
	}
	rest := []byte(v[sumLen+1:])
	for range n {
		field, after, ok := bytes.Cut(rest, []byte{' '})
		if !ok {
			return nil, nil, fmt.Errorf("it has fewer than %d fields", n)
		}
		fields, rest = append(fields, string(field)), after
	}
	return fields, rest, nil
}

func encodeSnapshot(at memory.Position, data []byte) []byte {
	return seal(fmt.Sprintf("%d %s ", at.Seq, at.ID), data)
}

func decodeSnapshot(v string) (at memory.Position, data []byte, err error) {
	fields, data, err := unseal(v, 2)
	if err != nil {
		return at, nil, err
	}
	seq, err := strconv.ParseInt(fields[0], 10, 64)
	return memory.Position{Seq: seq, ID: agent.RecordID(fields[1])}, data, err
}

func encodeAsk(a *memory.AskEntry) []byte {
	head := fmt.Sprintf("%s %s %s %s %08x ", a.Kind, micros(a.Opened), micros(a.Due), a.People(), crc32.Checksum(a.Data, castagnoli))
	b := make([]byte, 0, sumLen+1+len(head)+len(a.Data))
	b = append(appendSum(b, headSum(a.ID, head)), ' ')
	return append(append(b, head...), a.Data...)
}

// headSum is the checksum of an ask's head, from its kind to the space before its data.
func headSum(id agent.AskID, head string) uint32 {
	sum := crc32.Update(0, castagnoli, []byte(id))
	return crc32.Update(sum, castagnoli, []byte(head))
}

// decodeHead takes an ask's head, after which v may end, and returns the checksum
// that the rest must have.
func decodeHead(id agent.AskID, v string) (a memory.AskEntry, rest, of string, err error) {
	a = memory.AskEntry{ID: id, Run: id.Run()}
	var fields [6]string
	rest = v
	for i := range fields {
		var ok bool
		if fields[i], rest, ok = strings.Cut(rest, " "); !ok {
			return a, "", "", fmt.Errorf("it has fewer than %d fields", len(fields))
		}
	}
	head := v[min(sumLen+1, len(v)) : len(v)-len(rest)]
	if string(appendSum(nil, headSum(id, head))) != fields[0] {
		return a, "", "", errSum
	}
	a.Kind = agent.AskKind(fields[1])
	var errs [3]error
	a.Opened, errs[0] = parseMicros(fields[2])
	a.Due, errs[1] = parseMicros(fields[3])
	errs[2] = a.SetPeople(fields[4])
	return a, rest, fields[5], errors.Join(errs[:]...)
}

func decodeAsk(id agent.AskID, v string) (memory.AskEntry, error) {
	a, rest, of, err := decodeHead(id, v)
	if err != nil {
		return a, err
	}
	a.Data = []byte(rest)
	if string(appendSum(nil, crc32.Checksum(a.Data, castagnoli))) != of {
		return a, errSum
	}
	return a, nil
}
