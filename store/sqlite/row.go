package sqlite

import (
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"time"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

// row is one row of an answer, read column by column from the left. The tables are
// STRICT, so a column holds its type or NULL, and NULL reads as the zero value.
type row struct {
	values []driver.Value
	at     int
	err    error // of the first column that could not be read
}

func (r *row) next() driver.Value {
	r.at++
	return r.values[r.at-1]
}

func (r *row) int() int64 {
	value, _ := r.next().(int64)
	return value
}

func (r *row) bool() bool { return r.int() != 0 }

func (r *row) text() string {
	value, _ := r.next().(string)
	return value
}

// blob returns nil for NULL only.
func (r *row) blob() []byte {
	value, is := r.next().([]byte)
	if is && value == nil { // what the driver makes of an empty one
		return []byte{}
	}
	return value
}

func (r *row) time() time.Time { return time.UnixMicro(r.int()).UTC() }

func (r *row) timeOrZero() time.Time {
	micros, is := r.next().(int64)
	if !is {
		return time.Time{}
	}
	return time.UnixMicro(micros).UTC()
}

func (r *row) duration() time.Duration { return time.Duration(r.int()) * time.Microsecond }

func (r *row) strings() (list []string) {
	r.json(&list)
	return list
}

func (r *row) integers() (list []int) {
	r.json(&list)
	return list
}

// schedule returns nil for NULL only.
func (r *row) schedule() webhook.Schedule {
	var waits []int64 // microseconds
	r.json(&waits)
	if waits == nil {
		return nil
	}
	schedule := make(webhook.Schedule, len(waits))
	for i, wait := range waits {
		schedule[i] = time.Duration(wait) * time.Microsecond
	}
	return schedule
}

func (r *row) deliveries() (list []store.DeliveryRef) {
	r.json(&list)
	return list
}

func (r *row) metadata() (m map[string]string) {
	r.json(&m)
	return m
}

func (r *row) json(into any) {
	text := r.text()
	if text == "" || r.err != nil {
		return
	}
	if err := json.Unmarshal([]byte(text), into); err != nil {
		r.err = fmt.Errorf("column %d: %w", r.at, err)
	}
}

// The other way: a Go value as an argument.

func micros(at time.Time) int64 { return at.UnixMicro() }

func microsOrNull(at time.Time) any {
	if at.IsZero() {
		return nil
	}
	return micros(at)
}

func textOrNull(text string) any {
	if text == "" {
		return nil
	}
	return text
}

func timeOrNull(at time.Time) any {
	if at.IsZero() {
		return nil
	}
	return micros(at)
}

func keyOrNull[K ~int64](key K) any {
	if key == 0 {
		return nil
	}
	return int64(key)
}

func blobOrNull(blob []byte) any {
	if len(blob) == 0 {
		return nil
	}
	return blob
}

func numberOrNull[T ~int64](number T) any {
	if number == 0 {
		return nil
	}
	return int64(number)
}

func listOrNull[T string | int](list []T) any {
	if len(list) == 0 {
		return nil
	}
	return encode(list)
}

func scheduleOrNull(schedule webhook.Schedule) any {
	if schedule == nil {
		return nil
	}
	waits := make([]int64, len(schedule))
	for i, wait := range schedule {
		waits[i] = wait.Microseconds()
	}
	return encode(waits)
}

func deliveriesOrNull(list []store.DeliveryRef) any {
	if len(list) == 0 {
		return nil
	}
	return encode(list)
}

func mapOrNull(m map[string]string) any {
	if len(m) == 0 {
		return nil
	}
	return encode(m)
}

func encode(value any) string {
	text, _ := json.Marshal(value) // strings, integers and maps of strings always can be
	return string(text)
}

func integer(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
