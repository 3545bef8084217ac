# Muskrat. `make help` explains the targets; README.md says how to start.
#
# The daemons are built here (objects and the program in build/); the extension by PGXS, out of tree, in
# build/extension-<major>. Settings: PG_CONFIG (default: the newest installed), SANITIZE=address|undefined|thread,
# BUG=<name> (a seeded bug for proving the torture tests; see test/torture/README.md), BUILD=<folder>, V=1 (show commands),
# OPT (default -O2), DEBUG (default -g1).

VERSION   := 0.1.0
BUILD     ?= build
CXX       ?= g++
PG_CONFIG ?= $(or $(lastword $(sort $(wildcard /usr/lib/postgresql/*/bin/pg_config))),pg_config)
PG_MAJOR   = $(shell $(PG_CONFIG) --version 2>/dev/null | sed 's/[^0-9]*\([0-9]*\).*/\1/')
PYTHON    := /usr/bin/python3
PREFIX    ?= /usr/local

PKGS      := libpq libmariadb librabbitmq libcurl sqlite3 jansson yaml-cpp spdlog fmt prometheus-cpp-core cpp-httplib openssl expat
WARNINGS  := -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Wold-style-cast -Werror
OPT       ?= -O2
SAN_FLAGS := $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-omit-frame-pointer)
BUG_FLAGS := $(if $(BUG),-DMUSKRAT_BUG_$(BUG))
CPPFLAGS  += -I. -I$(BUILD)/gen -DMUSKRAT_VERSION='"$(VERSION)"' $(BUG_FLAGS) $(shell pkg-config --cflags $(PKGS) 2>/dev/null | sed 's/-I/-isystem /g')
# -g1: where in the source, which a backtrace needs, and a quarter less to compile; DEBUG=-g for a debugger.
DEBUG     ?= -g1
CXXFLAGS  += -std=c++20 $(OPT) $(DEBUG) -pthread $(WARNINGS) $(SAN_FLAGS)
# libjq and date have no .pc file in Debian 12
LDLIBS    := $(shell pkg-config --libs $(PKGS) 2>/dev/null) -ljq -ldate-tz -pthread
# ccache where there is one: builds of the same source again cost nothing
CCACHE    := $(shell command -v ccache 2>/dev/null)

LIB_DIRS  := $(shell find common capture_mysql relay consumer -type d)
LIB_SRC   := $(foreach d,$(LIB_DIRS),$(wildcard $(d)/*.cpp))
CLI_SRC   := $(wildcard cli/*.cpp)
UNIT_SRC  := $(wildcard test/unit/test_*.cpp)
# like the unit tests, but they talk to servers, which test/run.py starts
INTEGRATION_SRC := $(wildcard test/integration/test_*.cpp)
LIB_OBJ   := $(LIB_SRC:%.cpp=$(BUILD)/obj/%.o)
CLI_OBJ   := $(CLI_SRC:%.cpp=$(BUILD)/obj/%.o)
TEST_OBJ  := $(UNIT_SRC:%.cpp=$(BUILD)/obj/%.o) $(INTEGRATION_SRC:%.cpp=$(BUILD)/obj/%.o) $(BUILD)/obj/test/bench/mapping_rate.o
UNIT_BIN  := $(UNIT_SRC:test/unit/%.cpp=$(BUILD)/unit/%)
INTEGRATION_BIN := $(INTEGRATION_SRC:test/integration/%.cpp=$(BUILD)/integration/%)
LIB       := $(BUILD)/libmuskrat.a
PROGRAM   := $(BUILD)/muskrat
STAGE     := $(BUILD)/stage-$(PG_MAJOR)

# A job for each core where -j was not given. Only for what builds: `make demo check` still does one after the other.
ifeq ($(filter-out all program extension unit-programs,$(or $(MAKECMDGOALS),all))$(filter -j%,$(MAKEFLAGS)),)
MAKEFLAGS += -j$(shell getconf _NPROCESSORS_ONLN)
endif

# One short line a file; V=1 shows the commands.
Q         := $(if $(V),,@)
say        = $(if $(V),,@printf '  %-8s %s\n' $(1) $(2))

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SECONDARY: $(TEST_OBJ)

help: ## Say what each target does
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

deps: ## Install the Debian packages that building, testing and the demo need (sudo when not root; FOR=build or FOR=program: what that needs alone)
	@packaging/deps.sh $(if $(FOR),--$(FOR))

all: program extension ## Build the program and the extension into build/

program: $(PROGRAM)

$(PROGRAM): $(CLI_OBJ) $(LIB)
	$(call say,link,$@)
	$(Q)$(CXX) $(CXXFLAGS) $(LDFLAGS) -o $@ $(CLI_OBJ) $(LIB) $(LDLIBS)

$(LIB): $(LIB_OBJ)
	@rm -f $@
	$(call say,archive,$@)
	$(Q)ar rcs $@ $^

# What only tests is run once or twice: quick to compile is what counts.
$(BUILD)/obj/test/unit/%.o $(BUILD)/obj/test/integration/%.o: OPT := -O0

$(BUILD)/obj/%.o: %.cpp
	@mkdir -p $(@D)
	$(call say,compile,$<)
	$(Q)$(CCACHE) $(CXX) $(CPPFLAGS) $(CXXFLAGS) -MMD -MP -c -o $@ $<

# SQL that the program carries with it, as string literals.
$(BUILD)/gen/mysql_%.inc: sql/mysql/%.sql
	@mkdir -p $(@D)
	@{ printf 'R"sql('; cat $<; printf ')sql"\n'; } >$@

GENERATED := $(BUILD)/gen/mysql_outbox.inc $(BUILD)/gen/mysql_capture.inc $(BUILD)/gen/mysql_backfill.inc \
             $(BUILD)/gen/mysql_version.inc

$(BUILD)/obj/cli/install.o: $(GENERATED)

$(UNIT_BIN) $(INTEGRATION_BIN): $(BUILD)/%: $(BUILD)/obj/test/%.o $(LIB)
	@mkdir -p $(@D)
	$(call say,link,$@)
	$(Q)$(CXX) $(CXXFLAGS) $(LDFLAGS) -o $@ $< $(LIB) $(LDLIBS) -lcmocka

$(BUILD)/bench/mapping_rate: $(BUILD)/obj/test/bench/mapping_rate.o $(LIB)
	@mkdir -p $(@D)
	$(call say,link,$@)
	$(Q)$(CXX) $(CXXFLAGS) $(LDFLAGS) -o $@ $< $(LIB) $(LDLIBS)

# PGXS out of tree: the objects of one PostgreSQL major never meet those of another.
extension: ## Build the extension for PG_CONFIG and stage it under build/stage-<major>
	@mkdir -p $(BUILD)/extension-$(PG_MAJOR)
	$(MAKE) -C $(BUILD)/extension-$(PG_MAJOR) -f $(CURDIR)/extension/Makefile PG_CONFIG=$(PG_CONFIG) BUG=$(BUG)
	$(MAKE) -s -C $(BUILD)/extension-$(PG_MAJOR) -f $(CURDIR)/extension/Makefile PG_CONFIG=$(PG_CONFIG) \
		DESTDIR=$(abspath $(STAGE)) install >/dev/null

install: all install-program ## Install the program, the extension and the systemd units (DESTDIR, PREFIX and PG_CONFIG are obeyed)
	@echo "The extension goes to PostgreSQL $(PG_MAJOR), of $(PG_CONFIG); for another say PG_CONFIG=…"
	$(MAKE) -C $(BUILD)/extension-$(PG_MAJOR) -f $(CURDIR)/extension/Makefile PG_CONFIG=$(PG_CONFIG) install

UNITS := $(DESTDIR)$(PREFIX)/lib/systemd/system

install-program: program ## The same without the extension, which only a source's server needs
	install -D -m 755 $(PROGRAM) $(DESTDIR)$(PREFIX)/bin/muskrat
	install -D -m 644 examples/muskrat.yaml $(DESTDIR)$(PREFIX)/share/muskrat/muskrat.example.yaml
	install -D -m 644 packaging/alerts.yml $(DESTDIR)$(PREFIX)/share/muskrat/alerts.yml
	install -D -m 644 packaging/muskrat.sysusers $(DESTDIR)$(PREFIX)/lib/sysusers.d/muskrat.conf
	install -D -m 644 -t $(UNITS) packaging/*.service
	sed -i 's|/usr/local/bin/|$(PREFIX)/bin/|' $(patsubst packaging/%,$(UNITS)/%,$(wildcard packaging/*.service))

demo: ## The main job on private servers for a minute; compares what arrived row by row (SOURCE=mysql: from MariaDB; KEEP=1: leave it running)
	@packaging/deps.sh --quiet
	@$(MAKE) -s all
	@$(PYTHON) examples/demo/demo.py --build $(BUILD) $(if $(SOURCE),--source $(SOURCE)) $(if $(KEEP),--keep)

check: ## Build and run every test: unit, doubles, regress, isolation, end-to-end, short torture (some 25 minutes on two cores)
	@packaging/deps.sh --quiet
	@$(MAKE) program extension unit-programs
	@$(PYTHON) test/run.py --build $(BUILD) $(ONLY)

unit-programs: $(UNIT_BIN) $(INTEGRATION_BIN)

torture: ## The long fault tests: whole sweeps, seeded bugs, 200,000 events under kill -9 (an hour or more)
	@packaging/deps.sh --quiet
	@$(MAKE) -s all
	@$(PYTHON) test/run.py --build $(BUILD) --torture $(ONLY)

bench: ## Measure, as ratios within one run (FULL=1 for the long sizes); writes build/bench.json
	@packaging/deps.sh --quiet
	@$(MAKE) -s program extension
	@$(MAKE) -s $(BUILD)/bench/mapping_rate
	@$(PYTHON) test/bench/bench.py --build $(BUILD) $(if $(FULL),--full) $(if $(ONLY),--only $(ONLY))

golden: ## Write the golden files anew from what the program does now; read the diff before you commit
	@$(MAKE) program extension unit-programs
	@$(PYTHON) test/run.py --build $(BUILD) --bless

SOURCES := $(shell git ls-files '*.cpp' '*.hpp' 2>/dev/null)

# clang-tidy takes seconds a file, so what was clean stays clean until it, a header or the rules change.
TIDY_OK := $(patsubst %.cpp,$(BUILD)/tidy/%.ok,$(or $(FILES),$(filter %.cpp,$(SOURCES))))

lint: ## Check format, clang-tidy, shell and Python; changes no source (FILES="a.cpp b.cpp": clang-tidy on these alone)
	@echo "lint: format, $(words $(SOURCES)) files"; clang-format --dry-run --Werror $(SOURCES)
	@echo "lint: clang-tidy, $(words $(TIDY_OK)) files, those that changed since they were clean"
	@failed=0; $(MAKE) -s -k -j$$(getconf _NPROCESSORS_ONLN) $(TIDY_OK) || failed=1; packaging/lint.sh || failed=1; exit $$failed

# $(1): the flags
tidy = @mkdir -p $(@D); $(CXX) $(1) -MM -MP -MT $@ -MF $(@:.ok=.d) $<; clang-tidy --quiet $< -- $(1) >$@.said 2>&1 || { cat $@.said; exit 1; }; touch $@

$(BUILD)/tidy/%.ok: %.cpp .clang-tidy $(GENERATED)
	$(call tidy,-std=c++20 -pthread $(CPPFLAGS))

$(BUILD)/tidy/extension/%.ok: extension/%.cpp .clang-tidy
	$(call tidy,-std=c++20 -fno-exceptions -fno-rtti -Wno-register -I. -isystem $(shell $(PG_CONFIG) --includedir-server))

format: ## Format the sources in place
	clang-format -i $(SOURCES)

clean: ## Remove build/
	rm -rf $(BUILD)

-include $(LIB_OBJ:.o=.d) $(CLI_OBJ:.o=.d) $(TEST_OBJ:.o=.d) $(if $(filter lint $(BUILD)/tidy/%,$(MAKECMDGOALS)),$(TIDY_OK:.ok=.d))

.PHONY: help deps all program extension install install-program demo check unit-programs torture bench golden lint format clean
