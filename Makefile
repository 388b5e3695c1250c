# The targets with a description are what `make help` lists.

# SQLite is one Go package made from C, on one thread: looking for races inside of it finds none, and halves all else.
RACE     = -race -gcflags=github.com/ncruces/go-sqlite3-wasm/...=-race=false
GOTEST  ?= go test $(RACE) -timeout 20m
TOOL     = go tool -modfile=$(CURDIR)/tools/go.mod
CLIENTS  = web/packages/parley-go web/clients/go
EACH     = set -ex; for each in $(CLIENTS); do cd $(CURDIR)/$$each;
MODULES  = web/node_modules/.package-lock.json web/graphiql/node_modules/.package-lock.json
APP      = $(shell find web/app web/packages schema -type f -not -path '*/node_modules/*' -not -path '*/dist/*' -not -path '*/gql/*' -not -name '*.test.*')
ARGS    ?=

.DEFAULT_GOAL := help

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' Makefile

run: ## Run the server, with the app for the browser if npm is there to build it. ARGS='--help' lists the settings
	@command -v npm >/dev/null || exit 0; npm_config_fetch_retries=0 npm_config_fetch_timeout=20000 npm_config_prefer_offline=true \
		$(MAKE) --no-print-directory app || echo 'make: the app could not be built, everything else runs' >&2
	go run . $(ARGS)

app: web/dist/app.zip ## Build the app for the browser, which the server embeds; needs Node.js

web/dist/app.zip: web/node_modules/.package-lock.json $(APP)
	cd web && npm run --silent build -w app

demo: ## Play three people through a real server, as a transcript
	go run . demo

# The last package measures times: it has the machine for itself.
test: modules app postgres chromium ## Run all tests with all clients; installs what they need where it can
	CI=1 $(GOTEST) $$(go list ./... | grep -v /internal/app$$)
	cd web/clients/go && $(GOTEST) ./...
	CI=1 $(GOTEST) ./internal/app

test-go: postgres ## Run the Go tests, on SQLite and on PostgreSQL; PKG=./internal/... narrows them
	$(GOTEST) $(or $(PKG),./...)

test-clients: modules app chromium ## Run what is proven of clients: npm's, Go's, the audits, and the app in browsers
	CI=1 $(GOTEST) -v ./web
	cd web/clients/go && $(GOTEST) -v ./...

lint: ## Check the code's style and look for likely mistakes
	$(TOOL) golangci-lint run ./...
	@$(EACH) $(TOOL) golangci-lint run ./...; done

fmt: ## Format the Go code
	$(TOOL) golangci-lint fmt
	@$(EACH) $(TOOL) golangci-lint fmt; done

generate: ## Regenerate what is generated from the schema
	go generate ./...
	cd web/clients/go && go generate ./...

# Generates again and compares the trees before and after, so that it also works among uncommitted changes.
generate-check: ## Fail unless the generated code is current
	@dir=$$(mktemp -d) && trap 'rm -rf "$$dir"' EXIT && \
	tree() { cp "$$(git rev-parse --git-path index)" "$$dir/index" && \
		GIT_INDEX_FILE="$$dir/index" git add -A && GIT_INDEX_FILE="$$dir/index" git write-tree; } && \
	before=$$(tree) && $(MAKE) --no-print-directory generate && after=$$(tree) && \
	git diff --stat --exit-code "$$before" "$$after" || { echo 'generated code was not current: commit what `make generate` wrote' >&2; exit 1; }

vuln: ## Look for known vulnerabilities in what is called
	$(TOOL) govulncheck ./...
	@$(EACH) $(TOOL) govulncheck ./...; done

graphiql: web/graphiql/node_modules/.package-lock.json ## Build the embedded GraphiQL; needs Node.js
	cd web/graphiql && npm run build

playground: ## Pack the embedded GraphQL Playground; needs npm
	web/playground/pack.sh

bench: ## Measure the live path, sends and reads beside their peers, and write the README's table; Linux, PostgreSQL, npm
	cd bench && go run . $(or $(ARGS),-into ../README.md)

bench-quick: ## The same beside two peers, in under two minutes
	cd bench && go run . -quick $(ARGS)

cluster: postgres ## Run PostgreSQL, NATS and three nodes behind a balancer, to try; says what to kill and what to watch; Linux
	cd bench && go run ./cluster/up $(ARGS)

chaos: postgres ## Prove that nothing is lost while nodes, PostgreSQL and NATS are killed; a quarter of an hour; Linux
	cd bench && go build -o ../bin/ ./chaos && ../bin/chaos $(ARGS)

chaos-quick: postgres ## The same with fewer clients and two kills of nodes, in two minutes
	cd bench && go build -o ../bin/ ./chaos && ../bin/chaos -quick $(ARGS)

chaos-selftest: postgres ## Take away one safety net of the server after the other, and see that each is missed
	cd bench && go build -o ../bin/ ./chaos && ../bin/chaos -selftest $(ARGS)

kill-jobs: postgres ## Kill servers a hundred times while they have mails to send and more to do; five minutes
	go test -count=1 -timeout 30m -v -run '^TestProgram$$/^at_work$$' ./internal/app -kill-jobs

soak: ## Stop 200 of 1,000 sockets for a minute and hold latency and memory against before; on a quiet machine
	go test -count=1 -timeout 30m -v -run '^TestSlowReaders$$' ./internal/app -soak

web-speed: modules app chromium ## Hold to their budget how soon a message is on the other screen, and how 5,000 scroll; on a quiet machine
	CI=1 go test -count=1 -v -run '^TestEndToEnd$$' ./web -speed

storm: ## Cut 5,000 sockets at once, and hold it to 10 s that 95 % are back and caught up; on a quiet machine
	go test -count=1 -timeout 10m -v -run '^TestStorm$$' ./internal/app -storm

ci: ## Do what the build machine does
	.ci/run

clean: ## Remove what was built; keeps data/
	rm -rf bin web/dist/app.zip web/app/dist web/app/src/gql web/node_modules web/*/node_modules web/packages/*/dist
	go clean -testcache

modules: $(MODULES)

%/node_modules/.package-lock.json: %/package-lock.json
	cd $* && npm ci --no-audit --no-fund
	@touch $@

# The tests start a server of their own from the installed programs, and say so when there are none.
postgres:
	@test -n "$$TEST_DATABASE_URL" || command -v initdb >/dev/null || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || \
	if command -v apt-get >/dev/null && test "$$(id -u)" = 0; then \
		export DEBIAN_FRONTEND=noninteractive; \
		apt-get update -q && apt-get install -yq --no-install-recommends postgresql; \
	fi

# What the tests open pages in.
chromium:
	@command -v chromium >/dev/null || \
	if command -v apt-get >/dev/null && test "$$(id -u)" = 0; then \
		export DEBIAN_FRONTEND=noninteractive; \
		apt-get update -q && apt-get install -yq --no-install-recommends chromium; \
	fi

.PHONY: help run app demo test test-go test-clients lint fmt generate generate-check vuln graphiql playground bench bench-quick cluster chaos chaos-quick chaos-selftest kill-jobs soak storm web-speed ci clean modules postgres chromium
