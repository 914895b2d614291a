# What there is to do. Each target is what CI runs, too.

GO ?= go

.DEFAULT_GOAL := help
.PHONY: help tools scion fmt lint vet staticcheck unit simulation race e2e crash chaos test fuzz bench bench-redis bench-graph pictures demo

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'

test: tools fmt vet staticcheck race simulation crash ## everything that CI runs; installs what it needs

tools: scion ## install what the tests need besides Go: a C compiler, for the race detector, Redis, and the SCION suite
	@command -v cc >/dev/null || command -v gcc >/dev/null || { \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then apt-get update -qq && apt-get install -y -qq gcc libc6-dev; \
		else echo "make: the race detector needs a C compiler: install gcc" >&2; exit 1; fi; }
	@command -v redis-server >/dev/null || { \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then $(without-services) apt-get update -qq && apt-get install -y -qq redis-server; \
		else echo "make: the tests run real Redis servers: install redis-server, 7.0 or later" >&2; exit 1; fi; }
	@$(GO) mod download

# Debian starts a service that it installs, unless this file says no. One that is there already stays.
without-services = p=/usr/sbin/policy-rc.d; [ -e $$p ] || { trap "rm -f $$p" EXIT; printf '\#!/bin/sh\nexit 101\n' >$$p; chmod +x $$p; };

# The suite of statecharts that planner/graph/scxml is held against: an npm package of others, not kept here.
SCION = 2.0.16
SCION_SHA512 = e6b45de427452d4ce63da3b8dcd49a9819a1abab96ff49149949de127a9149b023d0588554020d7750df69d524744093fb11cb011089654ee67900f89ea6322b

scion: ## fetch the SCION suite into .tools/scion, checked against its hash
	@[ -e .tools/scion/$(SCION) ] || { set -e; \
		command -v npm >/dev/null || { \
			if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then apt-get update -qq && apt-get install -y -qq npm; \
			else echo "make: the SCION suite is an npm package: install npm" >&2; exit 1; fi; }; \
		rm -rf .tools/scion; mkdir -p .tools/scion; cd .tools/scion; \
		npm pack --silent @scion-scxml/test-framework@$(SCION) >/dev/null; \
		echo "$(SCION_SHA512)  scion-scxml-test-framework-$(SCION).tgz" | sha512sum --check --quiet -; \
		tar xzf scion-scxml-test-framework-$(SCION).tgz; touch $(SCION); }

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

simulation: ## a million events of the heart, over random schedules; bytes per step of a run of a thousand
	$(GO) test -count=1 -run 'TestSimulation' -v ./orchestrator/run
	$(GO) test -count=1 -run 'TestBytesPerStep' -v ./orchestrator

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

bench-graph: ## the kernel beside qmuntal/stateless, and what a node of a graph costs on both stores
	$(GO) test -run "^$$" -bench Flat -count 5 ./planner/graph/chart
	$(GO) test -run "^$$" -bench Nodes -benchtime 5x ./planner/graph

pictures: ## draw the graphs of docs/graph anew; installs Graphviz
	@command -v dot >/dev/null || { \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then apt-get update -qq && apt-get install -y -qq graphviz; \
		else echo "make: pictures are drawn by Graphviz: install graphviz" >&2; exit 1; fi; }
	@set -e; d=$$(mktemp -d); trap 'rm -r "$$d"' EXIT; $(GO) build -o "$$d/fermata" ./cmd/fermata; \
	cp planner/graph/testdata/pictures/delivery.dot "$$d/live.dot"; \
	cp planner/graph/testdata/pictures/stuck.dot "$$d/stuck.dot"; \
	for f in docs/graph/*.yaml docs/graph/trip/trip.yaml; do "$$d/fermata" graph show "$$f" --format dot >"$$d/$$(basename "$$f" .yaml).dot"; done; \
	for f in "$$d"/*.dot; do dot -Tsvg "$$f" -o "docs/graph/$$(basename "$$f" .dot).svg"; done

demo: ## the guided tour
	$(GO) run ./cmd/fermata demo
