package actors

import (
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// frozenStep is by how much the kit moves a clock that stands still: to another second,
// minute, hour, day and day of the week, and not so far that what else runs in the
// bubble would have much to do.
const frozenStep = 25*time.Hour + time.Minute + time.Second

// otherTime returns when the machine's clock has moved. It does so by itself, but for
// that of a bubble of testing/synctest.
func otherTime() {
	began := time.Now()
	for range 1000 {
		if time.Since(began) != 0 {
			return
		}
	}
	<-time.After(frozenStep)
}

// clockwork looks for the machine's clock in what a handler has decided. Deciding at
// two times does not show a time that was cut to the second or the day.
type clockwork struct{ from, until time.Time }

// in returns the place in a value where a moment between from and until stands: as a
// time, as a number of seconds and their parts, or as a text with the date.
func (c clockwork) in(value any) (at string, found bool) {
	return c.look(reflect.ValueOf(value), nil)
}

func (c clockwork) look(v reflect.Value, under []uintptr) (at string, found bool) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() && !slices.Contains(under, v.Pointer()) {
			return c.look(v.Elem(), append(under, v.Pointer()))
		}
	case reflect.Interface:
		return c.look(v.Elem(), under)
	case reflect.Struct:
		return c.lookInStruct(v, under)
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			if at, found := c.look(v.Index(i), under); found {
				return "[" + strconv.Itoa(i) + "]" + at, true
			}
		}
	case reflect.Map:
		for entry := v.MapRange(); entry.Next(); {
			if at, found := c.look(entry.Value(), under); found {
				return "[]" + at, true
			}
		}
	case reflect.Int64:
		return "", c.number(v.Int())
	case reflect.String:
		return "", c.text(v.String())
	}
	return "", false
}

func (c clockwork) lookInStruct(v reflect.Value, under []uintptr) (at string, found bool) {
	if t, ok := reflect.TypeAssert[time.Time](v); ok {
		return "", !t.Before(c.from.UTC().Truncate(24*time.Hour)) && !t.After(c.until)
	}
	for i := range v.NumField() {
		if f := v.Type().Field(i); f.IsExported() {
			if at, found := c.look(v.Field(i), under); found {
				return "." + f.Name + at, true
			}
		}
	}
	return "", false
}

func (c clockwork) text(s string) bool {
	return slices.ContainsFunc([]time.Time{c.from.UTC(), c.from.Local(), c.until.UTC(), c.until.Local()}, func(now time.Time) bool {
		return strings.Contains(s, now.Format(time.DateOnly))
	})
}

func (c clockwork) number(n int64) bool {
	for _, as := range []func(time.Time) int64{time.Time.Unix, time.Time.UnixMilli, time.Time.UnixMicro, time.Time.UnixNano} {
		if n >= as(c.from) && n <= as(c.until) {
			return true
		}
	}
	return false
}
