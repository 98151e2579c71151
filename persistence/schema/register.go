package schema

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/codec"
)

// Register describes types to a journal and returns, in their order, what the
// journal knows them by. An id is 0 when the journal keeps no schemas, and when
// the description is larger than [persistence.MaxSchema]: such events can be
// stored all the same, and read by whoever has their types.
//
// Doing it again changes nothing, so every node does it whenever it starts.
func Register(ctx context.Context, journal persistence.Journal, types ...*codec.Type) ([]persistence.SchemaID, error) {
	ids := make([]persistence.SchemaID, len(types))
	schemas, ok := persistence.As[persistence.Schemas](journal)
	if !ok {
		return ids, nil
	}
	bodies := describe(types)
	known := map[string]persistence.SchemaID{} // by the body, which many types of a package share
	for i, body := range bodies {
		if persistence.CheckSchema(encodingOf(types[i]), body) != nil {
			continue
		}
		id, registered := known[string(body)]
		if !registered {
			var err error
			if id, err = schemas.RegisterSchema(ctx, encodingOf(types[i]), body); err != nil {
				return nil, fmt.Errorf("register the schema of %s: %w", types[i].Name(), err)
			}
			known[string(body)] = id
		}
		ids[i] = id
	}
	return ids, nil
}

func encodingOf(t *codec.Type) persistence.Encoding {
	if t.Descriptor() != nil {
		return persistence.Protobuf
	}
	return persistence.JSON
}

// describe returns the body of each type's schema.
func describe(types []*codec.Type) [][]byte {
	bodies := make([][]byte, len(types))
	packages := map[protoreflect.FullName][]int{}
	for i, t := range types {
		if descriptor := t.Descriptor(); descriptor != nil {
			of := descriptor.ParentFile().Package()
			packages[of] = append(packages[of], i)
			continue
		}
		bodies[i] = describeStruct(t)
	}
	for _, members := range packages {
		var files []protoreflect.FileDescriptor
		for _, i := range members {
			files = append(files, types[i].Descriptor().ParentFile())
		}
		whole := fileSet(files...)
		for k, i := range members {
			if bodies[i] = whole; len(whole) > persistence.MaxSchema {
				bodies[i] = fileSet(files[k]) // a package that is too large for one set
			}
		}
	}
	return bodies
}

// fileSet is the FileDescriptorSet of some files and all that they import.
func fileSet(files ...protoreflect.FileDescriptor) []byte {
	all := map[string]protoreflect.FileDescriptor{}
	for len(files) > 0 {
		file := files[len(files)-1]
		files = files[:len(files)-1]
		if _, known := all[file.Path()]; known || file.IsPlaceholder() {
			continue
		}
		all[file.Path()] = file
		for i := range file.Imports().Len() {
			files = append(files, file.Imports().Get(i).FileDescriptor)
		}
	}
	set := new(descriptorpb.FileDescriptorSet)
	for _, file := range slices.SortedFunc(maps.Values(all), func(a, b protoreflect.FileDescriptor) int { return cmp.Compare(a.Path(), b.Path()) }) {
		described := protodesc.ToFileDescriptorProto(file)
		described.SourceCodeInfo = nil
		set.File = append(set.File, described)
	}
	body, err := proto.MarshalOptions{Deterministic: true}.Marshal(set)
	if err != nil {
		return nil // names that are not UTF-8, which no compiler lets pass
	}
	return body
}
