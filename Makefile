# lmopt: one makefile. `make help` lists the goals; what it makes is in build/.

# --- settings: override on the command line ---

BUILD    = build
PREFIX   = /usr/local
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

# --- end of settings ---

MAKEFLAGS += --no-builtin-rules
.SUFFIXES:
.DELETE_ON_ERROR:
.SECONDARY:
.DEFAULT_GOAL := all

BUILD    := $(strip $(BUILD))
SANITIZE := $(strip $(SANITIZE))
ifneq ($(strip $(V)),1)
say = @printf '  %-6s %s\n' '$(1)' '$(2)';
endif

# Evaluated when first used, which is after scripts/setup; `once` keeps the answer.
once = $(eval $(1) := $(2))$($(1))
PACKAGE_CFLAGS = $(call once,PACKAGE_CFLAGS,$(shell pkg-config --cflags $(PACKAGES)))
LIBRARIES      = $(call once,LIBRARIES,$(shell pkg-config --libs libcurl sqlite3 libcrypto) -lm -ldl)
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
NEEDED  = -std=c11 -fPIC -fvisibility=hidden -fexceptions -ffp-contract=off
COMPILE = $(CC) $(NEEDED) $(OPTIMIZE) $(CFLAGS) $(INSTRUMENT) -Isrc $(PACKAGE_CFLAGS)
LINK    = $(CC) $(CFLAGS) $(INSTRUMENT) $(LDFLAGS)

SOURCES   := $(sort $(wildcard src/*/*.c))
HEADERS   := $(sort $(wildcard src/*.h src/*/*.h))
OBJECTS   := $(SOURCES:src/%.c=$(BUILD)/obj/%.o) $(BUILD)/obj/embedded.o
LUA_FILES := $(sort $(shell find lua/lmopt -name '*.lua'))

UNIT_TESTS  := $(sort $(wildcard tests/unit/test_*.c tests/faults/test_*.c))
EMBED_TESTS := $(sort $(wildcard tests/embed/*.c tests/embed/*.cc))
UNIT_PROGRAMS  := $(UNIT_TESTS:tests/%.c=$(BUILD)/tests/%)
EMBED_PROGRAMS := $(patsubst tests/%,$(BUILD)/tests/%,$(basename $(EMBED_TESTS)))
BENCH_PROGRAMS := $(patsubst tests/%.c,$(BUILD)/tests/%,$(wildcard tests/bench/*.c))
TEST_HELPERS   := $(sort $(filter-out $(UNIT_TESTS),$(wildcard tests/unit/*.c)))
TEST_HELPER_OBJECTS := $(TEST_HELPERS:tests/%.c=$(BUILD)/obj/tests/%.o)

.PHONY: all demo test test-unit test-lua test-cli test-embed test-faults test-gc lint asan format bench install clean help force

all: $(BUILD)/lmopt $(BUILD)/liblmopt.a $(BUILD)/lmopt.so ## build/lmopt, build/liblmopt.a, build/lmopt.so

# --- packages ---

$(BUILD)/.setup-%: scripts/setup
	@scripts/setup $*
	@mkdir -p $(BUILD) && touch $@

# --- objects ---

$(BUILD)/obj/search/%.o: OPTIMIZE = -O3

$(BUILD)/obj/%.o: src/%.c Makefile | $(BUILD)/.setup-build
	@mkdir -p $(@D)
	$(call say,CC,$<) $(COMPILE) -MMD -MP -c -o $@ $<

$(BUILD)/obj/embedded.o: $(BUILD)/embedded.c Makefile | $(BUILD)/.setup-build
	$(call say,CC,$<) $(COMPILE) -MMD -MP -c -o $@ $<

$(BUILD)/obj/shared_stderr.o: scripts/shared_stderr.c Makefile | $(BUILD)/.setup-build
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

$(BUILD)/liblmopt.a: $(OBJECTS)
	$(call say,AR,$@) rm -f $@ && $(AR) rcs $@ $^

# Exports luaopen_lmopt and lmopt_*; Lua itself comes from the program that loads it.
$(BUILD)/lmopt.so: $(OBJECTS) $(BUILD)/obj/shared_stderr.o
	$(call say,LD,$@) $(LINK) -shared -Wl,--exclude-libs,ALL -Wl,--wrap=stderr -o $@ $^ $(CJSON_LIBRARY) $(LIBRARIES)

# Exports Lua's API, so that scripts may require C modules.
$(BUILD)/lmopt: $(BUILD)/obj/main.o $(BUILD)/liblmopt.a
	$(call say,LD,$@) $(LINK) -Wl,-E -o $@ $^ $(CJSON_LIBRARY) $(LUA_LIBRARY) $(LIBRARIES)

# --- tests ---

TEST_LIBRARIES = $(BUILD)/liblmopt.a $(CJSON_LIBRARY) $(LUA_LIBRARY) $(LIBRARIES)

$(UNIT_PROGRAMS): $(BUILD)/tests/%: tests/%.c $(TEST_HELPER_OBJECTS) $(BUILD)/liblmopt.a | $(BUILD)/.setup-test
	@mkdir -p $(@D)
	$(call say,CC,$<) $(COMPILE) -MMD -MP -MF $@.d -MT $@ -Itests/unit -o $@ $< $(TEST_HELPER_OBJECTS) $(CMOCKA) $(TEST_LIBRARIES)

$(BENCH_PROGRAMS): $(BUILD)/tests/%: tests/%.c $(BUILD)/liblmopt.a | $(BUILD)/.setup-bench
	@mkdir -p $(@D)
	$(call say,CC,$<) $(COMPILE) -o $@ $< $(TEST_LIBRARIES)

# Hosts see the public header only.
$(BUILD)/tests/embed/%: tests/embed/%.c $(BUILD)/liblmopt.a | $(BUILD)/.setup-test
	@mkdir -p $(@D)
	$(call say,CC,$<) $(COMPILE) -o $@ $< $(TEST_LIBRARIES)

$(BUILD)/tests/embed/%: tests/embed/%.cc $(BUILD)/liblmopt.a | $(BUILD)/.setup-test
	@mkdir -p $(@D)
	$(call say,CXX,$<) $(CXX) -g $(INSTRUMENT) -Isrc $(PACKAGE_CFLAGS) -o $@ $< $(TEST_LIBRARIES)

RUN_TESTS = BUILD='$(BUILD)' LUA='$(LUA)' PYTHON='$(PYTHON)' SANITIZE='$(SANITIZE)' CC='$(CC)' tests/run-suite

demo: $(BUILD)/lmopt ## build, then run examples/quickstart.lua
	@$(BUILD)/lmopt run examples/quickstart.lua

test: test-unit test-lua test-cli test-embed test-faults ## every test

test-unit: $(UNIT_PROGRAMS) ## the C modules (cmocka)
	@$(RUN_TESTS) unit $(UNIT_PROGRAMS)

test-lua: $(BUILD)/lmopt.so $(BUILD)/lmopt | $(BUILD)/.setup-test ## the Lua modules (busted), under stock Lua
	@$(RUN_TESTS) lua

test-gc: $(BUILD)/lmopt.so $(BUILD)/lmopt | $(BUILD)/.setup-test ## the Lua modules again, the collector at its most aggressive
	@$(RUN_TESTS) gc

test-cli: $(BUILD)/lmopt | $(BUILD)/.setup-test ## transcripts of the command line
	@$(RUN_TESTS) cli

test-faults: $(BUILD)/lmopt | $(BUILD)/.setup-test ## kill -9, full disks, neighbours, Ctrl-C
	@$(RUN_TESTS) faults

test-embed: $(EMBED_PROGRAMS) $(BUILD)/lmopt.so ## programs that embed lmopt
	@$(RUN_TESTS) embed $(EMBED_PROGRAMS)

asan: ## every test under the address and undefined-behaviour sanitizers
	@$(MAKE) --no-print-directory BUILD=$(BUILD)/asan SANITIZE=address,undefined test

lint: $(BUILD)/embedded.c | $(BUILD)/.setup-lint ## formats, static analysis, floors
	@BUILD='$(BUILD)' LUA='$(LUA)' CFLAGS='-std=c11 $(WARNINGS) -Isrc $(PACKAGE_CFLAGS)' scripts/lint

format: | $(BUILD)/.setup-lint ## clang-format over all C files
	@clang-format -i $(SOURCES) $(HEADERS) src/main.c $(wildcard tests/*/*.c tests/*/*.h scripts/*.c)

bench: $(BUILD)/lmopt $(BUILD)/lmopt.so $(BENCH_PROGRAMS) | $(BUILD)/.setup-bench ## speed, next to Optuna's
	@BUILD='$(BUILD)' LUA='$(LUA)' PYTHON='$(PYTHON)' tests/bench/run

# --- install ---

install: all ## to $(DESTDIR)$(PREFIX)
	install -d $(addprefix $(DESTDIR)$(PREFIX)/,bin include lib/pkgconfig lib/lua/5.4 share/lmopt)
	install -m 755 $(BUILD)/lmopt $(DESTDIR)$(PREFIX)/bin/
	install -m 644 src/lmopt.h $(DESTDIR)$(PREFIX)/include/
	install -m 644 $(BUILD)/liblmopt.a $(DESTDIR)$(PREFIX)/lib/
	install -m 755 $(BUILD)/lmopt.so $(DESTDIR)$(PREFIX)/lib/lua/5.4/
	cp -R lua/meta $(DESTDIR)$(PREFIX)/share/lmopt/
	sed -e 's,@PREFIX@,$(PREFIX),' -e "s,@VERSION@,$$(sed -n 's/^#define LMOPT_VERSION "\(.*\)"/\1/p' src/lmopt.h)," \
	  scripts/lmopt.pc.in > $(DESTDIR)$(PREFIX)/lib/pkgconfig/lmopt.pc

clean: ## remove what was built
	rm -rf $(BUILD)

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile

-include $(OBJECTS:.o=.d) $(BUILD)/obj/main.d $(TEST_HELPER_OBJECTS:.o=.d) $(UNIT_PROGRAMS:=.d)
