# lmopt: one makefile. `make help` lists the goals; what it makes is in build/.

# --- settings: override on the command line ---

BUILD    = build
PREFIX   = /usr/local
DESTDIR  =            # a folder that stands for the root: what packagers set
CC       = cc
HOSTCC   = $(CC)
PYTHON   = python3
LUA      = lua5.4
SANITIZE =            # address,undefined: what `make asan` says
V        =            # 1: show every command

WARNINGS = -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wwrite-strings -Wvla
OPTIMIZE = -O2
CFLAGS   = -g $(WARNINGS)
LDFLAGS  =
PACKAGES = lua5.4 libcurl sqlite3 libcrypto
LINKED   = sqlite3 libcrypto           # of these, what a program with lmopt in it links
SETUP    = scripts/setup               # `scripts/setup --check`: install no packages
OBJCOPY  = objcopy
NM       = nm

# --- end of settings ---

MAKEFLAGS += --no-builtin-rules
.SUFFIXES:
.DELETE_ON_ERROR:
.SECONDARY:
.DEFAULT_GOAL := all

BUILD    := $(strip $(BUILD))
SANITIZE := $(strip $(SANITIZE))
LINKED   := $(strip $(LINKED))
SETUP    := $(strip $(SETUP))
DESTDIR  := $(strip $(DESTDIR))
ifneq ($(strip $(V)),1)
say = @printf '  %-6s %s\n' '$(1)' '$(2)';
endif

# Evaluated when first used, which is after scripts/setup; `once` keeps the answer.
once = $(eval $(1) := $(2))$($(1))
PACKAGE_CFLAGS = $(call once,PACKAGE_CFLAGS,$(shell pkg-config --cflags $(PACKAGES)))
LIBRARIES      = $(call once,LIBRARIES,$(shell pkg-config --libs $(LINKED)) -lm -ldl)
CMOCKA         = $(call once,CMOCKA,$(shell pkg-config --cflags --libs cmocka))
# Static where Debian ships it: one file is the product.
static_library = $(firstword $(wildcard $(shell pkg-config --variable=libdir $(1))/lib$(2).a \
                   /usr/lib/$(shell $(CC) -print-multiarch)/lib$(2).a) -l$(2))
CJSON_LIBRARY  = $(call once,CJSON_LIBRARY,$(call static_library,lua5.4-cjson,lua5.4-cjson))
LUA_LIBRARY    = $(call once,LUA_LIBRARY,$(call static_library,lua5.4,lua5.4))

ifneq ($(SANITIZE),)
INSTRUMENT = -fsanitize=$(SANITIZE) -fno-sanitize-recover=undefined -fno-omit-frame-pointer
endif
# No fused multiply-add: the same seed gives the same study on every machine.
# Unwind tables: a host's Lua may be built as C++.
# The same bytes wherever it is built: no folder of this machine in them.
NEEDED  = -std=c11 -fPIC -fvisibility=hidden -fexceptions -ffp-contract=off \
          -ffile-prefix-map=$(CURDIR)=. $(patsubst %,-ffile-prefix-map=%=build,$(BUILD) $(abspath $(BUILD)))
COMPILE = $(CC) $(NEEDED) $(OPTIMIZE) $(CFLAGS) $(INSTRUMENT) -Isrc $(PACKAGE_CFLAGS)
LINK    = $(CC) $(CFLAGS) $(INSTRUMENT) $(LDFLAGS)

SOURCES   := $(sort $(wildcard src/*/*.c))
HEADERS   := $(sort $(wildcard src/*.h src/*/*.h))
OBJECTS   := $(SOURCES:src/%.c=$(BUILD)/obj/%.o) $(BUILD)/obj/embedded.o
LUA_OBJECTS  := $(filter $(BUILD)/obj/lua/% $(BUILD)/obj/embedded.o,$(OBJECTS))
CORE_OBJECTS := $(filter-out $(LUA_OBJECTS),$(OBJECTS))
LUA_FILES := $(sort $(shell find lua/lmopt -name '*.lua'))

UNIT_TESTS  := $(sort $(wildcard tests/unit/test_*.c tests/faults/test_*.c))
HOSTS       := $(sort $(wildcard tests/embed/*.c tests/embed/*.cc examples/embed/*.c examples/embed/*.cc))
UNIT_PROGRAMS  := $(UNIT_TESTS:tests/%.c=$(BUILD)/tests/%)
HOST_PROGRAMS  := $(addprefix $(BUILD)/hosts/,$(basename $(HOSTS)))
BENCH_PROGRAMS := $(patsubst tests/%.c,$(BUILD)/tests/%,$(wildcard tests/bench/*.c))
FUZZ_PROGRAMS  := $(sort $(patsubst tests/fuzz/target_%,$(BUILD)/tests/fuzz/%,$(basename $(wildcard tests/fuzz/target_*))))
TEST_HELPERS   := $(sort $(filter-out $(UNIT_TESTS),$(wildcard tests/unit/*.c)))
TEST_HELPER_OBJECTS := $(TEST_HELPERS:tests/%.c=$(BUILD)/obj/tests/%.o)

.PHONY: all demo deb hosts reference install-rock uninstall test suites test-unit test-lua test-cli test-embed test-package test-faults faults-long test-fuzz test-gc fuzz fuzz-programs lint asan format bench interop install clean help force

all: $(BUILD)/lmopt $(BUILD)/liblmopt.a $(BUILD)/lmopt.so ## build/lmopt, build/liblmopt.a, build/lmopt.so

# --- packages ---

# One after the other: apt-get takes no company.
$(BUILD)/.setup-test: | $(BUILD)/.setup-build

$(BUILD)/.setup-%: scripts/setup
	@$(SETUP) $*
	@mkdir -p $(BUILD) && touch $@

# --- objects ---

$(BUILD)/obj/search/%.o $(BUILD)/obj/math/dense.o: OPTIMIZE = -O3
# Square roots in loops that become vector instructions: nobody asks for errno.
$(BUILD)/obj/search/gp_%.o: OPTIMIZE = -O3 -fno-math-errno

$(BUILD)/obj/%.o: src/%.c Makefile | $(BUILD)/.setup-build
	@mkdir -p $(@D)
	$(call say,CC,$<) $(COMPILE) -MMD -MP -c -o $@ $<

$(BUILD)/obj/embedded.o: $(BUILD)/embedded.c Makefile | $(BUILD)/.setup-build
	$(call say,CC,$<) $(COMPILE) -MMD -MP -c -o $@ $<

$(BUILD)/obj/cjson_stderr.o: scripts/cjson_stderr.c Makefile | $(BUILD)/.setup-build
	$(call say,CC,$<) $(COMPILE) -c -o $@ $<

$(BUILD)/obj/tests/%.o: tests/%.c Makefile | $(BUILD)/.setup-test
	@mkdir -p $(@D)
	$(call say,CC,$<) $(COMPILE) -MMD -MP -c -o $@ $<

# The list changes when a Lua file comes or goes, its date only then.
$(BUILD)/lua-files: force | $(BUILD)/.setup-build
	@echo '$(LUA_FILES)' | cmp -s - $@ || echo '$(LUA_FILES)' > $@

$(BUILD)/embed: scripts/embed.c | $(BUILD)/.setup-build
	$(call say,CC,$<) $(HOSTCC) -std=gnu11 -O1 $(WARNINGS) -o $@ $<

$(BUILD)/embedded.c: $(BUILD)/embed $(LUA_FILES) $(BUILD)/lua-files
	$(call say,EMBED,$@) $(BUILD)/embed lua/lmopt $@

# --- products ---

# lua-cjson's static library, as one object. Where it reads `stderr` (for the
# message it ends with when memory is gone) it does so in a way that a shared
# object can't: scripts/cjson_stderr.c stands in.
$(BUILD)/obj/cjson.o: Makefile | $(BUILD)/.setup-build
	@mkdir -p $(@D)
	$(call say,LD,$@) $(CC) -r -nostdlib -o $@ -Wl,--whole-archive $(CJSON_LIBRARY) -Wl,--no-whole-archive && \
	  $(OBJCOPY) --redefine-sym stderr=lm_cjson_stderr $@

# Two objects: a program without Lua links the first alone. lua-cjson is inside the second.
$(BUILD)/sealed/core.o $(BUILD)/sealed/lua.o &: $(CORE_OBJECTS) $(LUA_OBJECTS) $(BUILD)/obj/cjson.o $(BUILD)/obj/cjson_stderr.o packaging/seal
	@mkdir -p $(BUILD)/sealed
	$(call say,LD,$(BUILD)/sealed) $(CC) -r -nostdlib -o $(BUILD)/sealed/core.o $(CORE_OBJECTS) && \
	  $(CC) -r -nostdlib -o $(BUILD)/sealed/lua.o $(LUA_OBJECTS) $(BUILD)/obj/cjson.o $(BUILD)/obj/cjson_stderr.o && \
	  NM='$(NM)' OBJCOPY='$(OBJCOPY)' packaging/seal $(BUILD)/sealed/core.o $(BUILD)/sealed/lua.o

$(BUILD)/liblmopt.a: $(BUILD)/sealed/core.o $(BUILD)/sealed/lua.o
	$(call say,AR,$@) rm -f $@ && $(AR) rcsD $@ $^

# Every object as it was compiled: for the tests of what is inside.
$(BUILD)/obj/lmopt.a: $(OBJECTS)
	$(call say,AR,$@) rm -f $@ && $(AR) rcsD $@ $^

# Exports luaopen_lmopt and lmopt_*; Lua itself comes from the program that loads it.
$(BUILD)/lmopt.so: $(BUILD)/sealed/core.o $(BUILD)/sealed/lua.o
	$(call say,LD,$@) $(LINK) -shared -o $@ $^ $(LIBRARIES)

# The Lua files for the command, in the binary form of the very Lua that is linked into
# it; the texts where that Lua is not linked in, or can't run on the machine that builds.
$(BUILD)/precompiled.c: scripts/precompile.c $(BUILD)/embedded.c $(BUILD)/obj/embedded.o
	$(call say,EMBED,$@) if [ '$(CC)' = '$(HOSTCC)' ] && [ -n '$(filter %.a,$(LUA_LIBRARY))' ]; then \
	  $(COMPILE) -o $(BUILD)/precompile $< $(BUILD)/obj/embedded.o $(LUA_LIBRARY) -lm -ldl && $(BUILD)/precompile $@; \
	else cp $(BUILD)/embedded.c $@; fi

$(BUILD)/obj/precompiled.o: $(BUILD)/precompiled.c Makefile | $(BUILD)/.setup-build
	$(call say,CC,$<) $(COMPILE) -MMD -MP -c -o $@ $<

# Exports Lua's API, so that scripts may require C modules.
COMMAND_OBJECTS := $(BUILD)/obj/main.o $(BUILD)/obj/precompiled.o $(filter-out $(BUILD)/obj/embedded.o,$(OBJECTS))
$(BUILD)/lmopt: $(COMMAND_OBJECTS)
	$(call say,LD,$@) $(LINK) -Wl,-E -o $@ $^ $(CJSON_LIBRARY) $(LUA_LIBRARY) $(LIBRARIES)

# --- what is installed ---

BINDIR     = $(PREFIX)/bin
INCLUDEDIR = $(PREFIX)/include
LIBDIR     = $(PREFIX)/lib
LUA_CMOD   = $(LIBDIR)/lua/5.4
DATADIR    = $(PREFIX)/share
MANDIR     = $(DATADIR)/man
DOCDIR     = $(DATADIR)/doc/lmopt
BASH_COMPLETIONS = $(DATADIR)/bash-completion/completions
ZSH_COMPLETIONS  = $(DATADIR)/zsh/site-functions
FISH_COMPLETIONS = $(DATADIR)/fish/vendor_completions.d

VERSION := $(shell sed -n 's/^\#define LMOPT_VERSION "\(.*\)"/\1/p' src/lmopt.h)
FOLDERS := PREFIX BINDIR INCLUDEDIR LIBDIR LUA_CMOD DATADIR MANDIR DOCDIR BASH_COMPLETIONS ZSH_COMPLETIONS FISH_COMPLETIONS
RUN_INSTALL = BUILD='$(BUILD)' DESTDIR='$(DESTDIR)' VERSION='$(VERSION)' REQUIRES='$(LINKED)' \
  $(foreach folder,$(FOLDERS),$(folder)='$($(folder))') packaging/install

COMPLETIONS := $(addprefix $(BUILD)/packaging/lmopt.,bash zsh fish)
INSTALLED   := $(BUILD)/lmopt $(BUILD)/liblmopt.a $(BUILD)/lmopt.so $(COMPLETIONS) $(BUILD)/packaging/lmopt.3

# From the same declarations as the command line's own help.
$(COMPLETIONS): $(BUILD)/packaging/lmopt.%: packaging/completions.lua $(BUILD)/lmopt
	@mkdir -p $(@D)
	$(call say,MAKE,$@) ASAN_OPTIONS=detect_leaks=0 $(BUILD)/lmopt run --quiet packaging/completions.lua -- $* > $@

$(BUILD)/packaging/lmopt.3: packaging/man/lmopt.3.in packaging/synopsis.awk src/lmopt.h
	@mkdir -p $(@D)
	$(call say,MAKE,$@) awk -f packaging/synopsis.awk src/lmopt.h packaging/man/lmopt.3.in > $@

# --- tests ---

TEST_LIBRARIES = $(BUILD)/obj/lmopt.a $(CJSON_LIBRARY) $(LUA_LIBRARY) $(LIBRARIES)

$(UNIT_PROGRAMS): $(BUILD)/tests/%: tests/%.c $(TEST_HELPER_OBJECTS) $(BUILD)/obj/lmopt.a | $(BUILD)/.setup-test
	@mkdir -p $(@D)
	$(call say,CC,$<) $(COMPILE) -MMD -MP -MF $@.d -MT $@ -Itests/unit -o $@ $< $(TEST_HELPER_OBJECTS) $(CMOCKA) $(TEST_LIBRARIES)

# A target is C, or Lua that lua_host.c runs. What calls it is standalone.c, or libFuzzer (`make fuzz`).
FUZZ_ENGINE  = $(BUILD)/obj/tests/fuzz/standalone.o
FUZZ_OBJECTS = $(BUILD)/obj/tests/fuzz/support.o $(filter %.o,$(FUZZ_ENGINE))
LINK_FUZZ    = $(COMPILE) -Itests/fuzz -MMD -MP -MF $@.d -MT $@ -o $@

$(BUILD)/tests/fuzz/%: tests/fuzz/target_%.c $(FUZZ_OBJECTS) $(BUILD)/obj/lmopt.a | $(BUILD)/.setup-test
	@mkdir -p $(@D)
	$(call say,CC,$<) $(LINK_FUZZ) $< $(BUILD)/obj/tests/fuzz/support.o $(FUZZ_ENGINE) $(TEST_LIBRARIES)

$(BUILD)/tests/fuzz/%: tests/fuzz/target_%.lua tests/fuzz/lua_host.c $(FUZZ_OBJECTS) $(BUILD)/obj/lmopt.a | $(BUILD)/.setup-test
	@mkdir -p $(@D)
	$(call say,CC,$<) $(LINK_FUZZ) -DFUZZ_SCRIPT='"$<"' tests/fuzz/lua_host.c $(BUILD)/obj/tests/fuzz/support.o $(FUZZ_ENGINE) $(TEST_LIBRARIES)

fuzz-programs: $(FUZZ_PROGRAMS)

$(BENCH_PROGRAMS): $(BUILD)/tests/%: tests/%.c $(BUILD)/obj/lmopt.a | $(BUILD)/.setup-bench
	@mkdir -p $(@D)
	$(call say,CC,$<) $(COMPILE) -o $@ $< $(TEST_LIBRARIES)

# It measures libcurl alone.
$(BUILD)/tests/bench/bare_curl: TEST_LIBRARIES = $(shell pkg-config --libs libcurl)

# Hosts are built as their authors would: with what is installed (in the stage)
# and pkg-config. A host names its packages in its first lines:
#   /* packages: lmopt lua5.4 sdl2 */
STAGE := $(abspath $(BUILD))/stage

$(STAGE)/.installed: override PREFIX = $(STAGE)
$(STAGE)/.installed: override DESTDIR =
$(STAGE)/.installed: $(INSTALLED) packaging/install packaging/lmopt.pc.in Makefile
	$(call say,STAGE,$(BUILD)/stage) rm -rf $(STAGE) && $(RUN_INSTALL) install && touch $@

host_packages = packages=$$(sed -n '1,12s,^.*packages: *\([a-z0-9.+_ -]*\).*,\1,p' $<)
host_flags    = $$(PKG_CONFIG_PATH=$(STAGE)/lib/pkgconfig:$$PKG_CONFIG_PATH pkg-config --cflags --libs $${packages:-lmopt lua5.4})

$(BUILD)/hosts/%: %.c $(STAGE)/.installed | $(BUILD)/.setup-test
	@mkdir -p $(@D)
	$(call say,CC,$<) $(host_packages); $(CC) $(CFLAGS) $(INSTRUMENT) $(LDFLAGS) -MMD -MP -MF $@.d -MT $@ -o $@ $< $(host_flags)

$(BUILD)/hosts/%: %.cc $(STAGE)/.installed | $(BUILD)/.setup-test
	@mkdir -p $(@D)
	$(call say,CXX,$<) $(host_packages); $(CXX) -g -Wall -Wextra $(INSTRUMENT) $(LDFLAGS) -MMD -MP -MF $@.d -MT $@ -o $@ $< $(host_flags)

RUN_TESTS = BUILD='$(BUILD)' LUA='$(LUA)' PYTHON='$(PYTHON)' SANITIZE='$(SANITIZE)' CC='$(CC)' tests/run-suite

demo: $(BUILD)/lmopt ## build, then run examples/quickstart.lua
	@$(BUILD)/lmopt run examples/quickstart.lua

SUITES = test-unit test-lua test-cli test-embed test-faults test-fuzz

test: suites ## every test
	@$(MAKE) --no-print-directory test-package

suites: $(SUITES) # they may run side by side; what test-package tests runs make itself

test-unit: $(UNIT_PROGRAMS) ## the C modules (cmocka)
	@$(RUN_TESTS) unit $(UNIT_PROGRAMS)

test-lua: $(BUILD)/lmopt.so $(BUILD)/lmopt | $(BUILD)/.setup-test ## the Lua modules (busted), under stock Lua
	@$(RUN_TESTS) lua

test-gc: $(BUILD)/lmopt.so $(BUILD)/lmopt | $(BUILD)/.setup-test ## the Lua modules again, the collector at its most aggressive
	@$(RUN_TESTS) gc

test-cli: $(BUILD)/lmopt | $(BUILD)/.setup-test ## transcripts of the command line
	@$(RUN_TESTS) cli

test-faults: $(BUILD)/lmopt | $(BUILD)/.setup-test ## kill -9, full disks, neighbours, Ctrl-C, broken servers and connections
	@$(RUN_TESTS) faults

faults-long: $(BUILD)/lmopt | $(BUILD)/.setup-test ## 20,000 calls with 20 % faults and 20 kills, as tasks and as a study
	@BUILD='$(BUILD)' $(PYTHON) -B tests/faults/long_calls.py --long

test-fuzz: $(FUZZ_PROGRAMS) ## the fuzz targets on their corpus, and on some mutations of it
	@$(RUN_TESTS) fuzz $(FUZZ_PROGRAMS)

# By hand: libFuzzer, guided by coverage. FUZZ_TARGETS="sse reply" FUZZ_SECONDS=300
fuzz: | $(BUILD)/.setup-fuzz ## the fuzz targets under libFuzzer, FUZZ_SECONDS (60) each; tests/fuzz/README.md
	@$(MAKE) --no-print-directory BUILD=$(BUILD)/fuzz CC=clang HOSTCC=$(HOSTCC) OPTIMIZE=-O1 \
	  SANITIZE=fuzzer-no-link,address,undefined CFLAGS='-g $(WARNINGS) -DFUZZ_COVERAGE' FUZZ_ENGINE=-fsanitize=fuzzer fuzz-programs
	@BUILD='$(BUILD)/fuzz' tests/fuzz/run $(FUZZ_TARGETS)

hosts: $(HOST_PROGRAMS) ## the programs of examples/embed and tests/embed that embed lmopt, in build/hosts

test-embed: $(HOST_PROGRAMS) $(BUILD)/lmopt.so ## programs that embed lmopt
	@$(RUN_TESTS) embed $(HOST_PROGRAMS)

test-package: $(INSTALLED) $(STAGE)/.installed | $(BUILD)/.setup-test ## what is installed and packaged
	@$(RUN_TESTS) package

asan: ## the tests under the address and undefined-behaviour sanitizers
	@$(MAKE) --no-print-directory BUILD=$(BUILD)/asan SANITIZE=address,undefined suites

REFERENCE = LUA_CPATH='$(BUILD)/?.so;;' LUA_PATH=';;' $(LUA) scripts/reference/main.lua

reference: $(BUILD)/lmopt.so | $(BUILD)/.setup-lint ## docs/reference.md and lua/meta/lmopt.lua, from the annotations
	@$(REFERENCE) write

lint: $(BUILD)/embedded.c $(BUILD)/lmopt.so | $(BUILD)/.setup-lint ## formats, static analysis, floors
	@BUILD='$(BUILD)' LUA='$(LUA)' CFLAGS='-std=c11 $(WARNINGS) -Isrc $(PACKAGE_CFLAGS)' scripts/lint

format: | $(BUILD)/.setup-lint ## clang-format over all C files
	@clang-format -i $(SOURCES) $(HEADERS) src/main.c $(wildcard tests/*/*.[ch] examples/*/*.[ch] scripts/*.c)

bench: $(BUILD)/lmopt $(BUILD)/lmopt.so $(BENCH_PROGRAMS) | $(BUILD)/.setup-bench ## speed, next to Optuna's
	@BUILD='$(BUILD)' LUA='$(LUA)' PYTHON='$(PYTHON)' tests/bench/run

interop: $(BUILD)/lmopt | $(BUILD)/.setup-interop ## Optuna and its kin on lmopt's files, the vendors' packages beside its calls
	@$(RUN_TESTS) interop

# --- install ---

install: $(INSTALLED) ## to $(DESTDIR)$(PREFIX)
	@$(RUN_INSTALL) install

uninstall: ## what install put there
	@$(RUN_INSTALL) uninstall

# What the rockspec installs: the command and the module, and what language servers read.
install-rock: $(BUILD)/lmopt $(BUILD)/lmopt.so
	install -d '$(BINDIR)' '$(LUA_CMOD)'
	install -m 755 $(BUILD)/lmopt '$(BINDIR)'
	install -m 755 $(BUILD)/lmopt.so '$(LUA_CMOD)'
	for file in $(filter-out lua/lmopt/cli/%,$(LUA_FILES)) lua/meta/*.lua; do \
	  install -D -m 644 $$file '$(DATADIR)/lmopt/'$$file || exit 1; done

deb: $(INSTALLED) | $(BUILD)/.setup-deb ## Debian packages, in build/deb
	@CC='$(CC)' BUILD='$(BUILD)' VERSION='$(VERSION)' REQUIRES='$(LINKED)' packaging/deb

clean: ## remove what was built
	rm -rf $(BUILD)

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' Makefile

-include $(OBJECTS:.o=.d) $(BUILD)/obj/main.d $(TEST_HELPER_OBJECTS:.o=.d) $(UNIT_PROGRAMS:=.d) $(FUZZ_PROGRAMS:=.d) $(HOST_PROGRAMS:=.d)
