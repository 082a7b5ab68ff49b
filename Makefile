# Each target is one command that can be typed by hand as well. "make" lists them.
MODULES  := . backend/docker backend/fly backend/kubernetes bench cmd/flame e2e examples
GOLANGCI := go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
GOFUMPT  := go run mvdan.cc/gofumpt@v0.12.0
FUZZTIME ?= 20s
LIVES    ?= 100000
FOR      ?= 1h

.DEFAULT_GOAL := help
.PHONY: help build test race lint fmt fuzz bench proof simulation soak faults e2e tidy ci

help: ## list the targets
	@grep -hE '^[a-z0-9]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-10s %s\n", $$1, $$2}'

build: ## build every module alone, as its users do
	@set -e; for m in $(MODULES); do (cd $$m && GOWORK=off go build -o /dev/null ./...); done

test: ## run the tests of every module
	@set -e; for m in $(MODULES); do (cd $$m && go test ./...); done

race: ## run the tests of every module with the race detector
	@set -e; for m in $(MODULES); do (cd $$m && go test -race ./...); done

lint: ## vet, staticcheck and the rest of .golangci.yml
	@set -e; for m in $(MODULES); do (cd $$m && GOWORK=off $(GOLANGCI) run); done

fmt: ## format every file
	$(GOFUMPT) -w .

fuzz: ## fuzz each fuzz test for FUZZTIME (20s)
	@set -e; grep -rlE '^func Fuzz' --include='*_test.go' . | while read -r f; do \
		for name in $$(sed -nE 's/^func (Fuzz[A-Za-z0-9_]+)\(.*/\1/p' $$f); do \
			echo "-- $$name in $$(dirname $$f)"; \
			(cd $$(dirname $$f) && go test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) .); \
		done; done

bench: ## compare with raw frames, net/rpc, gRPC and a bare spawn (some minutes, on a quiet machine)
	cd bench && go test -run '^$$' -bench . -benchtime 1x -timeout 30m

proof: ## prove that closures cross, in every way Go builds programs, and write docs/closures.md (10 minutes)
	./scripts/proof

simulation: ## play LIVES (100000) whole lives of pools in virtual time, with faults
	go test ./internal/simulation -run Whatever -count 1 -v -timeout 0 -lives $(LIVES)

soak: ## put a mixed load on pools of real processes for FOR (1h), with kills, stops and partitions
	go run ./internal/soak -for $(FOR)

faults: ## bring about every fault and threat that was thought of, and write docs/faults.md (some minutes, as root)
	go run ./internal/faults

e2e: ## run the tests that need a Docker Engine and a Kubernetes, real ones (as root on Debian; the first time 15 minutes)
	./scripts/e2e

tidy: ## tidy every go.mod
	@set -e; for m in $(MODULES); do (cd $$m && GOWORK=off go mod tidy); done

ci: ## everything a change has to pass
	./scripts/test
