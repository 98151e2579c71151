package schema_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"pgregory.net/rapid"

	"github.com/stele-es/stele/persistence/schema"
)

// fileOf makes a file of package t of lines that are almost as in a .proto file:
//
//	proto2                        the syntax, if it is not proto3
//	message M                     begins a message
//	enum E                        begins an enum, whose lines are values
//	[label] type name = number    a field, or "map type name = number" by string
//	oneof o type name = number    a field of a oneof
//	reserved 7                    a number, or a name
//
// A field may end in "[packed]", "[unpacked]", "[json=x]" or "[default=x]".
func fileOf(text string) *descriptorpb.FileDescriptorProto {
	file := &descriptorpb.FileDescriptorProto{Name: new("t.proto"), Package: new("t"), Syntax: new("proto3")}
	var message *descriptorpb.DescriptorProto
	var enum *descriptorpb.EnumDescriptorProto
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		switch {
		case len(words) == 0:
		case words[0] == "proto2":
			file.Syntax = new("proto2")
		case words[0] == "message":
			message, enum = &descriptorpb.DescriptorProto{Name: &words[1]}, nil
			file.MessageType = append(file.MessageType, message)
		case words[0] == "enum":
			message, enum = nil, &descriptorpb.EnumDescriptorProto{Name: &words[1]}
			file.EnumType = append(file.EnumType, enum)
		case words[0] == "alias":
			enum.Options = &descriptorpb.EnumOptions{AllowAlias: new(true)}
		case words[0] == "reserved":
			reserve(message, enum, words[1])
		case enum != nil:
			enum.Value = append(enum.Value, &descriptorpb.EnumValueDescriptorProto{Name: &words[0], Number: new(number(words[2]))})
		default:
			addField(file, message, words)
		}
	}
	return file
}

func number(text string) int32 {
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		panic(err)
	}
	return int32(n)
}

func reserve(message *descriptorpb.DescriptorProto, enum *descriptorpb.EnumDescriptorProto, what string) {
	_, err := strconv.Atoi(what)
	switch {
	case enum != nil:
		n := number(what)
		enum.ReservedRange = append(enum.ReservedRange, &descriptorpb.EnumDescriptorProto_EnumReservedRange{Start: &n, End: &n})
	case err == nil:
		message.ReservedRange = append(message.ReservedRange, &descriptorpb.DescriptorProto_ReservedRange{Start: new(number(what)), End: new(number(what) + 1)})
	default:
		message.ReservedName = append(message.ReservedName, what)
	}
}

func addField(file *descriptorpb.FileDescriptorProto, message *descriptorpb.DescriptorProto, words []string) {
	field := &descriptorpb.FieldDescriptorProto{Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum()}
	label, oneof := words[0], ""
	switch label {
	case "optional", "required", "repeated", "map":
		words = words[1:]
	case "oneof":
		oneof, words = words[1], words[2:]
	default:
		label = ""
	}
	field.Name, field.Number = &words[1], new(number(words[3]))
	typed(file, field, words[0])
	for _, option := range words[4:] {
		name, value, _ := strings.Cut(strings.Trim(option, "[]"), "=")
		switch name {
		case "packed", "unpacked":
			field.Options = &descriptorpb.FieldOptions{Packed: new(name == "packed")}
		case "json":
			field.JsonName = &value
		case "default":
			field.DefaultValue = &value
		}
	}
	switch {
	case label == "repeated":
		field.Label = descriptorpb.FieldDescriptorProto_LABEL_REPEATED.Enum()
	case label == "required":
		field.Label = descriptorpb.FieldDescriptorProto_LABEL_REQUIRED.Enum()
	case label == "map":
		addMap(message, field)
	case oneof != "":
		field.OneofIndex = new(oneofOf(message, oneof))
	case label == "optional" && file.GetSyntax() == "proto3":
		field.Proto3Optional = new(true)
		field.OneofIndex = new(oneofOf(message, "_"+field.GetName()))
	}
	message.Field = append(message.Field, field)
}

func typed(file *descriptorpb.FileDescriptorProto, field *descriptorpb.FieldDescriptorProto, name string) {
	if scalar, ok := descriptorpb.FieldDescriptorProto_Type_value["TYPE_"+strings.ToUpper(name)]; ok {
		field.Type = descriptorpb.FieldDescriptorProto_Type(scalar).Enum()
		return
	}
	field.TypeName, field.Type = new(".t."+name), descriptorpb.FieldDescriptorProto_TYPE_MESSAGE.Enum()
	for _, enum := range file.EnumType {
		if enum.GetName() == name {
			field.Type = descriptorpb.FieldDescriptorProto_TYPE_ENUM.Enum()
		}
	}
}

func addMap(message *descriptorpb.DescriptorProto, field *descriptorpb.FieldDescriptorProto) {
	entry := strings.ToUpper(field.GetName()[:1]) + field.GetName()[1:] + "Entry"
	value := proto.CloneOf(field)
	value.Name, value.Number = new("value"), new(int32(2))
	key := &descriptorpb.FieldDescriptorProto{Name: new("key"), Number: new(int32(1)), Type: descriptorpb.FieldDescriptorProto_TYPE_STRING.Enum(), Label: value.Label}
	message.NestedType = append(message.NestedType, &descriptorpb.DescriptorProto{
		Name: &entry, Field: []*descriptorpb.FieldDescriptorProto{key, value}, Options: &descriptorpb.MessageOptions{MapEntry: new(true)},
	})
	field.Label = descriptorpb.FieldDescriptorProto_LABEL_REPEATED.Enum()
	field.Type, field.TypeName = descriptorpb.FieldDescriptorProto_TYPE_MESSAGE.Enum(), new(".t."+message.GetName()+"."+entry)
}

func oneofOf(message *descriptorpb.DescriptorProto, name string) int32 {
	for i, oneof := range message.OneofDecl {
		if oneof.GetName() == name {
			return int32(i)
		}
	}
	message.OneofDecl = append(message.OneofDecl, &descriptorpb.OneofDescriptorProto{Name: &name})
	return int32(len(message.OneofDecl) - 1)
}

// messageOf is the first message of a file.
func messageOf(t require.TestingT, text string) protoreflect.MessageDescriptor {
	file, err := protodesc.NewFile(fileOf(text), nil)
	require.NoError(t, err, text)
	return file.Messages().Get(0)
}

func lines(findings []schema.Finding) []string {
	var all []string
	for _, f := range findings {
		all = append(all, fmt.Sprintf("%s: %s: %s: %s -> %s", f.Severity, f.Change, f.Field, f.Was, f.Is))
	}
	return all
}

const colors = "\nenum Color\nNONE = 0\nRED = 1\nBLUE = 2\n"

func TestCompareMessages(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		was, is string // the fields of a message
		found   []string
	}{
		"nothing":               {"string a = 1", "string a = 1", nil},
		"a field more":          {"string a = 1", "string a = 1\nrepeated M b = 2", nil},
		"a field of a oneof":    {"oneof o string a = 1", "oneof o string a = 1\noneof o string b = 2", nil},
		"a oneof of new fields": {"string a = 1", "string a = 1\noneof o string b = 2\noneof o string c = 3", nil},
		"an enum value more":    {"Color c = 1" + colors, "Color c = 1" + colors + "GREEN = 3", nil},
		"a message more":        {"string a = 1", "string a = 1\nN n = 2\nmessage N\nstring b = 1", nil},
		"the order":             {"string a = 1\nint32 b = 2", "int32 b = 2\nstring a = 1", nil},
		"removed":               {"string a = 1", "", []string{"loses data: field removed: a: string a = 1 -> "}},
		"removed and reserved":  {"string a = 1", "reserved 1", []string{"notice: field removed: a: string a = 1 -> reserved"}},
		"renumbered":            {"string a = 1", "string a = 2", []string{"loses data: field renumbered: a: string a = 1 -> string a = 2"}},
		"renamed":               {"string a = 1", "string b = 1", []string{"notice: field renamed: a: string a = 1 -> string b = 1"}},
		"renamed in JSON":       {"string a = 1", "string a = 1 [json=x]", []string{"notice: field renamed: a: a in JSON -> x in JSON"}},
		"reused with a type":    {"string a = 1", "int64 b = 1", []string{"breaks reading: field number reused: a: string a = 1 -> int64 b = 1"}},
		"reused by name":        {"string a = 1", "string b = 1\nreserved a", []string{"breaks reading: field number reused: a: string a = 1 -> string b = 1"}},
		"two swapped": {"string a = 1\nstring b = 2", "string b = 1\nstring a = 2", []string{
			"breaks reading: field number reused: a: string a = 1 -> string b = 1", "breaks reading: field number reused: b: string b = 2 -> string a = 2",
		}},
		"another wire type":            {"string a = 1", "int64 a = 1", []string{"breaks reading: field type changed: a: string a = 1 -> int64 a = 1"}},
		"zigzag":                       {"int32 a = 1", "sint32 a = 1", []string{"breaks reading: field type changed: a: int32 a = 1 -> sint32 a = 1"}},
		"fixed and float":              {"fixed32 a = 1", "float a = 1", []string{"breaks reading: field type changed: a: fixed32 a = 1 -> float a = 1"}},
		"wider":                        {"int32 a = 1", "int64 a = 1", []string{"notice: field type changed: a: int32 a = 1 -> int64 a = 1"}},
		"narrower":                     {"int64 a = 1", "int32 a = 1", []string{"loses data: field type changed: a: int64 a = 1 -> int32 a = 1"}},
		"another sign":                 {"int32 a = 1", "uint32 a = 1", []string{"loses data: field type changed: a: int32 a = 1 -> uint32 a = 1"}},
		"text as bytes":                {"string a = 1", "bytes a = 1", []string{"notice: field type changed: a: string a = 1 -> bytes a = 1"}},
		"bytes as text":                {"bytes a = 1", "string a = 1", []string{"breaks reading: field type changed: a: bytes a = 1 -> string a = 1"}},
		"a message for text":           {"string a = 1", "M a = 1", []string{"breaks reading: field type changed: a: string a = 1 -> t.M a = 1"}},
		"an enum for a number":         {"int32 a = 1" + colors, "Color a = 1" + colors, []string{"notice: field type changed: a: int32 a = 1 -> t.Color a = 1"}},
		"many":                         {"string a = 1", "repeated string a = 1", []string{"notice: cardinality changed: a: string a = 1 -> repeated string a = 1"}},
		"one":                          {"repeated string a = 1", "string a = 1", []string{"loses data: cardinality changed: a: repeated string a = 1 -> string a = 1"}},
		"a map":                        {"repeated N a = 1\nmessage N\nstring key = 1\nint32 value = 2", "map int32 a = 1", []string{"loses data: cardinality changed: a: repeated t.N a = 1 -> map<string, int32> a = 1"}},
		"the values of a map":          {"map int32 a = 1", "map string a = 1", []string{"breaks reading: field type changed: value: int32 value = 2 -> string value = 2"}},
		"unpacked":                     {"repeated int32 a = 1", "repeated int32 a = 1 [unpacked]", []string{"notice: packing changed: a: packed -> not packed"}},
		"optional":                     {"string a = 1", "optional string a = 1", []string{"notice: presence changed: a: is zero when nothing was set -> tells nothing from zero"}},
		"not optional":                 {"optional string a = 1", "string a = 1", []string{"loses data: presence changed: a: tells nothing from zero -> is zero when nothing was set"}},
		"two into a oneof":             {"string a = 1\nstring b = 2", "oneof o string a = 1\noneof o string b = 2", []string{"loses data: oneof changed: o: apart: a, b -> in one oneof"}},
		"one into a oneof that was":    {"oneof o string a = 1\nstring b = 2", "oneof o string a = 1\noneof o string b = 2", []string{"loses data: oneof changed: o: apart: b, oneof o -> in one oneof"}},
		"one into a oneof of its own":  {"string a = 1", "oneof o string a = 1\noneof o string b = 2", []string{"notice: oneof changed: o: apart: a -> in one oneof"}},
		"out of a oneof":               {"oneof o string a = 1\noneof o string b = 2", "oneof o string a = 1\nstring b = 2", []string{"notice: oneof changed: b: in oneof o -> in none"}},
		"two oneofs made one":          {"oneof o string a = 1\noneof p string b = 2", "oneof o string a = 1\noneof o string b = 2", []string{"loses data: oneof changed: o: apart: oneof o, oneof p -> in one oneof"}},
		"an enum value removed":        {"Color c = 1" + colors, "Color c = 1\nenum Color\nNONE = 0\nRED = 1", []string{"loses data: enum value removed: BLUE: BLUE = 2 -> "}},
		"an enum value reserved":       {"Color c = 1" + colors, "Color c = 1\nenum Color\nNONE = 0\nRED = 1\nreserved 2", []string{"notice: enum value removed: BLUE: BLUE = 2 -> reserved"}},
		"an enum value renamed":        {"Color c = 1" + colors, "Color c = 1\nenum Color\nNONE = 0\nRED = 1\nGREEN = 2", []string{"notice: enum value renamed: BLUE: BLUE = 2 -> GREEN = 2"}},
		"an enum value renumbered":     {"Color c = 1" + colors, "Color c = 1\nenum Color\nNONE = 0\nRED = 1\nBLUE = 3", []string{"breaks reading: enum value renumbered: BLUE: BLUE = 2 -> BLUE = 3"}},
		"an enum value in a place":     {"Color c = 1" + colors, "Color c = 1\nenum Color\nNONE = 0\nBLUE = 1", []string{"breaks reading: enum value renumbered: BLUE: BLUE = 2 -> BLUE = 1", "breaks reading: enum value renumbered: RED: RED = 1 -> BLUE = 1"}},
		"an alias of an enum":          {"Color c = 1" + colors, "Color c = 1\nenum Color\nalias\nNONE = 0\nRED = 1\nBLUE = 2\nAZURE = 2", nil},
		"a message inside":             {"N n = 1\nmessage N\nM m = 1\nstring a = 2", "N n = 1\nmessage N\nM m = 1\nint32 a = 2", []string{"breaks reading: field type changed: a: string a = 2 -> int32 a = 2"}},
		"a message inside, renamed":    {"N n = 1\nmessage N\nstring a = 2", "O n = 1\nmessage O\nstring a = 2", nil},
		"required":                     {"proto2\noptional string a = 1", "proto2\nrequired string a = 1", []string{"breaks reading: field required: a: optional string a = 1 -> required string a = 1"}},
		"a field more that is needed":  {"proto2\noptional string a = 1", "proto2\noptional string a = 1\nrequired string b = 2", []string{"breaks reading: field required: b:  -> required string b = 2"}},
		"required no more":             {"proto2\nrequired string a = 1", "proto2\noptional string a = 1", nil},
		"another default":              {"proto2\noptional int32 a = 1 [default=7]", "proto2\noptional int32 a = 1 [default=8]", []string{"loses data: default changed: a: 7 -> 8"}},
		"an enum that became closed":   {"optional Color c = 1" + colors, "proto2\noptional Color c = 1" + colors, []string{"notice: enum closed: : open -> closed"}},
		"a number as an enum, closed":  {"proto2\noptional int32 c = 1" + colors, "proto2\noptional Color c = 1" + colors, []string{"loses data: field type changed: c: optional int32 c = 1 -> optional t.Color c = 1"}},
		"several, the worst one first": {"string a = 1\nstring b = 2", "int32 a = 1\nstring c = 2", []string{"breaks reading: field type changed: a: string a = 1 -> int32 a = 1", "notice: field renamed: b: string b = 2 -> string c = 2"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			findings := schema.CompareMessages(messageOf(t, withHeader(c.was)), messageOf(t, withHeader(c.is)))

			require.Equal(t, c.found, lines(findings))
			for _, f := range findings {
				require.NotEmpty(t, f.Fix)
				require.NotEmpty(t, f.Message)
			}
		})
	}
}

// withHeader begins a message of fields; enums have to be known before it.
func withHeader(fields string) string {
	syntax := ""
	if rest, ok := strings.CutPrefix(fields, "proto2\n"); ok {
		syntax, fields = "proto2\n", rest
	}
	fields, enums, _ := strings.Cut(fields, "enum ")
	if enums != "" {
		enums = "enum " + enums + "\n"
	}
	return syntax + enums + "message M\n" + fields
}

// Whatever a file is like, adding to it is no finding.
func TestAdditionsAreCompatible(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		types := []string{"string", "int32", "int64", "bool", "bytes", "double", "sint32", "Color", "N", "M"}
		labels := []string{"", "repeated ", "optional ", "map ", "oneof o ", "oneof p "}
		field := rapid.Custom(func(t *rapid.T) string {
			return rapid.SampledFrom(labels).Draw(t, "label") + rapid.SampledFrom(types).Draw(t, "type")
		})
		fields := func(name string, from int) string {
			var text strings.Builder
			for i, f := range rapid.SliceOfN(field, 0, 6).Draw(t, name) {
				fmt.Fprintf(&text, "%s f%d = %d\n", f, from+i, from+i)
			}
			return text.String()
		}
		old, oldInner := fields("fields", 1), fields("fields inside", 1)
		build := func(more, moreInner, values string) protoreflect.MessageDescriptor {
			text := "enum Color\nNONE = 0\nRED = 1\n" + values + "message M\n" + grouped(old+more) + "message N\n" + grouped(oldInner+moreInner)
			return messageOf(t, text)
		}

		findings := schema.CompareMessages(build("", "", ""), build(fields("more", 100), fields("more inside", 100), rapid.SampledFrom([]string{"", "BLUE = 2\n", "BLUE = -1\n"}).Draw(t, "values")))

		require.Empty(t, lines(findings))
	})
}

// grouped puts the fields of one oneof behind each other, as protobuf wants them,
// and those that are optional last.
func grouped(fields string) string {
	var first, o, p, last strings.Builder
	for line := range strings.Lines(fields) {
		switch {
		case strings.HasPrefix(line, "oneof o"):
			o.WriteString(line)
		case strings.HasPrefix(line, "oneof p"):
			p.WriteString(line)
		case strings.HasPrefix(line, "optional"):
			last.WriteString(line)
		default:
			first.WriteString(line)
		}
	}
	return first.String() + o.String() + p.String() + last.String()
}

type (
	inner struct{ A, B string }
	tree  struct {
		Value int32
		Below []tree
	}
	treeOfText struct {
		Value string
		Below []treeOfText
	}
)

func TestCompareStructs(t *testing.T) {
	t.Parallel()
	compare := func(findings []schema.Finding, err error) []string {
		require.NoError(t, err)
		return lines(findings)
	}
	for name, c := range map[string]struct{ found, want []string }{
		"nothing":      {compare(schema.CompareStructs[inner, inner]()), nil},
		"a field more": {compare(schema.CompareStructs[struct{ A string }, inner]()), nil},
		"itself":       {compare(schema.CompareStructs[tree, tree]()), nil},
		"wider":        {compare(schema.CompareStructs[struct{ A int32 }, struct{ A int64 }]()), nil},
		"may be left out": {compare(schema.CompareStructs[struct{ A int }, struct {
			A int `json:",omitempty"`
		}]()), nil},
		"may be null":       {compare(schema.CompareStructs[struct{ A int }, struct{ A *int }]()), nil},
		"nothing is known":  {compare(schema.CompareStructs[struct{ A any }, struct{ A any }]()), nil},
		"a struct as a map": {compare(schema.CompareStructs[struct{ A inner }, struct{ A map[string]string }]()), nil},
		"an array of more":  {compare(schema.CompareStructs[struct{ A [2]int }, struct{ A [3]int }]()), nil},
		"removed":           {compare(schema.CompareStructs[inner, struct{ A string }]()), []string{"loses data: field removed: B: string -> "}},
		"renamed":           {compare(schema.CompareStructs[struct{ A int }, struct{ B int }]()), []string{"loses data: field renamed: A: A -> B"}},
		"another case": {compare(schema.CompareStructs[struct{ A int }, struct {
			A int `json:"a"`
		}]()), []string{"notice: field renamed: A: A -> a"}},
		"a number as text": {compare(schema.CompareStructs[struct{ A int }, struct{ A string }]()), []string{"breaks reading: field type changed: A: integer (int64) -> string"}},
		"a number in quotes": {compare(schema.CompareStructs[struct{ A int }, struct {
			A int `json:",string"`
		}]()), []string{"breaks reading: field type changed: A: integer (int64) -> string (int64 in quotes)"}},
		"text as a time":        {compare(schema.CompareStructs[struct{ A string }, struct{ A time.Time }]()), []string{"breaks reading: field type changed: A: string -> string (date-time)"}},
		"text as bytes":         {compare(schema.CompareStructs[struct{ A string }, struct{ A []byte }]()), []string{"breaks reading: field type changed: A: string -> string of base64"}},
		"narrower":              {compare(schema.CompareStructs[struct{ A int64 }, struct{ A int32 }]()), []string{"breaks reading: field type changed: A: integer (int64) -> integer (int32)"}},
		"without a sign":        {compare(schema.CompareStructs[struct{ A int32 }, struct{ A uint64 }]()), []string{"breaks reading: field type changed: A: integer (int32) -> integer (uint64)"}},
		"whole as a fraction":   {compare(schema.CompareStructs[struct{ A int32 }, struct{ A float64 }]()), []string{"notice: field type changed: A: integer (int32) -> number (double)"}},
		"large as a fraction":   {compare(schema.CompareStructs[struct{ A int64 }, struct{ A float64 }]()), []string{"loses data: field type changed: A: integer (int64) -> number (double)"}},
		"a fraction as whole":   {compare(schema.CompareStructs[struct{ A float64 }, struct{ A int }]()), []string{"breaks reading: field type changed: A: number (double) -> integer (int64)"}},
		"a shorter fraction":    {compare(schema.CompareStructs[struct{ A float64 }, struct{ A float32 }]()), []string{"loses data: field type changed: A: number (double) -> number (float)"}},
		"one as many":           {compare(schema.CompareStructs[struct{ A string }, struct{ A []string }]()), []string{"breaks reading: field type changed: A: string -> array"}},
		"never null":            {compare(schema.CompareStructs[struct{ A *int }, struct{ A int }]()), []string{"notice: presence changed: A: null when there is none -> zero when there is none"}},
		"an array of less":      {compare(schema.CompareStructs[struct{ A []int }, struct{ A [3]int }]()), []string{"loses data: cardinality changed: A: more items -> fewer items"}},
		"a map as a struct":     {compare(schema.CompareStructs[struct{ A map[string]string }, struct{ A inner }]()), []string{"loses data: cardinality changed: A: map -> object"}},
		"inside a list":         {compare(schema.CompareStructs[struct{ A []inner }, struct{ A []struct{ A string } }]()), []string{"loses data: field removed: A[].B: string -> "}},
		"inside a map":          {compare(schema.CompareStructs[struct{ A map[int]int }, struct{ A map[int]bool }]()), []string{"breaks reading: field type changed: A[key]: integer (int64) -> boolean"}},
		"inside itself":         {compare(schema.CompareStructs[tree, treeOfText]()), []string{"breaks reading: field type changed: Value: integer (int32) -> string"}},
		"what nobody can say":   {compare(schema.CompareStructs[struct{ A any }, struct{ A int }]()), []string{"notice: field type changed: A: anything -> integer (int64)"}},
		"a struct for a number": {compare(schema.CompareStructs[struct{ A int }, struct{ A *inner }]()), []string{"breaks reading: field type changed: A: integer (int64) -> object"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, c.found)
		})
	}
}
