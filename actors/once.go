package actors

import (
	"crypto/sha256"
	"encoding/binary"
	"sync"
	"time"

	"github.com/stele-es/stele/persistence"
)

// identity is the id of a command, and where the id comes from.
type identity struct {
	id    persistence.CommandID
	class class
	// born is when the command was first asked, as its id or its sender tells. Zero means
	// that it may be of any age.
	born time.Time
	// from is the stream of the aggregate that sent it, after the position of the event
	// that holds it.
	from  persistence.StreamID
	after persistence.Position
}

// class says where the id of a command comes from, and so what is remembered of it.
type class uint8

const (
	// generated: the system made the id, so that only [Again] can repeat the command.
	generated class = iota
	// named: the caller chose a key. Accepted commands are remembered.
	named
	// again: the caller repeats a command whose outcome is unknown.
	again
	// sent: the runtime delivers the command until it has an outcome. Rejections are
	// remembered too; otherwise a late delivery could be accepted after its sender has
	// recorded a rejection.
	sent
)

// maxKey is the greatest size of a key of [Once] in bytes.
const maxKey = 255

// Once gives the command a key (an idempotency key). Asking the aggregate with the same key
// again has no second effect and returns the first reply, whatever has happened in between:
// a restart, another node on the same journal, other commands. The same key with another
// command is [persistence.ErrEventIDReused]. Keys are 1 to 255 bytes, and belong to one
// aggregate.
//
// Two commands are the same when their types and their contents are. Types are compared by
// their stored names as [Config.Upcasters] read them today, so that a command may be
// renamed: a retry by the program of after the change gets the first reply. Contents are
// compared while the name and the fields of the type are as they were. After a change
// nobody can tell whether the content is the same, and any content gets the first reply.
//
// A program that does not know the stored name, because it is older or lacks the upcaster,
// cannot tell whether the command is the same: [persistence.ErrUnknownOutcome], with
// [ReasonUnknownCommand]. A program that knows the name can, under the same key.
//
// Rejections are not remembered, because the same command may succeed when the state has
// changed. A command with a key is rejected on a state that is proven current, see [Fresh]:
// no other process has done it before. Accepted commands are remembered within
// [Config.RememberFor] and [Config.RememberMax], and until the stream of the aggregate is
// deleted: then the key is free again.
//
// A command that raises nothing writes an event of the system that holds its reply, so
// Once is not for commands that only read.
func Once(key string) AskOption { return func(r *Request) { r.key, r.keyed = key, true } }

// Again repeats a command whose caller got [persistence.ErrUnknownOutcome], under the id in
// that error. If the events of the command are stored, the first reply comes back; else the
// command is decided now, and the id is used up. The command must be the same.
//
// The stream is searched back to the time at which the command was asked, which the id
// tells. If that time is in the future, the id was made by a wrong clock, and the whole
// stream is searched. When more than ten thousand events have followed, the search may fail
// with [persistence.ErrUnknownOutcome] and [ReasonTooFarBack].
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

// bornOf returns the time in an id of UUID version 7, else the zero time.
func bornOf(id persistence.CommandID) time.Time {
	if id[6]>>4 != 7 {
		return time.Time{}
	}
	return time.UnixMilli(int64(binary.BigEndian.Uint64(id[:8]) >> 16)) //nolint:gosec // 48 bits
}

// digest tells the content of two commands apart, so that an id is not used for both.
type digest [16]byte

// digested are buffers for encoded commands; large ones are not kept.
var digested = sync.Pool{New: func() any { return new([]byte) }}

const maxDigested = 64 << 10

// digestOf makes the digest of a command: of the fields of its type in the first part, of
// its content in the second. Contents are compared only while the fields of the type are
// the same, because otherwise the same content is encoded differently.
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
