package filter

import (
	"log/slog"
	"strconv"
	"strings"
)

// String shows the fields and operators for people and logs. Operands, which may
// be personal, show as "?".
func (f Filter) String() string {
	var out strings.Builder
	f.root.describe(&out)
	return out.String()
}

// LogValue makes structured logs write what String says, instead of the JSON,
// which holds the operands.
func (f Filter) LogValue() slog.Value { return slog.StringValue(f.String()) }

func (n *node) describe(out *strings.Builder) {
	if n == nil {
		out.WriteString("everything")
		return
	}
	switch n.kind {
	case invalidNode:
		out.WriteString("an invalid filter")
	case leafNode:
		n.leaf.describe(out)
	case notNode:
		out.WriteString("not (")
		n.children[0].describe(out)
		out.WriteString(")")
	case andNode:
		n.describeChildren(out, " and ")
	case orNode:
		n.describeChildren(out, " or ")
	}
}

// describeChildren puts parentheses around parts that could be read another way.
func (n *node) describeChildren(out *strings.Builder, word string) {
	for i, child := range n.children {
		if i > 0 {
			out.WriteString(word)
		}
		if child.kind == andNode || child.kind == orNode {
			out.WriteString("(")
			child.describe(out)
			out.WriteString(")")
			continue
		}
		child.describe(out)
	}
}

func (l *leaf) describe(out *strings.Builder) {
	out.WriteString(names[l.field.property])
	if l.field.property == metadataProperty {
		out.WriteString("." + readable(l.field.key))
	}
	out.WriteString(" " + spellings[l.op].sign)
	if l.op != exists {
		out.WriteString(" ?")
	}
}

// readable quotes a key that could be taken for more than a name.
func readable(key string) string {
	for _, r := range key {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("_-.$", r) {
			return strconv.Quote(key)
		}
	}
	return key
}
