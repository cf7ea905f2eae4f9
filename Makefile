# Linekeeper. `make run` shows it working; `make test` tests it; `make help` lists the rest.
SHELL := /bin/sh
.DEFAULT_GOAL := help

VERSION   ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS   := -s -w -X main.version=$(VERSION)
GOFLAGS   += -trimpath
# Loaded at an address that nobody knows beforehand, with nothing left writable of what the loader fills in.
BUILD     := CGO_ENABLED=1 go build $(GOFLAGS) -buildmode=pie -ldflags '$(LDFLAGS) -bindnow'
PROGRAMS  := ./cmd/linekeeper ./cmd/linekeeper-hq
LINT      := $(CURDIR)/.cache/bin/golangci-lint
LINT_VERSION := v2.15.0
INPUT     ?=

.PHONY: help
help: ## this list
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/\1\t\2/p' Makefile | expand -t 14

.PHONY: run
run: ## headquarters and one recorder beside each other, on a simulated line (INPUT=plughw:... for a real card)
	@lab/need.sh build assets run
	@$(MAKE) --no-print-directory build bin/demo
	@exec bin/demo -input '$(INPUT)'

.PHONY: bin/demo
bin/demo:
	@$(BUILD) -o $@ ./lab/demo

.PHONY: test
test: ## unit and table tests: no hardware, no root, no network
	@lab/need.sh build
	go test -race -shuffle=on ./...

.PHONY: deps
deps: ## install what every target needs (as root, or with sudo)
	lab/need.sh build assets run e2e fault bench arm64 lint lab
	go mod download
	$(MAKE) --no-print-directory assets $(LINT) $(TUSD) lab/browser/node_modules/.installed lab/receivers/node_modules/.installed

.PHONY: build
build: assets ## both programs, into bin/
	@lab/need.sh build
	@mkdir -p bin
	@$(BUILD) -o bin/ $(PROGRAMS)

.PHONY: build-arm64
build-arm64: assets ## both programs for arm64, into bin/arm64/
	@lab/need.sh build arm64
	@mkdir -p bin/arm64
	GOARCH=arm64 CC=aarch64-linux-gnu-gcc PKG_CONFIG_LIBDIR=/usr/lib/aarch64-linux-gnu/pkgconfig:/usr/share/pkgconfig \
		$(BUILD) -o bin/arm64/ $(PROGRAMS)

NFPM := $(CURDIR)/.cache/bin/nfpm
NFPM_VERSION := v2.45.1
# Whom the packages name as their maintainer: who made the commit, until who hands them out says another.
MAINTAINER ?= $(shell git log -1 --format='%an <%ae>' 2>/dev/null)
export MAINTAINER
.PHONY: deb
deb: build build-arm64 $(NFPM) ## Debian packages of both programs for amd64 and arm64, into dist/ (MAINTAINER='Name <address>')
	@images/deb.sh '$(VERSION)'
.PHONY: deb-test
deb-test: deb ## the packages installed, upgraded, run and removed in clean Debians, arm64 too (needs root); and built twice alike
	@lab/need.sh deb-test
	@images/deb-test.sh '$(VERSION)'
	@images/deb-again.sh '$(VERSION)'
.PHONY: image
image: build build-arm64 $(NFPM) ## the SD card's image for Raspberry Pi 3 and 4, into dist/ (needs root; the first time some minutes)
	@lab/need.sh image
	@images/card.sh '$(VERSION)'
.PHONY: image-test
image-test: image ## the image, built twice alike, and booted under QEMU on two machines, its power cut during first boot (needs root; CARDCUTS cuts)
	@lab/need.sh build image-test
	@images/card-again.sh '$(VERSION)'
	go test -tags lab -count 1 -v -timeout 55m ./lab/imagetest -image '$(CURDIR)/dist/linekeeper_$(VERSION).img' -cuts $(CARDCUTS)
CARDCUTS ?= 3
.PHONY: image-again
image-again: image ## the image built twice from its beginning, Debian's part too, and what differs listed (needs root; minutes)
	@images/card-again.sh '$(VERSION)' base
$(NFPM):
	@mkdir -p $(@D)
	GOBIN=$(@D) go install github.com/goreleaser/nfpm/v2/cmd/nfpm@$(NFPM_VERSION)

# The web pages' assets come from npm and are built again when their sources change.
WEB := hq/web
.PHONY: assets
assets: $(WEB)/assets/dist/.built ## the web pages' scripts and styles, into hq/web/assets/dist/
$(WEB)/assets/dist/.built: $(WEB)/package.json $(WEB)/package-lock.json $(wildcard $(WEB)/assets/src/* $(WEB)/*.mjs)
	@lab/need.sh assets
	@echo "building web assets (npm)"
	@cd $(WEB) && npm ci --silent && npm run --silent build
	@touch $@

lab/%/node_modules/.installed: lab/%/package.json lab/%/package-lock.json
	cd $(@D)/.. && npm ci --silent
	@touch $@

# The tus project's server, as anybody may run it.
TUSD := $(CURDIR)/.cache/bin/tusd
TUSD_VERSION := v2.10.0
$(TUSD):
	@mkdir -p $(@D)
	GOBIN=$(@D) go install github.com/tus/tusd/v2/cmd/tusd@$(TUSD_VERSION)

.PHONY: e2e
e2e: build bin/demo $(TUSD) lab/browser/node_modules/.installed lab/receivers/node_modules/.installed ## both programs, real ALSA capture, real brokers, the pages in a browser
	@lab/need.sh build e2e
	go test -tags e2e -count 1 -parallel 8 -timeout 20m ./lab/e2e ./lab/linesim ./capture ./seal

DAY ?= 24h
.PHONY: drift
drift: ## a card 200 ppm too fast, and one too slow, over a DAY (default 24h) of their own time, on a scaled clock: some minutes
	@lab/need.sh build e2e
	go test -tags e2e -count 1 -v -timeout 60m -run 'TestDriftOverADay$$' ./capture -day $(DAY)

PULLS ?= 100
.PHONY: pulls
pulls: build ## PULLS pulls of one of two equal simulated cards (default 100), of which make e2e does a few
	@lab/need.sh build e2e
	go test -tags e2e -count 1 -v -timeout 60m -run 'TestPulls$$' ./lab/e2e -pulls $(PULLS)

CUTS ?= 200
.PHONY: lab
lab: deb ## a day of an office in a virtual device: the package, two lines, light, network, kills, power cuts (QEMU; root only for mounts)
	@lab/need.sh build lab
	go test -tags lab -count 1 -v -p 1 -timeout 20m ./lab/device/...
	go test -tags lab -count 1 -v -timeout 20m -run 'TestOffice$$' ./lab/devicetest
	go test -tags lab -count 1 -v -timeout 60m ./lab/powercut -cuts $(CUTS)

.PHONY: lab-more
lab-more: deb ## in the virtual device too: the installed unit, USB cards swapped and pulled PULLS times, hooks, the self-test; an installer's whole way, hostile sticks, buttons
	@lab/need.sh build lab
	go test -tags lab -count 1 -v -timeout 60m -skip 'TestOffice$$|$(STICKS)' ./lab/devicetest -pulls $(PULLS)
	go test -tags lab -count 1 -v -timeout 60m -run '$(STICKS)' ./lab/devicetest
STICKS := TestInstaller$$|TestServiceButton$$|TestHostileSticks$$|TestStickPulls$$

.PHONY: powercuts
powercuts: ## the part of make lab that needs no virtual device: CUTS power cuts of a card (default 200; needs root)
	@lab/need.sh build lab
	go test -tags lab -count 1 -v -run 'TestPowerCuts$$|TestPowerCutsWithoutSync' ./lab/powercut -cuts $(CUTS)

.PHONY: test-arm64
test-arm64: build-arm64 ## replay with the arm64 build under qemu-user
	go test -tags qemu -count 1 -timeout 10m ./lab/e2e

.PHONY: lint
lint: $(LINT) ## formatting, vet, the table of rooms, shell scripts, systemd units
	@lab/need.sh build lint
	$(LINT) run ./...
	$(LINT) run --build-tags e2e,qemu,lab ./lab/... ./capture/... ./seal/...
	shellcheck lab/*.sh lab/device/*.sh systemd/*.sh images/*.sh images/card/root/usr/lib/linekeeper/* .ci/run
	systemd/verify.sh
$(LINT):
	@mkdir -p $(@D)
	GOBIN=$(@D) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINT_VERSION)

.PHONY: fmt
fmt: $(LINT) ## format everything
	$(LINT) fmt

KILLS ?= 1000
FAULTTIME ?= 12m
STRIDE ?= 1
SEEDS ?= 1000
DELIVERY ?= -calls 10000 -limit 17m
.PHONY: fault
fault: build ## what survives: each call of the ring to its card failed and cut (every STRIDE-th, for FAULTTIME), KILLS kills of the real program, 10,000 calls delivered through faults of all kinds
	@lab/need.sh build run fault
	@mkdir -p .cache
	@rm -f .cache/found-fault
	@echo "every call of the ring to its card fails, is cut, or is the last: scenarios for $(FAULTTIME)"
	@LINEKEEPER_FAULT_SEEDS=$(SEEDS) LINEKEEPER_FAULT_STRIDE=$(STRIDE) LINEKEEPER_FAULT_TIME=$(FAULTTIME) \
		lab/found.sh fault bash -o pipefail -c "go test -count 1 -v -timeout 55m -run 'TestEveryCutAndFault$$' ./buffer | \
			tee .cache/fault.log | grep --line-buffered 'fault_test.go'" || { grep -v '^=== ' .cache/fault.log | tail -n 60; exit 1; }
	@$(BUILD) -o bin/fault ./lab/fault
	@lab/found.sh fault bin/fault -kills $(KILLS) -limit 20m
	@$(BUILD) -o bin/delivery ./lab/delivery
	@lab/found.sh fault bin/delivery $(DELIVERY)
	@lab/found.sh fault

FUZZTIME ?= 20s
.PHONY: fuzz
fuzz: ## every fuzzer for FUZZTIME (default 20s) each
	@lab/need.sh build
	@lab/fuzz.sh $(FUZZTIME)

.PHONY: bench
bench: build deb ## speed, memory and bytes beside bare libopus and arecord | opusenc; delivery over bad links beside curl, rsync, rclone and mosquitto_pub (needs root); knowing calls beside spandsp and multimon-ng; a thousand recorders beside nginx; the virtual device
	@lab/need.sh build bench lab
	@rm -f .cache/found-bench
	@lab/found.sh bench go run ./lab/bench
	@lab/found.sh bench go test -run '^$$' -bench 'OpenLarge' -benchtime 1x ./buffer
	@lab/found.sh bench go run ./lab/linkbench
	@lab/found.sh bench go run ./lab/knowing
	@lab/found.sh bench go run ./lab/wholeline
	@lab/found.sh bench go run ./lab/crowd
	@lab/found.sh bench go run ./lab/devicebench
	@lab/found.sh bench

.PHONY: bench-device
bench-device: deb ## boot time and block writes of the recorder in the virtual device (QEMU)
	@lab/need.sh build lab
	go run ./lab/devicebench

.PHONY: clean
clean: ## remove what was built (run/, where make run keeps its state, stays)
	rm -rf bin dist .cache hq/web/node_modules lab/browser/node_modules lab/receivers/node_modules
	find hq/web/assets/dist -mindepth 1 ! -name .keep -delete
