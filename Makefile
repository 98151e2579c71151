# Everything runs from a checkout with Go, make, git and a C compiler (for the
# race detector). `make` alone lists what there is.
SHELL       := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS   += --no-print-directory

# One throw-away Postgres for all packages: STELE_TEST_POSTGRES when it is set,
# else a private server that ends with the command.
WITH_POSTGRES := go run ./internal/pgtest/db --

# Tests whose name begins with TestLong take long; they run apart from the others.
LONG := ^TestLong
# The report of a run: what failed, the ten slowest tests, the counts.
REPORT := go -C tools run ./testreport
# A step that prints one line when all is well, and everything when it fails.
QUIETLY := tools/quietly

# What the targets add to their commands.
TESTFLAGS ?=
BENCH     ?= -quick journal command
FUZZTIME  ?= 10s
KILLS     ?= 200
KILLFOR   ?= 10m
TORTURE   ?= -duration 10m

# The program whose modules deps.txt lists: one node on SQLite.
SINGLE_NODE := ./examples/bank
# What such a program must not carry.
NOT_LINKED := github.com/jackc/pgx|google.golang.org/grpc|github.com/hashicorp/memberlist

##@ Every day
.PHONY: help build test test-long lint format generate db
help: ## list the targets
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## / {printf "  %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## compile everything, programs into bin/
	@$(QUIETLY) build env CGO_ENABLED=0 go build -trimpath -o bin/ ./...

test: ## vet and test under the race detector, Postgres included, but for long tests
	@$(QUIETLY) vet go vet ./...
	@$(QUIETLY) tools go -C tools test ./...
	@$(WITH_POSTGRES) go test -race -json -timeout 10m -skip '$(LONG)' $(TESTFLAGS) ./... | $(REPORT)

test-long: ## the long tests: broken journals, kills, crashes, simulations
	@$(WITH_POSTGRES) go test -race -json -timeout 30m -run '$(LONG)' $(TESTFLAGS) ./... | $(REPORT)

lint: bin/golangci-lint ## run the linters of .golangci.yml (the first run builds them, minutes)
	@$(QUIETLY) lint bin/golangci-lint run ./...

generate: ## make the Go code of every .proto
	@$(QUIETLY) generate go -C tools run ./protogen -root ..

format: ## bring the tree into its one form
	@$(QUIETLY) format go -C tools tool gofumpt -w ..

db: ## run a throw-away Postgres and print its URL until interrupted
	@go run ./internal/pgtest/db

##@ Before a release
.PHONY: race fuzz torture kill live bench measures verify
race: ## repeat the tests in random order on one and four processors, to look for races
	$(WITH_POSTGRES) go test -race -timeout 60m -count 2 -cpu 1,4 -shuffle on $(TESTFLAGS) ./...

fuzz: ## run every fuzz target for FUZZTIME (10s)
	@grep -roE '^func Fuzz[A-Za-z0-9_]+' --include='*_test.go' --exclude-dir=testdata . | \
	sed -E 's|/[^/]*:func | |' | sort | while read -r folder target; do \
		$(QUIETLY) "$$folder $$target" go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) "$$folder" < /dev/null; \
	done

torture: ## try to break the Postgres journal: make torture TORTURE='-duration 1h -seed 42 path'
	go run ./internal/torture/cmd $(TORTURE)

kill: ## kill and halt processes that project, KILLS times each (200), and six banks on one journal for KILLFOR (10m)
	$(WITH_POSTGRES) go test -timeout 120m -run 'Killed|Halted' -v ./projections/postgres -kills $(KILLS)
	$(WITH_POSTGRES) go test -timeout 60m -run TestLongKillSix -v ./examples/bank -kill-for $(KILLFOR)

live: ## ten rounds of 20,000 commands on each journal while projections follow
	$(WITH_POSTGRES) go test -timeout 60m -run ProjectionsFollowLive -v ./internal/systemtest -commands 20000 -rounds 10

bench: ## measure, with ceilings from the same run: make bench BENCH='-journal sqlite command'
	@go run ./bench $(BENCH)

measures: ## print how large and entangled the tree is, on one screen; ALL=1 prints all of it
	@go test -count 1 -run '^TestMeasures$$' -v ./internal/archtest $(if $(ALL),-args -all)

verify: ## fail when anything derived or promised has drifted
	@for part in format vet generated deps tidy docs; do \
		$(QUIETLY) $$part $(MAKE) verify-$$part || failed=1; \
	done; [ -z "$${failed:-}" ]

##@ Parts of verify
.PHONY: verify-format verify-vet verify-generated verify-deps verify-tidy verify-docs deps
verify-format: # the whole tree in one form
	@files=$$(go -C tools tool gofumpt -l ..); \
	[ -z "$$files" ] || { echo "not formatted, run make format:"; echo "$$files"; exit 1; }

verify-vet: # on every platform that promises are made for, and the tools, a module of their own
	go vet ./...
	GOOS=darwin CGO_ENABLED=0 go vet ./...
	GOOS=windows CGO_ENABLED=0 go vet ./...
	go -C tools vet ./...

verify-generated: # generated code is what the .proto files say, no more and no less
	@fresh=$$(mktemp -d); trap 'rm -rf "$$fresh"' EXIT; \
	go -C tools run ./protogen -root .. -out "$$fresh"; \
	for file in $$( (git ls-files --cached --others --exclude-standard '*.pb.go'; cd "$$fresh" && find . -name '*.pb.go' | cut -c3-) | sort -u); do \
		diff -Nu --label "$$file" --label "$$file, as make generate makes it" "$$file" "$$fresh/$$file" || stale=1; \
	done; \
	[ -z "$${stale:-}" ] || { echo "generated code is stale, run make generate"; exit 1; }

verify-deps: # what one node on SQLite links has not grown, and never a driver or a network stack
	@$(MAKE) -s deps DEPS=/dev/stdout | diff -u deps.txt - || { echo "the linked modules have changed; if that is meant, run make deps"; exit 1; }
	@! grep -E '^($(NOT_LINKED))(/| )' deps.txt || { echo "a program on one node with SQLite must not link these"; exit 1; }

verify-tidy: # go.mod and go.sum say what is used
	go mod tidy -diff
	go -C tools mod tidy -diff

verify-docs: # links resolve, code blocks come from compiled files, the architecture holds
	go test ./internal/docstest ./internal/archtest

DEPS ?= deps.txt
deps: ## write deps.txt: the modules that a program on one node with SQLite links
	@GOOS=linux GOARCH=amd64 CGO_ENABLED=0 go list -deps -f '{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}}{{end}}{{end}}' $(SINGLE_NODE) | sed '/^$$/d' | LC_ALL=C sort -u > $(DEPS)

bin/golangci-lint: tools/lint/go.mod tools/lint/go.sum
	go build -C tools/lint -o ../../bin/golangci-lint github.com/golangci/golangci-lint/v2/cmd/golangci-lint
