package actors

import (
	"crypto/sha256"
	"encoding/binary"
	"sync"
	"time"

	"github.com/stele-es/stele/persistence"
)

// identity is what a command is known by, and how it came by it.
type identity struct {
	id    persistence.CommandID
	class class
	// born is when the command was first asked, as far as its id or its sender
	// tells. Zero means that it may be of any age.
	born time.Time
	// from is the stream of the aggregate that sent it, after the place of the event
	// that did.
	from  persistence.StreamID
	after persistence.Position
}

// class says what is remembered of a command.
type class uint8

const (
	// generated: the system made the id, so nobody can repeat it but by asking
	// [Again].
	generated class = iota
	// named: the caller chose a key. Accepted commands are remembered.
	named
	// again: the caller repeats a command whose outcome is unknown.
	again
	// sent: the runtime delivers the command until it has an outcome. Rejections are
	// remembered too, or a late delivery could be accepted after its sender had
	// recorded a rejection.
	sent
)

// maxKey is the greatest size of a key of [Once] in bytes.
const maxKey = 255

// Once names the command by a key of the caller's. Asking the aggregate with the
// same key again has no second effect and returns the first reply, whatever has
// happened in between: a restart, another node on the same journal, other
// commands. The same key with another command is [persistence.ErrEventIDReused].
// Keys are 1 to 255 bytes and belong to one aggregate.
//
// What makes another command is its type, and its content. The type is compared by the
// stored name as [Config.Upcasters] read it today, so that a command may be renamed: the
// retry under the key, by a program of after the change, gets the first reply. The content
// is compared while the name and the fields of the type are those with which the command
// was done. After they have changed nobody can tell whether the content is the same, and
// the first reply is returned for any.
//
// When a program does not know the name at all, because it is older or lacks the upcaster,
// it cannot tell whether the command is the same: [persistence.ErrUnknownOutcome], with
// [ReasonUnknownCommand]. A program that knows the name can, under the same key.
//
// What was rejected is not remembered, because the same command may succeed when
// the state has changed. It is rejected on a state that is proven current, see [Fresh]:
// no other process has done it before. How long accepted commands are remembered is bounded by
// [Config.RememberFor] and [Config.RememberMax]. Deleting the stream of the aggregate ends
// that too: the key is new to its next life.
//
// A command that raises nothing writes an event of the system's that holds its
// reply, so Once is not for commands that only read.
func Once(key string) AskOption { return func(r *Request) { r.key, r.keyed = key, true } }

// Again asks for the outcome of a command whose caller was told
// [persistence.ErrUnknownOutcome], under the id that stands in the error: if its
// events are stored the first reply comes back, else the command is decided and
// the id is used up. The command must be the one that was asked.
//
// It searches the stream back to when the command was asked, which the id tells; an id
// that tells of the future was made by a wrong clock, and the whole stream is searched.
// That may fail with [persistence.ErrUnknownOutcome] and [ReasonTooFarBack] when
// more than ten thousand events have followed.
func Again(id persistence.CommandID) AskOption {
	return func(r *Request) { r.identity = identity{id: id, class: again, born: bornOf(id)} }
}

// identify gives the request its id.
func (r *Request) identify(generate func() persistence.CommandID) error {
	switch {
	case r.reacts != nil: // has an id
	case !r.keyed && r.class == generated:
		r.id = generate()
	case !r.keyed && r.id == persistence.CommandID{}:
		return &persistence.InvalidError{Field: "command id", Reason: "is zero"}
	case !r.keyed:
	case r.class != generated:
		return &persistence.InvalidError{Field: "key", Reason: "stands beside the id of Again: leave one out"}
	case r.key == "":
		return &persistence.InvalidError{Field: "key", Reason: "is empty"}
	case len(r.key) > maxKey:
		return &persistence.InvalidError{Field: "key", Reason: "is too long", Size: len(r.key), Limit: maxKey}
	default:
		// Neither kind nor id can hold a NUL.
		name := append(append(make([]byte, 0, 128), r.kind...), 0)
		name = append(append(name, r.aggregate...), 0)
		r.identity = identity{id: digestID(sha256.Sum256(append(name, r.key...))), class: named}
	}
	return nil
}

// digestID makes an id of a digest: UUID version 8 (RFC 9562).
func digestID(sum [sha256.Size]byte) (id persistence.CommandID) {
	copy(id[:], sum[:])
	id[6] = id[6]&0x0f | 0x80
	id[8] = id[8]&0x3f | 0x80
	return id
}

// bornOf is the time in an id that has one: UUID version 7.
func bornOf(id persistence.CommandID) time.Time {
	if id[6]>>4 != 7 {
		return time.Time{}
	}
	return time.UnixMilli(int64(binary.BigEndian.Uint64(id[:8]) >> 16)) //nolint:gosec // 48 bits
}

// digest says what a command is, so that an id is not used for two.
type digest [16]byte

// digested are buffers for what a digest is made of; large ones are not kept.
var digested = sync.Pool{New: func() any { return new([]byte) }}

const maxDigested = 64 << 10

// digestOf makes the digest of a command: what its type looks like in the first
// part, its content in the second. Content is only compared between programs for
// which the type looks the same, because they alone encode it alike.
func digestOf(h *handler, message any) (d digest, err error) {
	buffer := digested.Get().(*[]byte) //nolint:forcetypeassert // the pool holds nothing else
	content := append(append((*buffer)[:0], h.command.Name()...), 0)
	content, err = h.command.Append(content, message)
	if err != nil {
		return d, &persistence.Error{Kind: persistence.ErrInvalid, Err: err}
	}
	if *buffer = content; cap(content) <= maxDigested {
		defer digested.Put(buffer)
	}
	sum := sha256.Sum256(content)
	binary.BigEndian.PutUint32(d[:shapeBytes], uint32(h.shape)) //nolint:gosec // a part of it is enough
	copy(d[shapeBytes:], sum[:])
	return d, nil
}

const shapeBytes = 4

// contradicts reports that two digests are surely of different commands.
func (d digest) contradicts(stored []byte) bool {
	return len(stored) == len(d) && string(d[:shapeBytes]) == string(stored[:shapeBytes]) && string(d[:]) != string(stored)
}
