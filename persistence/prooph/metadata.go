package prooph

import (
	"bytes"
	"encoding/json"

	"github.com/stele-es/stele/persistence"
)

// metadata reads prooph's, in which PHP writes an empty map as a list.
func metadata(data []byte) (persistence.Metadata, error) {
	if empty(data) {
		return nil, nil
	}
	m, err := persistence.DecodeMetadata(data)
	if err != nil {
		return nil, err
	}
	return m, m.Check()
}

// mended reads metadata as far as it can be kept: values that are null are left
// out, those that are nested or no number of ours become their JSON.
func mended(data []byte) (persistence.Metadata, error) {
	var values map[string]json.RawMessage
	if err := json.Unmarshal(data, &values); err != nil {
		return nil, &persistence.InvalidError{Field: "metadata", Reason: "is not a JSON object"}
	}
	m := persistence.Metadata{}
	for key, value := range values {
		if bytes.Equal(value, []byte("null")) {
			continue
		}
		if one, err := persistence.DecodeMetadata(append(append([]byte(`{"k":`), value...), '}')); err == nil {
			m[key] = one["k"]
			continue
		}
		m[key] = persistence.String(string(value))
	}
	return m, m.Check()
}

func empty(data []byte) bool {
	return len(data) == 0 || bytes.Equal(data, []byte("[]")) || bytes.Equal(data, []byte("null"))
}
