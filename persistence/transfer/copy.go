package transfer

import (
	"context"
	"errors"
	"fmt"

	"github.com/stele-es/stele/persistence"
)

// CopyOptions say what is copied. The zero value is everything.
type CopyOptions struct {
	Choice
	// Follow goes on copying events as they come, until ctx is done, which then is no
	// error. What changes about streams beyond events is copied when the end is first
	// reached; a copy without Follow at the end carries what has changed since.
	Follow bool
	// Progress is told after each page how far the copy has come. It must not keep the
	// copy waiting.
	Progress func(Summary)
}

// Copy moves what one journal holds into another one, which must be a
// [persistence.Importer], up to where the journal ends, and what is known of
// streams. Others may write to the journal that is copied. Schemas get the ids that
// they have over there.
//
// It can be repeated, after a crash too: what is there is passed over. A copy of
// everything into a journal that holds nothing else gives the same positions, and
// is taken up where it was left; any other is compared from the beginning. Where
// somebody else has written to a stream over there, it ends with a
// [*persistence.ConflictError], and nothing is taken from either. Who has written to
// other streams is left alone; then positions differ, which [Verify] tells.
func Copy(ctx context.Context, from, to persistence.Journal, options CopyOptions) (Summary, error) {
	importer, able := persistence.As[persistence.Importer](to)
	if !able {
		return Summary{}, invalid("journal", "cannot take in what others have stored")
	}
	if err := options.check(); err != nil {
		return Summary{}, err
	}
	if from.Identity() == to.Identity() {
		return Summary{}, invalid("journal", "is copied to itself")
	}
	described, err := describedBy(ctx, from)
	if err != nil {
		return Summary{}, err
	}
	translated, err := newTranslation(ctx, to)
	if err != nil {
		return Summary{}, err
	}
	c := &copier{
		from: from, to: to, options: &options, described: described,
		store: newStore(to, importer, translated), summary: Summary{Journal: from.Identity()},
	}
	err = c.run(ctx)
	if options.Follow && ctx.Err() != nil && left(ctx, err) {
		err = nil
	}
	return c.summary, err
}

// left reports whether an error says no more than that ctx has ended. What is not
// known then is found out by the next copy.
func left(ctx context.Context, err error) bool {
	return errors.Is(err, context.Cause(ctx)) || errors.Is(err, persistence.ErrUnavailable) || errors.Is(err, persistence.ErrUnknownOutcome)
}

type copier struct {
	from, to  persistence.Journal
	options   *CopyOptions
	described *descriptions
	store     *store
	summary   Summary
}

func (c *copier) run(ctx context.Context) error {
	if err := c.resume(ctx); err != nil {
		return err
	}
	// Before the events, so that a crash in between leaves none without its note, and again
	// behind them for what has come in the meantime.
	for _, step := range []func(context.Context) error{c.entries, c.events, c.streams, c.entries} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	for first := true; first || c.options.Follow; first = false {
		if err := c.events(ctx); err != nil {
			return err
		}
		if err := c.store.end(ctx); err != nil {
			return fmt.Errorf("copy streams: %w", err)
		}
		if c.options.Follow {
			if err := c.from.Wait(ctx, c.summary.Next); err != nil {
				return err
			}
		}
	}
	c.summary.Whole = true
	return nil
}

// resume begins behind what an earlier copy has brought over. The event at the
// head there tells: imports are whole and in order, so when it is that of the same
// place here, all before are too.
func (c *copier) resume(ctx context.Context) error {
	if !c.options.all() {
		return nil
	}
	head, err := c.to.Head(ctx)
	if err != nil {
		return err
	}
	var at persistence.Positions
	for part, offset := range head {
		place := persistence.Position{Part: uint16(part), Offset: offset}
		there, err := eventAt(ctx, c.to, place)
		if err != nil || there == nil {
			return err
		}
		here, err := eventAt(ctx, c.from, place)
		if err != nil || here == nil || here.ID != there.ID || here.Stream != there.Stream || here.Version != there.Version {
			return err
		}
		at = at.With(place)
	}
	c.summary.Next = at
	return nil
}

// eventAt is the event at a place, nil when there is none.
func eventAt(ctx context.Context, journal persistence.Reader, place persistence.Position) (*persistence.Recorded, error) {
	after := persistence.Positions{}.With(persistence.Position{Part: place.Part, Offset: max(place.Offset-1, 0)})
	for page, err := range journal.ReadAll(ctx, persistence.ReadAllOptions{After: after, System: true, Whole: true, PageRows: 1}) {
		if err != nil {
			return nil, err
		}
		if len(page.Events) > 0 && page.Events[0].Position == place {
			return &page.Events[0], nil
		}
		break
	}
	return nil, nil //nolint:nilnil // there is none
}

// events copies until the head as it is now.
func (c *copier) events(ctx context.Context) error {
	head, err := c.from.Head(ctx)
	if err != nil {
		return err
	}
	if covers(c.summary.Next, head) {
		return nil
	}
	options := persistence.ReadAllOptions{After: c.summary.Next, System: true, Whole: true, Filter: c.options.filter(), PageRows: persistence.MaxAppendEvents}
	for page, err := range c.from.ReadAll(ctx, options) {
		if err != nil {
			return err
		}
		for i := range page.Events {
			if err := c.event(ctx, &page.Events[i]); err != nil {
				return fmt.Errorf("copy the event at position %s: %w", page.Events[i].Position, err)
			}
		}
		if err := c.store.flush(ctx); err != nil {
			return fmt.Errorf("copy the events before position %s: %w", page.Next.Of(0), err)
		}
		c.summary.Events += int64(len(page.Events))
		c.summary.Next = page.Next
		if c.options.Progress != nil {
			c.options.Progress(c.summary)
		}
		if page.AtHead || covers(page.Next, head) {
			return nil
		}
	}
	return nil
}

func (c *copier) event(ctx context.Context, e *persistence.Recorded) error {
	if e.Schema != 0 {
		if err := c.schema(ctx, e.Schema); err != nil {
			return err
		}
	}
	return c.store.event(ctx, *e, 0)
}

// schema brings a schema over that an event is the first to need.
func (c *copier) schema(ctx context.Context, id persistence.SchemaID) error {
	if _, known := c.store.schemas.ids[int64(id)]; known {
		return nil
	}
	schema, described, err := c.described.of(ctx, id)
	if err != nil {
		return err
	}
	c.summary.Schemas++
	line := schemaLine{number: int64(id), id: id}
	if described {
		line = schemaLine{number: int64(id), encoding: schema.Encoding, body: schema.Body}
	}
	return c.store.schemas.learn(ctx, &line)
}

// entries brings over what programs have noted, in its order.
func (c *copier) entries(ctx context.Context) error {
	all, err := c.described.entries(ctx, &c.options.Choice)
	to := c.store.schemas.to.journal
	if err != nil || to == nil {
		return err // who keeps no schemas has no use for them
	}
	for i := range all {
		body, err := all[i].Body(func(id persistence.SchemaID) (persistence.SchemaID, error) {
			err := c.schema(ctx, id)
			return c.store.schemas.ids[int64(id)], err
		})
		if err == nil {
			_, err = to.RegisterSchema(ctx, persistence.JSON, body)
		}
		if err != nil {
			return fmt.Errorf("copy what a program has noted of kind %s: %w", all[i].Kind, err)
		}
	}
	return nil
}

func (c *copier) streams(ctx context.Context) error {
	for info, err := range c.from.List(ctx, listed(&c.options.Choice)) {
		if err != nil {
			return err
		}
		if !c.options.has(info.Stream) || unremarkable(&info) {
			continue
		}
		if err := c.store.stream(ctx, info, 0); err != nil {
			return fmt.Errorf("copy streams up to %s: %w", info.Stream, err)
		}
		c.summary.Streams++
	}
	if err := c.store.flush(ctx); err != nil {
		return fmt.Errorf("copy streams: %w", err)
	}
	return nil
}
