# Non-recursive on purpose: one dependency graph, no order to get wrong.
# Usage: make help

# ---- knobs ----------------------------------------------------------------------------
MODE       ?= release#  release | debug
SAN        ?=#          address,undefined | thread | (none)
CUDA       ?= auto#     auto | 1 | 0
WERROR     ?= 1
BUILD_ROOT ?= build
JOBS       ?= $(shell nproc)
RE2C       ?= re2c
PKGS       := libevent_openssl libevent openssl rdkafka yaml-0.1 sqlite3 libcurl zlib hiredis

comma := ,
empty :=
space := $(empty) $(empty)

# ---- flags ------------------------------------------------------------------------------
BUILD := $(BUILD_ROOT)/$(MODE)$(if $(SAN),-$(subst $(comma),-,$(SAN)))

WARN := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wcast-qual \
        -Wcast-align -Wpointer-arith -Wwrite-strings -Wstrict-prototypes -Wmissing-prototypes \
        -Wold-style-definition -Wundef -Wvla -Walloca -Wformat=2 -Wformat-signedness \
        -Wdouble-promotion -Wimplicit-fallthrough -Wswitch-enum -Wdate-time \
        $(if $(filter 1,$(WERROR)),-Werror)
HARD := -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fstack-clash-protection -fcf-protection
OPT_release := -O2 $(if $(SAN),-g1,-g $(HARD))
OPT_debug   := $(if $(SAN),-O1 -g1,-O0 -g3)# sanitizers name lines; with -O1 tests take half the time
VERSION := 0.1.0

CPPFLAGS += -D_GNU_SOURCE -I. -I$(BUILD)/gen $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
CFLAGS   += -std=c11 $(OPT_$(MODE)) -fPIE -fvisibility=hidden -fno-omit-frame-pointer -fno-common \
            $(WARN) $(if $(SAN),-fsanitize=$(SAN) -fno-sanitize-recover=all)
LDFLAGS  += -pie -Wl,-z,relro,-z,now -Wl,--as-needed $(if $(SAN),-fsanitize=$(SAN))
LDLIBS   += $(shell pkg-config --libs $(PKGS) 2>/dev/null) -ldl -lpthread -lm

# ---- CUDA: found when present, and said so ----------------------------------------------
.DEFAULT_GOAL := all
include kernels/cuda.mk

# ---- sources: one archive a folder, linked in the order of the dependency law --------------
FOLDERS := proxy dlp router engine audit kernels base
NEEDS_base    :=
NEEDS_kernels := base
NEEDS_audit   := base
NEEDS_router  := base
NEEDS_dlp     := base
NEEDS_engine  := kernels base
NEEDS_proxy   := dlp router engine audit kernels base

MAIN := proxy/main.c
TOOLS := dlp/rulec_tool.c dlp/rulec_selftest.c
CSRC := $(filter-out $(MAIN) $(TOOLS) $(if $(CUSRC),kernels/cuda_stub.c),$(wildcard $(FOLDERS:%=%/*.c) $(FOLDERS:%=%/*/*.c)))
RESRC := $(wildcard $(FOLDERS:%=%/*.re) $(FOLDERS:%=%/*/*.re))
RULES := $(wildcard rules/*.yaml rules/*/*.yaml)
UNIT  := $(wildcard tests/unit/*/test_*.c)
BUILTIN     := $(BUILD_ROOT)/rules
BUILTIN_OBJ := $(BUILTIN)/builtin.o
FUZZ  := $(wildcard tests/fuzz/fuzz_*.c)
BENCH := $(wildcard tests/bench/*.c)

obj_of = $(patsubst %.c,$(BUILD)/%.o,$(filter $(1)/%,$(CSRC))) \
         $(patsubst %.re,$(BUILD)/gen/%.o,$(filter $(1)/%,$(RESRC))) \
         $(if $(filter kernels,$(1)),$(CUSRC:%.cu=$(BUILD)/%.cu.o)) \
         $(if $(filter dlp,$(1)),$(BUILTIN_OBJ))
libs_of = $(BUILD)/lib/$(1).a $(NEEDS_$(1):%=$(BUILD)/lib/%.a)
ALLOBJ = $(foreach f,$(FOLDERS),$(call obj_of,$(f))) $(MAIN:%.c=$(BUILD)/%.o)

# What takes longest begins first.
all: $(BUILTIN_OBJ) $(BUILD)/sluice ## build sluice (default)

# More instructions than the baseline, reached only through tables filled at run time.
$(BUILD)/%avx2.o: private CFLAGS += -mavx2 -mfma -mf16c -mbmi -mbmi2 -O3
$(BUILD)/%avx512.o: private CFLAGS += -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni -mavx512vbmi \
                              -mavx2 -mfma -mf16c -mbmi -mbmi2 -O3 -mprefer-vector-width=512
$(BUILD)/dlp/%avx512.o: private CFLAGS += -mavx512vbmi2 -mgfni
$(BUILD)/dlp/prefilter.o $(BUILD)/dlp/view_classes.o: private CFLAGS += -O3
# ThreadSanitizer does not look into them, which took nine tenths of its time: they know nothing of threads, and are told what is theirs by what it
# does look into. That no two threads write one place, test_flash and test_sched show by comparing bits.
ifeq ($(SAN),thread)
$(BUILD)/kernels/%avx2.o $(BUILD)/kernels/%avx512.o: private CFLAGS += -fno-sanitize=thread
endif
$(BUILD)/kernels/%.o: private CFLAGS += -O3
$(BUILD)/gen/%.o: private CFLAGS += -Wno-unused-variable -Wno-unused-label -Wno-cast-qual
$(BUILD)/proxy/main.o $(BUILD)/proxy/version.o: private CPPFLAGS += -DSLUICE_VERSION='"$(VERSION)"'

$(BUILD)/sluice: $(MAIN:%.c=$(BUILD)/%.o) $(call libs_of,proxy)
	@echo "LD    $@"
	@$(CC) $(LDFLAGS) -rdynamic -o $@ $^ $(CUDA_LIBS) $(LDLIBS)

# The mock of the approved APIs: demo, end-to-end tests, benchmarks.
MOCK := $(wildcard tests/mock/*.c)
$(BUILD)/mock-provider: $(MOCK:%.c=$(BUILD)/%.o) $(call libs_of,proxy)
	@echo "LD    $@"
	@$(CC) $(LDFLAGS) -o $@ $^ $(CUDA_LIBS) $(LDLIBS)

define FOLDER_RULES
$(BUILD)/lib/$(1).a: $$(call obj_of,$(1))
	@mkdir -p $$(@D) && echo "AR    $$@"
	@rm -f $$@ && $$(AR) rcs $$@ $$(filter %.o,$$^)
endef

$(BUILD)/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D) && echo "CC    $<"
	@$(CC) $(CPPFLAGS) $(CFLAGS) -include base/banned.h -MMD -MP -c -o $@ $<

$(BUILD)/gen/%.o: $(BUILD)/gen/%.c $(BUILD)/flags
	@echo "CC    $<"
	@$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/gen/%.c: %.re
	@mkdir -p $(@D) && echo "RE2C  $<"
	@$(RE2C) -W -Werror --no-debug-info --no-generation-date --depfile $@.d -o $@ $<

# ---- the rules that are compiled in: YAML -> dlp's compiler -> re2c -> C ---------------------
include dlp/rules.mk

# Rebuilds everything when a flag changes, and only then.
$(BUILD)/flags: FORCE
	@mkdir -p $(@D)
	@echo '$(CC) $(CPPFLAGS) $(CFLAGS)' | cmp -s - $@ || echo '$(CC) $(CPPFLAGS) $(CFLAGS)' > $@

$(foreach f,$(FOLDERS),$(eval $(call FOLDER_RULES,$(f))))

# ---- using it -----------------------------------------------------------------------------
MODEL := models/smollm2-135m-instruct-q4_1.gguf

run: ## set up, fetch the default model, build, and serve on 127.0.0.1:8080
	@packaging/deps.sh build
	@$(MAKE) --no-print-directory -j$(JOBS) all
	@$(BUILD)/sluice models pull --dir models
	@$(BUILD)/sluice models pull all-minilm-l6-v2 --dir models
	@exec $(BUILD)/sluice serve --first-key

demo: ## the same with a mock provider as the approved API (README's first session)
	@packaging/deps.sh build
	@$(MAKE) --no-print-directory -j$(JOBS) all $(BUILD)/mock-provider
	@$(BUILD)/sluice models pull --dir models
	@$(BUILD)/sluice models pull all-minilm-l6-v2 --dir models
	@exec packaging/demo.sh $(BUILD) $(BUILD_ROOT)/demo $(MODEL)

PREFIX ?= /usr/local
install: all ## install binary, man page and service file (PREFIX=/usr/local, DESTDIR)
	install -D -m 755 $(BUILD)/sluice $(DESTDIR)$(PREFIX)/bin/sluice
	install -D -m 644 packaging/sluice.1 $(DESTDIR)$(PREFIX)/share/man/man1/sluice.1
	install -D -m 644 packaging/sluice.service $(DESTDIR)$(PREFIX)/lib/systemd/system/sluice.service

# ---- tests --------------------------------------------------------------------------------
# tests/unit/FOLDER/test_x.c links FOLDER's archive and what FOLDER may use.
define UNIT_RULES
$(BUILD)/tests/unit/$(1)/%: $(BUILD)/tests/unit/$(1)/%.o $$(call libs_of,$(1))
	@echo "LD    $$@"
	@$$(CC) $$(LDFLAGS) -rdynamic -o $$@ $$< $$(wordlist 2,99,$$^) $$(CUDA_LIBS) $$(LDLIBS)
test-$(1): $$(patsubst %.c,$(BUILD)/%,$$(filter tests/unit/$(1)/%,$$(UNIT)))
	@tests/run.sh $$^
.PHONY: test-$(1)
endef
$(foreach f,$(FOLDERS),$(eval $(call UNIT_RULES,$(f))))

# What ThreadSanitizer has to look at: the tests in which threads run. The others would only be slower.
THREADED := tests/unit/audit/% tests/unit/base/test_base.c $(addprefix tests/unit/engine/test_,pool.c sched.c draft.c medusa.c prefix.c fair.c engine.c embed.c flash.c grammar_cache.c) \
            $(addprefix tests/unit/proxy/test_,cache.c gateway.c limits.c reload.c metrics.c access_log.c store.c provider_token.c fetch.c certs.c)
UNIT_RUN := $(if $(filter thread,$(SAN)),$(filter $(THREADED),$(UNIT)),$(UNIT))

unit: $(UNIT_RUN:%.c=$(BUILD)/%) ## unit tests only (or test-FOLDER for one folder)
	@$(if $(filter thread,$(SAN)),echo "$(words $(filter-out $(THREADED),$(UNIT))) test programs have no threads and are left out")
	@tests/run.sh $^

include tests/tests.mk

# ---- checks -------------------------------------------------------------------------------
CHECKED := $(wildcard $(FOLDERS:%=%/*.[ch]) $(FOLDERS:%=%/*/*.[ch]) tests/*.h tests/unit/*/*.[ch] tests/fuzz/*.[ch] \
             tests/bench/*.[ch] tests/bench/*/*.[ch] tests/mock/*.[ch])
TIDY_SKIP := $(wildcard kernels/*avx512*.c dlp/*avx512*.c)

# How far the analyzer follows a function: with a sixth of its default lint takes a third of the time.
TIDY_DEPTH := -Xclang -analyzer-config -Xclang max-nodes=40000

lint: ## format, layers, clang-tidy, cppcheck
	@packaging/deps.sh lint
	@echo clang-format && clang-format --dry-run --Werror $(CHECKED)
	@echo layers && awk -f tests/lint/layers.awk $(CHECKED) $(RESRC) $(wildcard kernels/*.cu kernels/*.cuh)
	@echo tree && tests/lint/tree.sh
	@echo portable && CC="$(CC)" tests/lint/portable.sh
	@echo clang-tidy && printf '%s\n' $(filter-out $(TIDY_SKIP) tests/%,$(filter %.c,$(CHECKED))) | \
	  xargs -P $(shell nproc) -n 1 sh -c 'clang-tidy --quiet "$$@" -- $(CPPFLAGS) -DSLUICE_VERSION=\"$(VERSION)\" -std=c11 -mavx2 -mfma -mf16c -mbmi2 $(TIDY_DEPTH) 2>/dev/null || exit 255' tidy
	@echo cppcheck && cppcheck --quiet -j $(shell nproc) --enable=warning,performance,portability --inline-suppr --std=c11 \
	  --error-exitcode=1 --suppress=missingIncludeSystem -I. -D_GNU_SOURCE $(FOLDERS)

format: ## rewrite the sources in the project's format
	clang-format -i $(CHECKED)

clean: ## remove build/
	rm -rf $(BUILD_ROOT)

help: ## list targets and knobs
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  knobs: MODE=$(MODE) SAN=$(SAN) CUDA=$(CUDA) WERROR=$(WERROR) BUILD_ROOT=$(BUILD_ROOT)"

FORCE:
.PHONY: all run demo install unit lint format clean help FORCE
.SECONDARY:
.DELETE_ON_ERROR:

-include $(ALLOBJ:.o=.d) $(wildcard $(BUILD)/tests/bench/*.d $(BUILD)/tests/bench/*/*.d) $(MOCK:%.c=$(BUILD)/%.d) $(UNIT:%.c=$(BUILD)/%.d) $(RESRC:%.re=$(BUILD)/gen/%.c.d)
