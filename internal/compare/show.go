package compare

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
)

// Show prints a value for people as Go writes it, with the names of types and fields.
// It follows pointers, prints times and protobuf messages by what they say, and maps
// in the order of their keys, so that equal values look alike.
func Show(value any) string { return printed(reflect.ValueOf(value)) }

func printed(v reflect.Value) string {
	p := &printer{}
	p.print(v, true)
	return p.String()
}

// printer ends the way through values that hold themselves by the pointers under way.
type printer struct {
	strings.Builder
	under []uintptr
}

// print writes a value, with its type unless what holds it says that already.
func (p *printer) print(v reflect.Value, named bool) {
	if !v.IsValid() {
		p.WriteString("nothing")
		return
	}
	if t, ok := readable[time.Time](v); ok {
		p.WriteString(t.Format(time.RFC3339Nano))
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		p.pointer(v, named)
	case reflect.Interface:
		if v.IsNil() {
			p.WriteString("nil")
			return
		}
		p.print(v.Elem(), true)
	case reflect.Struct:
		p.within(v, true, func(i int) {
			p.WriteString(v.Type().Field(i).Name + ":")
			p.print(v.Field(i), false)
		}, v.NumField())
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			text := strconv.Quote(string(v.Bytes()))
			if named {
				text = v.Type().String() + "(" + text + ")"
			}
			p.WriteString(text)
			return
		}
		fallthrough
	case reflect.Array:
		p.within(v, named, func(i int) { p.print(v.Index(i), false) }, v.Len())
	case reflect.Map:
		p.entries(v, named)
	case reflect.String:
		p.simple(v, named, strconv.Quote(v.String()))
	case reflect.Func, reflect.Chan, reflect.UnsafePointer:
		p.WriteString(v.Type().String())
	default:
		p.simple(v, named, fmt.Sprint(v))
	}
}

func (p *printer) pointer(v reflect.Value, named bool) {
	switch at := v.Pointer(); {
	case v.IsNil() && named:
		p.WriteString("(" + v.Type().String() + ")(nil)")
	case v.IsNil():
		p.WriteString("nil")
	case v.Type().Implements(reflect.TypeFor[proto.Message]()):
		text := prototext.MarshalOptions{AllowPartial: true}.Format(messageOf(v))
		p.WriteString("&" + v.Type().Elem().String() + "{" + strings.Join(strings.Fields(text), " ") + "}")
	case slices.Contains(p.under, at):
		p.WriteString("…")
	default:
		p.under = append(p.under, at)
		p.WriteByte('&')
		p.print(v.Elem(), true)
		p.under = p.under[:len(p.under)-1]
	}
}

func (p *printer) simple(v reflect.Value, named bool, text string) {
	if plain := v.Type().PkgPath() == ""; named && !plain {
		text = v.Type().String() + "(" + text + ")"
	}
	p.WriteString(text)
}

func (p *printer) within(v reflect.Value, named bool, part func(int), parts int) {
	if named {
		p.WriteString(v.Type().String())
	}
	p.WriteByte('{')
	for i := range parts {
		if i > 0 {
			p.WriteString(", ")
		}
		part(i)
	}
	p.WriteByte('}')
}

func (p *printer) entries(v reflect.Value, named bool) {
	texts := make([]string, 0, v.Len())
	for entry := v.MapRange(); entry.Next(); {
		one := &printer{under: p.under}
		one.print(entry.Key(), false)
		one.WriteByte(':')
		one.print(entry.Value(), false)
		texts = append(texts, one.String())
	}
	slices.Sort(texts)
	p.within(v, named, func(i int) { p.WriteString(texts[i]) }, len(texts))
}
