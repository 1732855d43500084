# ssg-bootstrap. `make help` lists the targets.

BIN := bin/ssg-bootstrap
# These wait for real servers and real programs: begun first, they wait beside
# the others and not after them.
LONGEST := ./chart ./bootstrap/k3s ./cmd/ssg-bootstrap
# Where goroutines meet. The kill-anywhere tests of the rest use what these
# packages hold and would take four times as long.
RACE := ./bootstrap/host/... ./bootstrap/step ./bootstrap/report ./bootstrap/artifact ./bootstrap/wait ./bootstrap/cli/...
# The race detector is C; a machine with Go and nothing else does without it.
RACING := $(if $(shell command -v $${CC:-gcc}),-race)
# The newest CPU level that the 2008 PC has; a workstation of its age can run the client too.
export GOAMD64 = v1

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## /{printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## build bin/ssg-bootstrap (static)
	CGO_ENABLED=0 go build -trimpath -buildvcs=auto -ldflags '-s -w' -o $(BIN) ./cmd/ssg-bootstrap

.PHONY: test
test: ## all hermetic tests: no root, no network, race detector where things run side by side
	go vet ./...
	@$(if $(RACING),,echo "no C compiler here: the race detector stays off")
	go test $(RACING) -timeout 20m $(RACE)
	go test -p 4 -timeout 20m $(LONGEST) $$(go list ./... | grep -vxF "$$(go list $(RACE))")
	cd lab && go vet ./... && go test -p 4 -timeout 20m ./...
	cd lab/tailnet && go vet ./... && go test -timeout 20m ./...

.PHONY: fuzz
fuzz: ## fuzz every parser that reads what a box or a user wrote, FUZZTIME each (default 20s)
	@go test -list '^Fuzz' ./... | awk '/^Fuzz/ {f[++n] = $$1} /^ok/ {for (i = 1; i <= n; i++) print $$2, f[i]; n = 0}' | \
	while read -r package target; do \
	  echo "== $$target in $$package"; \
	  go test -run '^$$' -fuzz "^$$target$$" -fuzztime $(or $(FUZZTIME),20s) -fuzzminimizetime 1x "$$package" || exit 1; \
	done

.PHONY: golden
golden: ## write anew what the tests expect; read the diff
	UPDATE_GOLDEN=1 go test -count=1 -run 'Rendered|Mistake|Documented|Scripts|Golden' ./bootstrap/... ./chart/... ./profiles/... ./cmd/...

.PHONY: generate
generate: ## rewrite what is made from the code: docs/schema, docs/reference
	go generate ./bootstrap/spec ./bootstrap/bench ./bootstrap/cli/reference

.PHONY: lint
lint: ## gofmt and go vet
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); exit 1; }
	go vet ./...

include lab/lab.mk

# What a command that leads to the lab needs to know, each from its own file.
LAB_SECRETS = $(foreach s,SSG_SUDO_PASSWORD:sudo_password GITHUB_TOKEN:github_token TS_API_CLIENT_ID:tailscale_client_id TS_API_CLIENT_SECRET:tailscale_client_secret,$(firstword $(subst :, ,$s))="$$(cat "$$($(LAB) env $(lastword $(subst :, ,$s)))")")

.PHONY: demo
demo: build lab ## start the emulated Core 2 Duo, install on it, measure it, show the result
	@echo "== ssg-bootstrap install --host oldpc"
	@$(LAB_SECRETS) $(BIN) --config "$$($(LAB) env config)" install --host oldpc
	@echo "== ssg-bootstrap status --host oldpc"
	@$(LAB_SECRETS) $(BIN) --config "$$($(LAB) env config)" status --host oldpc
	@echo "== ssg-bootstrap bench --host oldpc"
	@$(LAB_SECRETS) $(BIN) --config "$$($(LAB) env config)" bench --host oldpc
	@echo "== see the application answer"
	@echo "  curl -i -H 'Host: studentsystemgo.home.arpa' http://$$($(LAB) env lan_80)/healthz"
	@echo "== where to look next"
	@echo "  SSG_SUDO_PASSWORD=\$$(cat $$($(LAB) env sudo_password)) $(BIN) --config $$($(LAB) env config) doctor --host oldpc"
	@echo "  make lab-ssh        a shell on the box"
	@echo "  make lab-down       shut it down; its disk stays"
	@echo "  docs/layout.md      how it fits together"
	@echo "  README.md           how to point it at a real box"

.PHONY: recording
recording: recording-tools build lab ## record an install on the fresh emulated Core 2 Duo: docs/recording/install.svg
	@$(LAB_SECRETS) docs/recording/record.sh $(CURDIR)/$(BIN) "$$($(LAB) env config)"

# What is missing is told before half an hour of building.
.PHONY: recording-tools
recording-tools:
	@docs/recording/record.sh --tools

.PHONY: e2e
e2e: build lab-build ## the core path on the emulated box, every figure printed
	cd lab && SSG_BOOTSTRAP=$(CURDIR)/$(BIN) go test -tags e2e -count=1 -timeout 80m -v -run '$(or $(RUN),TestCore)' ./e2e

# One package at a time: of several, go test tells nothing before the end.
E2E := go test -tags e2e -count=1 -timeout 24h -v

.PHONY: e2e-full
e2e-full: build lab-build ## everything on the emulated box: long measurements and drills too
	$(if $(RUN),,go test -tags lab -count=1 -timeout 20m ./bootstrap/recovery ./bootstrap/release)
	@cd lab && go test -tags e2e -list '$(firstword $(subst /, ,$(RUN)))' ./vm ./e2e | grep -q '^Test' || { echo "no test is called $(RUN)"; exit 1; }
	cd lab && SSG_BOOTSTRAP=$(CURDIR)/$(BIN) $(E2E) -run '$(RUN)' ./vm
	cd lab && SSG_BOOTSTRAP=$(CURDIR)/$(BIN) $(E2E) -run '$(RUN)' ./e2e

.PHONY: figures
figures: build ## measure the program itself: size and start; fails when a goal is missed
	go run ./bootstrap/packaging/figures $(BIN)

# The newest release that asks for nothing the module proxy does not have.
NFPM := go run github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.43.4

.PHONY: dist
dist: ## dist/: static programs for Linux, macOS and Windows, man pages, SBOMs, checksums, .deb
	go run ./bootstrap/packaging/mkdist dist $(NFPM)
	@cat dist/SHA256SUMS

.PHONY: dist-check
dist-check: ## build dist twice, in two clones of this commit, and compare the bytes
	bootstrap/packaging/check.sh

.PHONY: clean
clean: ## remove what was built here (the caches stay)
	rm -rf bin dist
