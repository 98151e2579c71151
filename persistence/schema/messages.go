package schema

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// messages compares messages of protobuf by what becomes of bytes that were
// written by the one and are read by the other.
type messages struct {
	report func(Finding)
	seen   map[[2]protoreflect.FullName]bool
}

// first reports whether a pair was not compared yet.
func (m *messages) first(was, is protoreflect.Descriptor) bool {
	pair := [2]protoreflect.FullName{was.FullName(), is.FullName()}
	if m.seen[pair] {
		return false
	}
	if m.seen == nil {
		m.seen = map[[2]protoreflect.FullName]bool{}
	}
	m.seen[pair] = true
	return true
}

func (m *messages) compare(was, is protoreflect.MessageDescriptor) {
	if !m.first(was, is) {
		return
	}
	for i := range was.Fields().Len() {
		before := was.Fields().Get(i)
		if now := is.Fields().ByNumber(before.Number()); now != nil {
			m.field(before, now)
		} else {
			m.removed(before, is)
		}
	}
	for i := range is.Fields().Len() {
		now := is.Fields().Get(i)
		before := was.Fields().ByNumber(now.Number())
		if now.Cardinality() == protoreflect.Required && (before == nil || before.Cardinality() != protoreflect.Required) {
			m.found(BreaksReading, RequiredField, now, declaration(before), declaration(now))
		}
	}
	m.oneofs(was, is)
}

func (m *messages) found(severity Severity, change Change, of protoreflect.Descriptor, was, is string) {
	m.report(Finding{Severity: severity, Change: change, Message: string(of.Parent().FullName()), Field: string(of.Name()), Was: was, Is: is})
}

// removed is a field whose number the message has not any more.
func (m *messages) removed(before protoreflect.FieldDescriptor, is protoreflect.MessageDescriptor) {
	switch now := is.Fields().ByName(before.Name()); {
	case now != nil:
		m.found(LosesData, FieldRenumbered, before, declaration(before), declaration(now))
	case is.ReservedRanges().Has(before.Number()):
		m.found(Notice, FieldRemoved, before, declaration(before), "reserved") // so it was meant
	default:
		m.found(LosesData, FieldRemoved, before, declaration(before), "")
	}
}

// field compares two fields of one number.
func (m *messages) field(before, now protoreflect.FieldDescriptor) {
	severity, changed := kinds(before, now)
	if before.Name() != now.Name() {
		is := now.ContainingMessage()
		moved := is.Fields().ByName(before.Name()) != nil || is.ReservedNames().Has(before.Name())
		if moved || changed && severity > Notice {
			m.found(BreaksReading, NumberReused, before, declaration(before), declaration(now))
			return
		}
		m.found(Notice, FieldRenamed, before, declaration(before), declaration(now))
	} else if before.JSONName() != now.JSONName() {
		m.found(Notice, FieldRenamed, before, before.JSONName()+" in JSON", now.JSONName()+" in JSON")
	}
	if changed {
		m.found(severity, FieldTypeChanged, before, declaration(before), declaration(now))
		return
	}
	m.cardinality(before, now)
	m.presence(before, now)
	switch {
	case before.Message() != nil && now.Message() != nil:
		m.compare(before.Message(), now.Message())
	case before.Enum() != nil && now.Enum() != nil:
		m.enums(before.Enum(), now.Enum())
	}
}

func (m *messages) cardinality(before, now protoreflect.FieldDescriptor) {
	many := func(f protoreflect.FieldDescriptor) bool { return f.IsList() || f.IsMap() }
	switch {
	case before.IsMap() != now.IsMap() && many(before) == many(now):
		m.found(LosesData, CardinalityChanged, before, declaration(before), declaration(now)) // of several values for a key one stays
	case many(before) && !many(now):
		m.found(LosesData, CardinalityChanged, before, declaration(before), declaration(now))
	case !many(before) && many(now):
		m.found(Notice, CardinalityChanged, before, declaration(before), declaration(now))
	case before.IsPacked() != now.IsPacked():
		packed := map[bool]string{true: "packed", false: "not packed"}
		m.found(Notice, PackingChanged, before, packed[before.IsPacked()], packed[now.IsPacked()])
	}
}

// presence compares what a field says that was not set.
func (m *messages) presence(before, now protoreflect.FieldDescriptor) {
	single := func(f protoreflect.FieldDescriptor) bool {
		return !f.IsList() && !f.IsMap() && f.Message() == nil && !inOneof(f)
	}
	if !single(before) || !single(now) {
		return
	}
	set := map[bool]string{true: "tells nothing from zero", false: "is zero when nothing was set"}
	switch {
	case before.HasPresence() && !now.HasPresence():
		m.found(LosesData, PresenceChanged, before, set[true], set[false])
	case !before.HasPresence() && now.HasPresence():
		m.found(Notice, PresenceChanged, before, set[false], set[true])
	}
	if was, is := fmt.Sprint(before.Default().Interface()), fmt.Sprint(now.Default().Interface()); was != is {
		m.found(LosesData, DefaultChanged, before, was, is)
	}
}

func inOneof(f protoreflect.FieldDescriptor) bool {
	return f.ContainingOneof() != nil && !f.ContainingOneof().IsSynthetic()
}

// oneofs looks for fields that could be set together and cannot any more.
func (m *messages) oneofs(was, is protoreflect.MessageDescriptor) {
	for i := range is.Oneofs().Len() {
		oneof := is.Oneofs().Get(i)
		if oneof.IsSynthetic() {
			continue
		}
		together := map[string]bool{} // what could be set at the same time
		var moved []string
		for k := range oneof.Fields().Len() {
			before := was.Fields().ByNumber(oneof.Fields().Get(k).Number())
			switch {
			case before == nil:
			case inOneof(before):
				together["oneof "+string(before.ContainingOneof().Name())] = true
			default:
				together[string(before.Name())] = true
				moved = append(moved, string(before.Name()))
			}
		}
		severity := Notice
		if len(together) > 1 {
			severity = LosesData
		}
		if len(together) > 1 || len(moved) > 0 {
			m.found(severity, OneofChanged, oneof, "apart: "+strings.Join(sorted(together), ", "), "in one oneof")
		}
	}
	for i := range was.Fields().Len() {
		before := was.Fields().Get(i)
		if now := is.Fields().ByNumber(before.Number()); now != nil && inOneof(before) && !inOneof(now) {
			m.found(Notice, OneofChanged, before, "in oneof "+string(before.ContainingOneof().Name()), "in none")
		}
	}
}

func sorted(set map[string]bool) []string {
	all := make([]string, 0, len(set))
	for one := range set {
		all = append(all, one)
	}
	slices.Sort(all)
	return all
}

func (m *messages) enums(was, is protoreflect.EnumDescriptor) {
	if !m.first(was, is) {
		return
	}
	for i := range was.Values().Len() {
		m.value(was.Values().Get(i), was, is)
	}
	if !was.IsClosed() && is.IsClosed() {
		m.report(Finding{Severity: Notice, Change: EnumClosed, Message: string(was.FullName()), Was: "open", Is: "closed"})
	}
}

func (m *messages) value(before protoreflect.EnumValueDescriptor, was, is protoreflect.EnumDescriptor) {
	found := func(severity Severity, change Change, now string) {
		m.report(Finding{
			Severity: severity, Change: change, Message: string(was.FullName()), Field: string(before.Name()),
			Was: fmt.Sprintf("%s = %d", before.Name(), before.Number()), Is: now,
		})
	}
	if now := is.Values().ByName(before.Name()); now != nil {
		if now.Number() != before.Number() {
			found(BreaksReading, EnumValueRenumbered, fmt.Sprintf("%s = %d", now.Name(), now.Number()))
		}
		return
	}
	now := is.Values().ByNumber(before.Number())
	switch {
	case now == nil && is.ReservedRanges().Has(before.Number()):
		found(Notice, EnumValueRemoved, "reserved")
	case now == nil:
		found(LosesData, EnumValueRemoved, "")
	default:
		renamed := fmt.Sprintf("%s = %d", now.Name(), now.Number())
		if other := was.Values().ByName(now.Name()); other != nil && other.Number() != now.Number() {
			found(BreaksReading, EnumValueRenumbered, renamed) // the number means what another one meant
			return
		}
		found(Notice, EnumValueRenamed, renamed)
	}
}

// widens says which kinds hold all values of a kind, read from the same bytes.
var widens = map[protoreflect.Kind][]protoreflect.Kind{
	protoreflect.BoolKind:   {protoreflect.Int32Kind, protoreflect.Uint32Kind, protoreflect.Int64Kind, protoreflect.Uint64Kind, protoreflect.EnumKind},
	protoreflect.Int32Kind:  {protoreflect.Int64Kind, protoreflect.EnumKind},
	protoreflect.EnumKind:   {protoreflect.Int32Kind, protoreflect.Int64Kind},
	protoreflect.Uint32Kind: {protoreflect.Int64Kind, protoreflect.Uint64Kind},
	protoreflect.Sint32Kind: {protoreflect.Sint64Kind},
	protoreflect.StringKind: {protoreflect.BytesKind},
	// What was a message is the bytes of one then.
	protoreflect.MessageKind: {protoreflect.BytesKind},
}

// alike are the kinds that are written alike, but for what does not fit.
var alike = [][]protoreflect.Kind{
	{protoreflect.BoolKind, protoreflect.Int32Kind, protoreflect.Uint32Kind, protoreflect.Int64Kind, protoreflect.Uint64Kind, protoreflect.EnumKind},
	{protoreflect.Sint32Kind, protoreflect.Sint64Kind},
	{protoreflect.Fixed32Kind, protoreflect.Sfixed32Kind},
	{protoreflect.Fixed64Kind, protoreflect.Sfixed64Kind},
}

// kinds says what a change of a field's kind does, if there is one. That messages
// have another name means nothing: what they hold is compared.
func kinds(before, now protoreflect.FieldDescriptor) (severity Severity, changed bool) {
	was, is := before.Kind(), now.Kind()
	if was == is {
		return Notice, false
	}
	if slices.Contains(widens[was], is) {
		if is == protoreflect.EnumKind && now.Enum().IsClosed() {
			return LosesData, true
		}
		return Notice, true
	}
	for _, family := range alike {
		if slices.Contains(family, was) && slices.Contains(family, is) {
			return LosesData, true
		}
	}
	return BreaksReading, true
}

// declaration is a field as its file has it.
func declaration(f protoreflect.FieldDescriptor) string {
	if f == nil {
		return ""
	}
	of := func(f protoreflect.FieldDescriptor) string {
		switch {
		case f.Message() != nil:
			return string(f.Message().FullName())
		case f.Enum() != nil:
			return string(f.Enum().FullName())
		}
		return f.Kind().String()
	}
	text := of(f)
	switch {
	case f.IsMap():
		text = fmt.Sprintf("map<%s, %s>", of(f.MapKey()), of(f.MapValue()))
	case f.IsList():
		text = "repeated " + text
	case f.Cardinality() == protoreflect.Required:
		text = "required " + text
	case f.HasOptionalKeyword():
		text = "optional " + text
	}
	return fmt.Sprintf("%s %s = %d", text, f.Name(), f.Number())
}
