package stele

import (
	"context"
	"encoding/json"
	"iter"

	"github.com/stele-es/stele/actors"
	"github.com/stele-es/stele/persistence"
)

// Decoded is a stored event in the form that the program gives it today.
type Decoded struct {
	// Type is the type of the event, after the upcasters.
	Type string
	// Message is the message that the On of its aggregate gets. It is nil when the node
	// does not host the kind, or the kind has no On for the type.
	Message any
	// Encoding is the form of the payload, [persistence.Raw] when it is not known.
	Encoding persistence.Encoding
	// JSON is the payload as JSON, nil when it is raw.
	JSON json.RawMessage
}

// Decode decodes a stored event of any stream. The upcasters come first, and may make no
// event or several of it. The types of the aggregates hosted here, and the descriptions
// in the journal, decode the result. An event that neither knows is an error, see
// [schema.Decoder.Decode]; so is an event that an upcaster refuses.
func (n *Node) Decode(ctx context.Context, recorded persistence.Recorded) ([]Decoded, error) {
	forms, err := n.upcasters.Upcast(nil, &recorded)
	if err != nil {
		return nil, err
	}
	all := make([]Decoded, len(forms))
	for i := range forms {
		all[i].Type = forms[i].Type
		if message, err := n.system.Decode(forms[i]); err == nil {
			all[i].Message = message
		}
		decoded, err := n.decoder.Decode(ctx, &forms[i].Event)
		if err != nil && all[i].Message == nil {
			return nil, err
		}
		all[i].Encoding, all[i].JSON = decoded.Encoding, decoded.JSON
	}
	return all, nil
}

// Commands reads the log of the commands of a kind hosted here, see
// [actors.System.Commands].
func (n *Node) Commands(ctx context.Context, kind string, options persistence.ReadOptions) iter.Seq2[actors.LoggedCommand, error] {
	return n.system.Commands(ctx, kind, options)
}
