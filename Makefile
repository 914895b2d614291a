# What there is to do. Each target is what CI runs, too.

GO ?= go

.DEFAULT_GOAL := help
.PHONY: help tools fmt lint vet staticcheck unit simulation race e2e crash chaos test fuzz bench bench-redis demo

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'

test: tools fmt vet staticcheck race simulation crash ## everything that CI runs; installs what it needs

tools: ## install what the tests need besides Go: a C compiler, for the race detector, and Redis
	@command -v cc >/dev/null || command -v gcc >/dev/null || { \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then apt-get update -qq && apt-get install -y -qq gcc libc6-dev; \
		else echo "make: the race detector needs a C compiler: install gcc" >&2; exit 1; fi; }
	@command -v redis-server >/dev/null || { \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then $(without-services) apt-get update -qq && apt-get install -y -qq redis-server; \
		else echo "make: the tests run real Redis servers: install redis-server, 7.0 or later" >&2; exit 1; fi; }
	@$(GO) mod download

# Debian starts a service that it installs, unless this file says no. One that is there already stays.
without-services = p=/usr/sbin/policy-rc.d; [ -e $$p ] || { trap "rm -f $$p" EXIT; printf '\#!/bin/sh\nexit 101\n' >$$p; chmod +x $$p; };

fmt: ## check that the code is formatted
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); \
	if [ -n "$$unformatted" ]; then echo "not formatted (run gofmt -w):"; echo "$$unformatted"; exit 1; fi

vet: ## go vet
	$(GO) vet ./...

staticcheck: ## staticcheck, with the checks of staticcheck.conf
	$(GO) tool staticcheck ./...

race: ## all tests under the race detector, but for the long ones below
	$(GO) test -race -timeout 20m $$($(GO) list ./... | grep -v /crashtest)

unit: ## all tests, as fast as they go
	$(GO) test ./...

simulation: ## a million events of the heart, over random schedules
	$(GO) test -count=1 -run 'TestSimulation' -v ./orchestrator/run

e2e: ## the built CLI, in real processes, over a real endpoint
	$(GO) test -count=1 -v ./e2e/...

crash: ## kill -9 of real workers at random instants, and chaos in short: of Redis and the network, too
	$(GO) test -count=1 -v ./orchestrator/crashtest

chaos: ## 5,000 runs, or RUNS, while workers and Redis are killed, frozen and cut off at random
	$(GO) test -count=1 -v -timeout 1h -run 'TestChaos' ./orchestrator/crashtest -chaos.runs=$${RUNS:-5000}

fuzz: ## each fuzz test for FUZZTIME (default 30s)
	@for p in $$($(GO) list ./...); do \
		for f in $$($(GO) test -list '^Fuzz' $$p | grep '^Fuzz'); do \
			echo "$$p $$f"; $(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $${FUZZTIME:-30s} $$p || exit 1; \
		done; \
	done

bench: ## time and bytes per step on the file store
	$(GO) test -run "^$$" -bench . -benchtime 3x ./orchestrator

bench-redis: ## what a step, a load and a parked run cost on Redis, beside a loop written by hand
	$(GO) run ./cmd/fermata bench

demo: ## the guided tour
	$(GO) run ./cmd/fermata demo
