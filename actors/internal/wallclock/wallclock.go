// Package wallclock finds the time of the machine's clock in a value: when a function
// that should have decided by its arguments has looked at the clock instead. Calling it
// at two times is not enough, because a time that is cut to the day does not differ.
//
//	began := time.Now()
//	value := decide()
//	at, found := wallclock.Span{From: began, Until: time.Now()}.Find(value)
//
// The package knows no command and no event.
package wallclock

import (
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// frozenStep is by how much Advance moves a clock that stands still: to another second,
// minute, hour, day and day of the week, and not so far that what else runs in the
// bubble would have much to do.
const frozenStep = 25*time.Hour + time.Minute + time.Second

// Advance returns when the machine's clock has moved. It does so by itself, but for
// that of a bubble of testing/synctest.
func Advance() {
	began := time.Now()
	for range 1000 {
		if time.Since(began) != 0 {
			return
		}
	}
	<-time.After(frozenStep)
}

// Span is the time between two readings of the machine's clock.
type Span struct{ From, Until time.Time }

// Find returns the place in a value where a moment of the span stands: as a time, as a
// number of seconds or their parts, or as a text with the date.
func (s Span) Find(value any) (at string, found bool) {
	return s.find(reflect.ValueOf(value), nil)
}

func (s Span) find(v reflect.Value, under []uintptr) (at string, found bool) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() && !slices.Contains(under, v.Pointer()) {
			return s.find(v.Elem(), append(under, v.Pointer()))
		}
	case reflect.Interface:
		return s.find(v.Elem(), under)
	case reflect.Struct:
		return s.findInStruct(v, under)
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			if at, found := s.find(v.Index(i), under); found {
				return "[" + strconv.Itoa(i) + "]" + at, true
			}
		}
	case reflect.Map:
		for entry := v.MapRange(); entry.Next(); {
			if at, found := s.find(entry.Value(), under); found {
				return "[]" + at, true
			}
		}
	case reflect.Int64:
		return "", s.number(v.Int())
	case reflect.String:
		return "", s.text(v.String())
	}
	return "", false
}

func (s Span) findInStruct(v reflect.Value, under []uintptr) (at string, found bool) {
	if t, ok := reflect.TypeAssert[time.Time](v); ok {
		return "", !t.Before(s.From.UTC().Truncate(24*time.Hour)) && !t.After(s.Until)
	}
	for i := range v.NumField() {
		if f := v.Type().Field(i); f.IsExported() {
			if at, found := s.find(v.Field(i), under); found {
				return "." + f.Name + at, true
			}
		}
	}
	return "", false
}

func (s Span) text(text string) bool {
	return slices.ContainsFunc([]time.Time{s.From.UTC(), s.From.Local(), s.Until.UTC(), s.Until.Local()}, func(now time.Time) bool {
		return strings.Contains(text, now.Format(time.DateOnly))
	})
}

func (s Span) number(n int64) bool {
	for _, as := range []func(time.Time) int64{time.Time.Unix, time.Time.UnixMilli, time.Time.UnixMicro, time.Time.UnixNano} {
		if n >= as(s.From) && n <= as(s.Until) {
			return true
		}
	}
	return false
}
