package tail

import (
	"context"

	"github.com/stele-es/stele/internal/usercode"
	"github.com/stele-es/stele/persistence"
)

// aheadPage is a page that is read while the one before is worked with. Nil is none.
type aheadPage struct {
	cancel context.CancelFunc
	done   chan struct{} // closed when page and err are there
	page   persistence.Page
	err    error
}

// readAhead begins to read what follows a place. Either take or drop must be called.
func (s *Subscription) readAhead(ctx context.Context, after persistence.Positions) *aheadPage {
	ctx, cancel := context.WithCancel(ctx)
	a := &aheadPage{cancel: cancel, done: make(chan struct{})}
	go func() { // take and drop wait for its end
		defer close(a.done)
		a.err = usercode.Call(func() (err error) { // the filter is the user's
			a.page, err = s.source.page(ctx, after, s.wants)
			return err
		})
	}()
	return a
}

// take waits for the page.
func (a *aheadPage) take() (persistence.Page, error) {
	if a == nil {
		return persistence.Page{}, nil
	}
	<-a.done
	a.cancel()
	return a.page, a.err
}

// drop ends the reading of a page that nobody wants any more.
func (a *aheadPage) drop() {
	if a != nil {
		a.cancel()
		<-a.done
	}
}
