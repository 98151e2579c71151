// Command protogen generates Go from every .proto file of the project, beside
// the file itself:
//
//	go -C tools run ./protogen -root .. [-out DIR] [proto examples bench]
//
// The compiler is a Go library and the generator is the official plugin, both
// pinned in tools/go.mod, so the result depends on nothing that is installed.
// It knows no services: a plugin for them would be one more element of plugins.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"github.com/bufbuild/protocompile"
	"github.com/bufbuild/protocompile/protoutil"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/pluginpb"
)

// plugins are run one after the other over all files.
var plugins = []string{"protoc-gen-go"}

// publicRoot is where imports of published files begin: proto/stele/v1/x.proto
// is imported as "stele/v1/x.proto". Files elsewhere are named from the root of
// the project, because names must be unique in a program.
const publicRoot = "proto"

func main() {
	log.SetFlags(0)
	log.SetPrefix("protogen: ")
	root := flag.String("root", ".", "the project's root directory")
	out := flag.String("out", "", "write below this directory instead of the root")
	flag.Parse()
	if *out == "" {
		*out = *root
	}
	folders := flag.Args()
	if len(folders) == 0 {
		folders = []string{publicRoot, "examples", "bench"}
	}
	if err := run(context.Background(), *root, *out, folders); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, root, out string, folders []string) error {
	for _, folder := range folders {
		base := "."
		if folder == publicRoot {
			base = publicRoot
		}
		names, err := protoFiles(root, folder, base)
		if err != nil {
			return err
		}
		if len(names) == 0 {
			continue
		}
		request, err := compile(ctx, root, names)
		if err != nil {
			return err
		}
		for _, plugin := range plugins {
			if err := generate(ctx, plugin, request, filepath.Join(out, base)); err != nil {
				return fmt.Errorf("%s: %w", plugin, err)
			}
		}
	}
	return nil
}

// protoFiles lists the .proto files of a folder as imports name them.
func protoFiles(root, folder, base string) ([]string, error) {
	var names []string
	err := filepath.WalkDir(filepath.Join(root, folder), func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // a folder appears with its first file
		}
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".proto" {
			return err
		}
		name, err := filepath.Rel(filepath.Join(root, base), path)
		names = append(names, filepath.ToSlash(name))
		return err
	})
	slices.Sort(names)
	return names, err
}

func compile(ctx context.Context, root string, names []string) (*pluginpb.CodeGeneratorRequest, error) {
	compiler := protocompile.Compiler{
		Resolver: protocompile.WithStandardImports(&protocompile.SourceResolver{
			ImportPaths: []string{filepath.Join(root, publicRoot), root},
		}),
		// Comments of the .proto become comments of the Go code.
		SourceInfoMode: protocompile.SourceInfoStandard,
	}
	compiled, err := compiler.Compile(ctx, names...)
	if err != nil {
		return nil, fmt.Errorf("compile: %w", err)
	}
	request := &pluginpb.CodeGeneratorRequest{
		FileToGenerate: names,
		Parameter:      proto.String("paths=source_relative"),
	}
	seen := map[string]bool{}
	for _, file := range compiled {
		request.ProtoFile = withImports(request.ProtoFile, file, seen)
	}
	return request, nil
}

// withImports appends a file after everything it imports, the order that
// plugins rely on.
func withImports(
	files []*descriptorpb.FileDescriptorProto, file protoreflect.FileDescriptor, seen map[string]bool,
) []*descriptorpb.FileDescriptorProto {
	if seen[file.Path()] {
		return files
	}
	seen[file.Path()] = true
	imports := file.Imports()
	for i := range imports.Len() {
		files = withImports(files, imports.Get(i).FileDescriptor, seen)
	}
	return append(files, protoutil.ProtoFromFileDescriptor(file))
}

func generate(ctx context.Context, plugin string, request *pluginpb.CodeGeneratorRequest, out string) error {
	input, err := proto.Marshal(request)
	if err != nil {
		return fmt.Errorf("encode request: %w", err)
	}
	command := exec.CommandContext(ctx, "go", "tool", plugin)
	command.Stdin, command.Stderr = bytes.NewReader(input), os.Stderr
	output, err := command.Output()
	if err != nil {
		return err
	}
	var response pluginpb.CodeGeneratorResponse
	if err := proto.Unmarshal(output, &response); err != nil {
		return fmt.Errorf("decode response: %w", err)
	}
	if response.Error != nil {
		return errors.New(response.GetError())
	}
	for _, file := range response.File {
		path := filepath.Join(out, filepath.FromSlash(file.GetName()))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(file.GetContent()), 0o644); err != nil {
			return err
		}
	}
	return nil
}
