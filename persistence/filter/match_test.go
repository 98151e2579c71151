package filter_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/filter"
)

func with(key string, v persistence.Value) *persistence.Recorded {
	return &persistence.Recorded{Event: persistence.Event{Type: "opened", Metadata: persistence.Metadata{key: v}}, Stream: "account-1"}
}

// Every operator on metadata against a value that equals the operand, one below,
// one above, one of each other kind, and none.
func TestOperatorsOnMetadata(t *testing.T) {
	t.Parallel()
	text, number, truth := persistence.String, persistence.Int, persistence.Bool
	k := filter.Meta("k")
	type row struct {
		filter              filter.Filter
		equal, below, above bool
	}
	kinds := map[string]struct {
		equal, below, above persistence.Value
		rows                map[string]row
		others              []persistence.Value
	}{
		"text": {
			equal: text("b"), below: text("a"), above: text("c"),
			rows: map[string]row{
				"eq":            {k.Text().Eq("b"), true, false, false},
				"eq of a value": {k.Eq(text("b")), true, false, false},
				"ne":            {k.Text().Ne("b"), false, true, true},
				"ne of a value": {k.Ne(text("b")), false, true, true},
				"gt":            {k.Text().Gt("b"), false, false, true},
				"ge":            {k.Text().Ge("b"), true, false, true},
				"lt":            {k.Text().Lt("b"), false, true, false},
				"le":            {k.Text().Le("b"), true, true, false},
				"in":            {k.Text().In("c", "b"), true, false, true},
				"not in":        {k.Text().NotIn("c", "b"), false, true, false},
				"prefix":        {k.Text().Prefix("b"), true, false, false},
				"regex":         {k.Text().Regex("[ab]"), true, true, false},
			},
			others: []persistence.Value{number(98), persistence.Float(98), truth(true), truth(false)},
		},
		"integer": {
			equal: number(5), below: number(4), above: number(6),
			rows: map[string]row{
				"eq":            {k.Int().Eq(5), true, false, false},
				"eq of a value": {k.Eq(number(5)), true, false, false},
				"ne":            {k.Int().Ne(5), false, true, true},
				"gt":            {k.Int().Gt(5), false, false, true},
				"ge":            {k.Int().Ge(5), true, false, true},
				"lt":            {k.Int().Lt(5), false, true, false},
				"le":            {k.Int().Le(5), true, true, false},
				"in":            {k.Int().In(6, 5), true, false, true},
				"not in":        {k.Int().NotIn(6, 5), false, true, false},
				"gt of a float": {k.Float().Gt(5.5), false, false, true},
				"eq of a float": {k.Float().Eq(5), true, false, false},
			},
			others: []persistence.Value{text("5"), text("4"), text("6"), truth(true), truth(false)},
		},
		"float": {
			equal: persistence.Float(5), below: persistence.Float(4.5), above: persistence.Float(5.5),
			rows: map[string]row{
				"eq":                {k.Float().Eq(5), true, false, false},
				"eq of an integer":  {k.Int().Eq(5), true, false, false},
				"ne":                {k.Float().Ne(5), false, true, true},
				"gt of an integer":  {k.Int().Gt(5), false, false, true},
				"lt":                {k.Float().Lt(5), false, true, false},
				"in of both kinds":  {k.In(number(5), persistence.Float(5.5)), true, false, true},
				"not in of a value": {k.NotIn(number(5)), false, true, true},
			},
			others: []persistence.Value{text("5"), text("5.0"), truth(true)},
		},
		"truth": {
			equal: truth(true), below: truth(false), above: truth(false),
			rows: map[string]row{
				"eq":     {k.Eq(truth(true)), true, false, false},
				"ne":     {k.Ne(truth(true)), false, true, true},
				"in":     {k.In(truth(true)), true, false, false},
				"not in": {k.NotIn(truth(true)), false, true, true},
			},
			others: []persistence.Value{text("true"), number(1), persistence.Float(1), number(0)},
		},
	}
	for kind, c := range kinds {
		for name, r := range c.rows {
			t.Run(kind+" "+name, func(t *testing.T) {
				t.Parallel()
				require.NoError(t, r.filter.Check())
				require.Equal(t, r.equal, r.filter.Match(with("k", c.equal)), "the operand itself")
				require.Equal(t, r.below, r.filter.Match(with("k", c.below)), "a smaller value")
				require.Equal(t, r.above, r.filter.Match(with("k", c.above)), "a greater value")
				for _, other := range c.others {
					require.False(t, r.filter.Match(with("k", other)), "another kind: %s", other.Text())
					require.True(t, filter.Not(r.filter).Match(with("k", other)), "another kind negated: %s", other.Text())
				}
				require.False(t, r.filter.Match(with("other", c.equal)), "a missing key")
				require.True(t, filter.Not(r.filter).Match(with("other", c.equal)), "a missing key negated")
				require.False(t, r.filter.Match(&persistence.Recorded{}), "no metadata at all")
			})
		}
	}
}

func TestFieldsOfAnEvent(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 1, 10, 0, 0, 123_456_000, time.UTC)
	id := persistence.EventID{15: 7}
	event := &persistence.Recorded{
		Event: persistence.Event{
			ID: id, Type: "opened", Tags: []string{"order 7", "test"},
			Metadata: persistence.Metadata{"tenant": persistence.String("acme")},
		},
		Stream: "user-profile-7", Version: 3, Position: persistence.Position{Part: 2, Offset: 42}, At: at,
	}
	plain := &persistence.Recorded{Stream: "plain"}
	cases := map[string]struct {
		filter filter.Filter
		want   bool
	}{
		"everything":                          {filter.Filter{}, true},
		"nothing":                             {filter.Not(filter.Filter{}), false},
		"id":                                  {filter.ID().Eq(id), true},
		"another id":                          {filter.ID().Eq(persistence.EventID{14: 7}), false},
		"not another id":                      {filter.ID().Ne(persistence.EventID{}), true},
		"one of the ids":                      {filter.ID().In(persistence.EventID{}, id), true},
		"none of the ids":                     {filter.ID().NotIn(persistence.EventID{}, id), false},
		"type":                                {filter.Type().Eq("opened"), true},
		"type in other case":                  {filter.Type().Eq("Opened"), false},
		"type by prefix":                      {filter.Type().Prefix("open"), true},
		"type by pattern":                     {filter.Type().Regex("^o.*d$"), true},
		"type by pattern inside":              {filter.Type().Regex("pene"), true},
		"type greater":                        {filter.Type().Gt("opene"), true},
		"stream":                              {filter.Stream().Eq("user-profile-7"), true},
		"stream in":                           {filter.Stream().In("a", "user-profile-7", "z"), true},
		"stream not in":                       {filter.Stream().NotIn("a", "z"), true},
		"category":                            {filter.Category().Eq("user"), true},
		"category is not the whole beginning": {filter.Category().Eq("user-profile"), false},
		"category exists":                     {filter.Category().Exists(), true},
		"version":                             {filter.Version().Eq(3), true},
		"version at least":                    {filter.Version().Ge(3), true},
		"version above":                       {filter.Version().Gt(3), false},
		"version below":                       {filter.Version().Lt(4), true},
		"version at most":                     {filter.Version().Le(2), false},
		"version in":                          {filter.Version().In(1, 2, 3), true},
		"offset in any partition":             {filter.Offset().Eq(42), true},
		"offset between":                      {filter.Offset().Gt(41).And(filter.Offset().Le(42)), true},
		"time":                                {filter.Time().Eq(at), true},
		"time in another zone":                {filter.Time().Eq(at.In(time.FixedZone("", 3600))), true},
		"time cut to microseconds":            {filter.Time().Eq(at.Add(999)), true},
		"time one microsecond later":          {filter.Time().Eq(at.Add(time.Microsecond)), false},
		"time before":                         {filter.Time().Lt(at), false},
		"time since":                          {filter.Time().Ge(at), true},
		"tag":                                 {filter.Tag().Eq("test"), true},
		"both tags":                           {filter.Tag().Eq("test").And(filter.Tag().Eq("order 7")), true},
		"another tag":                         {filter.Tag().Eq("order"), false},
		"not a tag":                           {filter.Not(filter.Tag().Eq("test")), false},
		"tag in":                              {filter.Tag().In("x", "order 7"), true},
		"tag in nothing":                      {filter.Tag().In(), false},
		"tag by prefix":                       {filter.Tag().Prefix("order "), true},
		"tag by pattern":                      {filter.Tag().Regex(`^order \d+$`), true},
		"tag exists":                          {filter.Tag().Exists(), true},
		"metadata exists":                     {filter.Meta("tenant").Exists(), true},
		"metadata in no values":               {filter.Meta("tenant").In(), false},
		"metadata not in no values":           {filter.Meta("tenant").NotIn(), true},
		"missing metadata not in no values":   {filter.Meta("user").NotIn(), false},
		"missing metadata exists":             {filter.Meta("user").Exists(), false},
		"type in no values":                   {filter.Type().In(), false},
		"type not in no values":               {filter.Type().NotIn(), true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.NoError(t, c.filter.Check())
			require.Equal(t, c.want, c.filter.Match(event))
		})
	}
	for name, missing := range map[string]filter.Filter{
		"eq": filter.Category().Eq(""), "ne": filter.Category().Ne("user"), "not in": filter.Category().NotIn(),
		"prefix": filter.Category().Prefix(""), "exists": filter.Category().Exists(), "tag exists": filter.Tag().Exists(),
		"tag prefix": filter.Tag().Prefix(""), "tag pattern": filter.Tag().Regex(""),
	} {
		require.False(t, missing.Match(plain), name)
		require.True(t, filter.Not(missing).Match(plain), name)
	}
}

// The metadata matchers of the systems this project descends from got each of
// these wrong in at least one of their stores.
func TestWhatEarlierMatchersGotWrong(t *testing.T) {
	t.Parallel()
	text, number := persistence.String, persistence.Int
	for name, c := range map[string]struct {
		filter filter.Filter
		event  *persistence.Recorded
		want   bool
	}{
		"a number equals text of the same digits":   {filter.Meta("k").Int().Eq(5), with("k", text("5")), false},
		"text equals a number of the same digits":   {filter.Meta("k").Text().Eq("5"), with("k", number(5)), false},
		"10.5 > 9.5 compares as text":               {filter.Meta("k").Float().Gt(9.5), with("k", persistence.Float(10.5)), true},
		"10 > 9 compares as text":                   {filter.Meta("k").Int().Gt(9), with("k", number(10)), true},
		"a truth value is never in a list":          {filter.Meta("k").In(persistence.Bool(true)), with("k", persistence.Bool(true)), true},
		"an empty list is an error":                 {filter.Meta("k").In(), with("k", number(1)), false},
		"nothing excluded is an error":              {filter.Meta("k").NotIn(), with("k", number(1)), true},
		"a text that is no number is an error":      {filter.Meta("k").Int().Lt(5), with("k", text("many")), false},
		"a number too large is an error":            {filter.Meta("k").Int().Lt(5), with("k", persistence.Float(1e300)), false},
		"not equal holds without the key":           {filter.Meta("k").Int().Ne(5), with("j", number(1)), false},
		"not in holds without the key":              {filter.Meta("k").Int().NotIn(5), with("j", number(1)), false},
		"the id cannot be looked for":               {filter.ID().Eq(persistence.EventID{1}), &persistence.Recorded{Event: persistence.Event{ID: persistence.EventID{1}}}, true},
		"a dot in a name leads into the value":      {filter.Meta("k.l").Int().Eq(1), with("k.l", number(1)), true},
		"a name is a path":                          {filter.Meta("$.k").Exists(), with("k", number(1)), false},
		"a name is pasted into a statement":         {filter.Meta(`k' = '' OR 1=1 --`).Exists(), with("k", number(1)), false},
		"integers above 2^53 lose their last digit": {filter.Meta("k").Int().Eq(1<<53 + 1), with("k", number(1<<53)), false},
		"a float stands in for a near integer":      {filter.Meta("k").Int().Eq(1<<53 + 1), with("k", persistence.Float(1<<53)), false},
	} {
		t.Run("not so: "+name, func(t *testing.T) {
			t.Parallel()
			require.NoError(t, c.filter.Check())
			require.Equal(t, c.want, c.filter.Match(c.event))
		})
	}
}

func TestMetadataOfStreams(t *testing.T) {
	t.Parallel()
	metadata := persistence.Metadata{"owner": persistence.String("ann")}
	owner := filter.Meta("owner").Text().Eq("ann").And(filter.Not(filter.Meta("closed").Exists()))

	require.NoError(t, owner.CheckMetadata())
	require.True(t, owner.MatchMetadata(metadata))
	require.False(t, filter.Not(owner).MatchMetadata(metadata))
	require.False(t, owner.MatchMetadata(nil))
	require.NoError(t, filter.Filter{}.CheckMetadata())
	require.True(t, filter.Filter{}.MatchMetadata(nil))
	for _, other := range []filter.Filter{filter.Type().Eq("x"), owner.Or(filter.Not(filter.Tag().Exists())), filter.Meta("").Exists()} {
		require.ErrorIs(t, other.CheckMetadata(), persistence.ErrInvalid)
	}
}

func TestStringsCompareBytewise(t *testing.T) {
	t.Parallel()
	composed, decomposed := "\u00e9", "e\u0301"
	require.False(t, filter.Meta("k").Text().Eq(composed).Match(with("k", persistence.String(decomposed))))
	require.True(t, filter.Meta("k").Text().Lt("a").Match(with("k", persistence.String("Z"))), "capitals come first")
	require.True(t, filter.Meta("k").Text().Gt(strings.Repeat("z", 10)).Match(with("k", persistence.String("é"))))
}
