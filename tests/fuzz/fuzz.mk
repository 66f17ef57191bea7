# Fuzzing. Each tests/fuzz/fuzz_NAME.c has LLVMFuzzerTestOneInput() and seeds in tests/fuzz/corpus/NAME/.
#   make fuzz    clang, libFuzzer, ASan and UBSan; FUZZ_SECONDS each; FUZZ_ONLY="json sse" picks some
#   make corpus  the same targets as plain tests with the ordinary compiler: every seed once (in make test)
# What a run finds and learns stays in $(BUILD_ROOT)/fuzz; nothing is written into the sources.
FUZZ_SECONDS ?= 30
FUZZ_JOBS    ?= 2
FUZZ_CC      ?= clang
FUZZ_ONLY    ?=

FZ := $(BUILD_ROOT)/fuzz
FZ_NAMES  := $(patsubst tests/fuzz/fuzz_%.c,%,$(FUZZ))
FZ_CHOSEN := $(if $(FUZZ_ONLY),$(filter $(FUZZ_ONLY),$(FZ_NAMES)),$(FZ_NAMES))
FZ_CSRC   := $(filter-out $(MAIN) $(TOOLS),$(wildcard $(FOLDERS:%=%/*.c) $(FOLDERS:%=%/*/*.c)))
FZ_OBJ    := $(FZ_CSRC:%.c=$(FZ)/%.o) $(RESRC:%.re=$(FZ)/gen/%.o) $(FZ)/gen/dlp/builtin.o
FZ_SAN    := address,undefined
FZ_CFLAGS := -std=c11 -O1 -g1 -fno-omit-frame-pointer -fno-sanitize-recover=all -w \
             -fsanitize=fuzzer-no-link,$(FZ_SAN)
FZ_LDFLAGS := -fsanitize=fuzzer,$(FZ_SAN) -rdynamic

# Compute kernels read no input format: bare, and unoptimised because unrolled loops take minutes.
$(FZ)/%avx2.o:   FZ_CFLAGS := -std=c11 -O0 -w -mavx2 -mfma -mf16c -mbmi -mbmi2
$(FZ)/%avx512.o: FZ_CFLAGS := -std=c11 -O0 -w -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni \
                              -mavx512vbmi -mavx512vbmi2 -mgfni -mavx2 -mfma -mf16c -mbmi -mbmi2
# 140,000 generated lines: minutes with the optimiser and UBSan, seconds without.
$(FZ)/gen/dlp/builtin.o: FZ_CFLAGS := -std=c11 -O0 -g1 -w -fsanitize=fuzzer-no-link,address
$(FZ)/proxy/version.o: private CPPFLAGS += -DSLUICE_VERSION='"$(VERSION)"'

# A file that does not compile is named and left out: its absence is the ordinary build's to report, and
# the targets that do not need it still run. Those that do fail to link, which counts.
define FZ_COMPILE
@mkdir -p $(@D)
@$(FUZZ_CC) $(CPPFLAGS) $(FZ_CFLAGS) -MMD -MP -c -o $@ $< 2>$@.log || { rm -f $@; echo "LEFT  $< (see $@.log)"; }
endef

$(FZ)/%.o: %.c
	$(FZ_COMPILE)
$(FZ)/gen/%.o: $(BUILD)/gen/%.c
	$(FZ_COMPILE)
$(FZ)/gen/dlp/builtin.o: $(BUILTIN)/builtin.c
	$(FZ_COMPILE)

# One archive a folder; a target links those of the folders it includes from, and what these need.
define FZ_FOLDER
$(FZ)/lib/$(1).a: $$(filter $(FZ)/$(1)/% $(FZ)/gen/$(1)/%,$$(FZ_OBJ))
	@mkdir -p $$(@D) && rm -f $$@
	@for o in $$^; do test ! -f $$$$o || echo $$$$o; done | xargs $$(AR) rcs $$@
endef
$(foreach f,$(FOLDERS),$(eval $(call FZ_FOLDER,$(f))))

fz_folders = $(filter $(FOLDERS),$(shell sed -n 's/^#include "\([a-z]*\)\/.*/\1/p' tests/fuzz/fuzz_$(1).c))
define FZ_TARGET
$(FZ)/fuzz_$(1): $(FZ)/tests/fuzz/fuzz_$(1).o \
    $(patsubst %,$(FZ)/lib/%.a,$(sort base $(foreach f,$(call fz_folders,$(1)),$(f) $(NEEDS_$(f)))))
	@$$(FUZZ_CC) $$(FZ_LDFLAGS) -o $$@ $$< -Wl,--start-group $$(filter %.a,$$^) -Wl,--end-group \
	  $$(LDLIBS) 2>$$@.log || { rm -f $$@; echo "LEFT  $$@ (see $$@.log)"; }
endef
ifneq ($(filter fuzz fuzz-programs,$(MAKECMDGOALS)),)
$(foreach n,$(FZ_CHOSEN),$(eval $(call FZ_TARGET,$(n))))
endif

fuzz-programs: $(FZ_CHOSEN:%=$(FZ)/fuzz_%)
fuzz: fuzz-programs ## fuzz every input parser (FUZZ_SECONDS, FUZZ_JOBS, FUZZ_ONLY, FUZZ_SEED)
	@FUZZ_SECONDS=$(FUZZ_SECONDS) FUZZ_JOBS=$(FUZZ_JOBS) FUZZ_SEED=$(FUZZ_SEED) tests/fuzz/run.sh $(FZ) $(FZ_CHOSEN)

# ---- replay as a test -----------------------------------------------------------------------
REPLAYS := $(FZ_NAMES:%=$(BUILD)/tests/fuzz/replay_%)

$(BUILD)/tests/fuzz/replay_%: $(BUILD)/tests/fuzz/fuzz_%.o $(BUILD)/tests/fuzz/replay.o $(call libs_of,proxy)
	@echo "LD    $@"
	@$(CC) $(LDFLAGS) -rdynamic -o $@ $< $(wordlist 2,99,$^) $(CUDA_LIBS) $(LDLIBS)

corpus: $(REPLAYS) ## run every fuzz target once over its seeds
	@tests/run.sh $^

.PHONY: fuzz fuzz-programs corpus

-include $(FZ_OBJ:.o=.d) $(FZ_NAMES:%=$(FZ)/tests/fuzz/fuzz_%.d) $(FZ_NAMES:%=$(BUILD)/tests/fuzz/fuzz_%.d)
