package memory

import "time"

// Config adjusts a [Journal].
type Config struct {
	// Now tells when an event is stored. The default is time.Now.
	Now func() time.Time
}
