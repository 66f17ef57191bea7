# The tests: `make test` is everything that CI runs with the ordinary compiler; with SAN= the same without what the
# sanitizers make pointless or too slow (SDKs and Kafka, which run the same code again).
include tests/fuzz/fuzz.mk

CACHE := $(BUILD_ROOT)/cache
SUB   := $(MAKE) --no-print-directory -j$(JOBS) MODE=$(MODE) SAN=$(SAN) CUDA=$(CUDA) BUILD_ROOT=$(BUILD_ROOT)
BUDGETS := python3 tests/e2e/budgets.py $(BUILD) $(if $(SAN),--quick)
E2EMODE := $(if $(SAN),$(if $(filter thread,$(SAN)),--threads,--quick))
E2E   := python3 tests/e2e/run.py $(BUILD) $(CACHE) $(MODEL) $(E2EMODE)
PARTS := python3 tests/e2e/parts.py $(BUILD) $(CACHE) $(MODEL) $(E2EMODE)
LONG  := complaints,templates,identity
FAULTS := python3 tests/e2e/faults.py $(BUILD) $(CACHE) $(MODEL)
SMUGGLE := python3 tests/e2e/smuggle.py $(BUILD) $(CACHE) $(MODEL)
SINKS := python3 tests/e2e/sinks.py $(BUILD) $(CACHE) $(MODEL)
EGRESS := python3 tests/e2e/egress.py $(BUILD) $(CACHE) $(MODEL)
SCANFILES := python3 tests/e2e/scan_files.py $(BUILD) $(CACHE) $(MODEL)
HOSTILE := python3 tests/e2e/hostile.py $(BUILD) $(CACHE) $(MODEL)
LEDGER := python3 tests/e2e/ledger.py $(BUILD) $(CACHE) $(MODEL)
KAFKA  := BUILD_ROOT=$(BUILD_ROOT) tests/e2e/kafka/test_kafka.sh
PRIVACY := python3 tests/e2e/privacy.py $(BUILD) $(CACHE) $(MODEL)
STORM  := python3 tests/e2e/storm.py $(BUILD) $(CACHE) $(MODEL)
GPU_BENCH := gpu engine make_model
GPUBENCH := python3 tests/bench/gpu/test_bench.py $(BUILD)/simt/bench
WITH_ASAN := $(findstring address,$(SAN))

# libevent and librdkafka are not instrumented: tests/tsan.supp says what is left out because of that.
export TSAN_OPTIONS := suppressions=$(CURDIR)/tests/tsan.supp $(TSAN_OPTIONS)

test: ## set up, build, and run every test (SAN=... runs the sanitized variant)
	@packaging/deps.sh build test
	@$(SUB) test-build
	@tests/stages.sh 'unit=$(SUB) -s unit' $(if $(filter thread,$(SAN)),,'corpus=$(SUB) -s corpus') \
	  $(if $(WITH_ASAN),'storm=$(STORM) 40') \
	  --four 'e2e=$(E2E)' $(if $(SAN),,'privacy=$(PRIVACY)') $(if $(filter thread,$(SAN)),'parts=$(PARTS)','long=$(PARTS) --only $(LONG)' 'parts=$(PARTS) --but $(LONG)') 'budgets=$(BUDGETS)' 'scan=$(SCANFILES)' \
	  $(if $(SAN),,'gpu-bench=$(GPUBENCH)' 'faults=$(FAULTS)' 'hostile=$(HOSTILE)' 'egress=$(EGRESS)' 'sinks=$(SINKS)' 'smuggle=$(SMUGGLE)' 'kafka=$(KAFKA)' 'ledger=$(LEDGER)')

test-programs: all $(UNIT_RUN:%.c=$(BUILD)/%) $(BUILD)/mock-provider $(BUILD)/tests/bench/load $(BUILD)/tests/bench/chat_try $(if $(SAN),,$(GPU_BENCH:%=$(BUILD)/simt/bench/%)) $(if $(WITH_ASAN),$(REPLAYS) $(BUILD)/sluice-fault)
test-build: test-programs
	@$(BUILD)/sluice models pull --dir models
	@$(BUILD)/sluice models pull all-minilm-l6-v2 --dir models
.PHONY: test test-programs test-build

# Takes an hour; SAN=address,undefined is the build whose calls fail at random.
test-long: ## a million requests, a thousand reloads under load, every disguise; forty kills of a broker and of a gateway, a thousand of the spool's writer; ten minutes of random faults under the address sanitizer
	@packaging/deps.sh build test
	@$(MAKE) --no-print-directory -j$(JOBS) MODE=debug SAN=address,undefined CUDA=0 BUILD_ROOT=$(BUILD_ROOT) storm-build
	@$(SUB) test-build $(BUILD)/tests/bench/grammar_try
	@tests/stages.sh 'soak=python3 tests/e2e/soak.py $(BUILD) $(CACHE) $(MODEL)' 'smuggle=$(SMUGGLE) all' 'reloads=python3 tests/e2e/operations.py $(BUILD) $(CACHE) $(MODEL) 1000' \
	  'grammar=$(CACHE)/venv*/bin/python tests/bench/grammar.py $(BUILD) 2000' \
	  'kills=AUDIT_KILLS=500 $(BUILD)/tests/unit/audit/test_crash' 'trips=$(BUILD)/tests/unit/proxy/test_round_trip all' 'kafka=SLUICE_LONG=1 $(KAFKA)' 'ledger=$(LEDGER) 20' \
	  'storm=python3 tests/e2e/storm.py $(BUILD_ROOT)/debug-address-undefined $(CACHE) $(MODEL) 600'

storm-build: all $(BUILD)/mock-provider $(BUILD)/sluice-fault
.PHONY: test-long storm-build

# ---- the gateway whose calls fail at random (tests/e2e/storm.py) -----------------------------
WRAPPED := malloc calloc realloc strdup
$(BUILD)/sluice-fault: $(BUILD)/tests/fault/inject.o $(MAIN:%.c=$(BUILD)/%.o) $(call libs_of,proxy)
	@echo "LD    $@"
	@$(CC) $(LDFLAGS) $(WRAPPED:%=-Wl,--wrap=%) -rdynamic -o $@ $^ $(CUDA_LIBS) $(LDLIBS)

# ---- benchmarks ----------------------------------------------------------------------------
PEERS    ?= 0
BENCHBIN := $(BENCH:%.c=$(BUILD)/%)
DLPBENCH := $(BUILD)/tests/bench/dlp/bench

$(BUILD)/tests/bench/%: $(BUILD)/tests/bench/%.o $(call libs_of,proxy)
	@echo "LD    $@"
	@$(CC) $(LDFLAGS) -rdynamic -o $@ $^ $(CUDA_LIBS) $(LDLIBS)

# The scanner beside Hyperscan, RE2 and PCRE2, whose libraries only this needs.
$(BUILD)/tests/bench/dlp/%.o: tests/bench/dlp/%.cc $(BUILD)/flags
	@mkdir -p $(@D) && echo "CXX   $<"
	@$(CXX) -std=c++17 -O2 -I. -c -o $@ $<
$(DLPBENCH): $(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/bench/dlp/*.c)) $(BUILD)/tests/bench/dlp/engine_re2.o $(call libs_of,dlp)
	@echo "LD    $@"
	@$(CXX) $(LDFLAGS) -rdynamic -o $@ $^ -lhs -lre2 -lpcre2-8 $(LDLIBS)

detection: $(BUILD)/sluice ## what the built-in rules find on the sets of cases in ../shared, and how often they cry wolf on this machine's text
	@tests/bench/detection.py $(BUILD)
	@tests/bench/identifiers.py $(BUILD)
	@tests/bench/noise.py $(BUILD)
.PHONY: detection

bench: ## the gateway beside nginx and HAProxy, the engine beside the memory bandwidth (PEERS=1: LiteLLM and llama.cpp too)
	@packaging/deps.sh bench
	@$(SUB) all $(BENCHBIN) $(BUILD)/mock-provider
	@$(BUILD)/sluice models pull --dir models
	@$(BUILD)/sluice models pull all-minilm-l6-v2 --dir models
	@PEERS=$(PEERS) python3 tests/bench/gateway.py $(BUILD) --cache $(CACHE)
	@tests/bench/accounts.py $(BUILD)
	@$(MAKE) --no-print-directory bench-engine bench-dlp bench-audit

RANDOM_MODEL := $(CACHE)/qwen3-0.6b-q4_0.gguf
$(RANDOM_MODEL):
	@mkdir -p $(@D)
	@python3 tests/bench/make_model.py $@

bench-engine: $(RANDOM_MODEL) ## the engine beside the memory bandwidth, and beside llama.cpp and ik_llama.cpp (PEERS=1 builds them); what a format costs a token
	@$(SUB) all $(BENCHBIN)
	@$(BUILD)/sluice models pull --dir models
	@PEERS=$(PEERS) python3 tests/bench/engine.py $(BUILD) --cache $(CACHE) $(BENCHFLAGS) $(MODEL) $(RANDOM_MODEL)
	@$(BUILD)/tests/bench/bench_mask $(firstword $(wildcard ../shared/models/vocab/ggml-vocab-qwen2.gguf) $(MODEL))
	@python3 tests/bench/latency.py $(BUILD) $(MODEL)

bench-dlp: ## the scanner beside Hyperscan or Vectorscan, RE2 and PCRE2 on the same rules
	@packaging/deps.sh bench
	@$(SUB) all $(DLPBENCH) $(BUILD)/tests/bench/bench_guard
	@python3 tests/bench/dlp/dlp.py $(BUILD)

bench-audit: ## the ledger: what a decision waits for, records/s to disk and to a real Kafka broker, verifying and asking
	@$(SUB) all $(BUILD)/tests/bench/bench_audit
	@tests/bench/audit.py $(BUILD) $(BENCHFLAGS)
.PHONY: bench bench-engine bench-dlp bench-audit

# ---- on a machine with a GPU -----------------------------------------------------------------
# The unit tests of the kernels and of the engine's device, linked with the real kernels; the workbench. Everything from a fresh
# copy of the tree, in a few minutes; without a GPU they say so.
GPU_TESTS := $(patsubst tests/unit/kernels/%.c,$(BUILD)/gpu/%,$(wildcard tests/unit/kernels/test_cuda_*.c)) \
             $(patsubst tests/unit/engine/%.c,$(BUILD)/gpu/%,$(wildcard tests/unit/engine/test_device_*.c))
GPU_OBJ := $(BUILD)/tests/bench/gpu/knobs.o
$(BUILD)/gpu/test_cuda_%: $(BUILD)/tests/unit/kernels/test_cuda_%.o $(GPU_OBJ) $(BUILD)/lib/kernels.a $(BUILD)/lib/base.a
	@mkdir -p $(@D) && echo "LD    $@"
	@$(CC) $(LDFLAGS) -o $@ $^ $(CUDA_LIBS) $(LDLIBS)
$(BUILD)/gpu/test_device_%: $(BUILD)/tests/unit/engine/test_device_%.o $(GPU_OBJ) $(BUILD)/lib/engine.a $(BUILD)/lib/kernels.a $(BUILD)/lib/base.a
	@mkdir -p $(@D) && echo "LD    $@"
	@$(CC) $(LDFLAGS) -rdynamic -o $@ $^ $(CUDA_LIBS) $(LDLIBS)
# The programs of the benchmark, with the real kernels, and with the emulated device for its test.
$(BUILD)/gpu/engine $(BUILD)/gpu/make_model: $(BUILD)/gpu/%: $(BUILD)/tests/bench/gpu/%.o $(BUILD)/lib/engine.a $(BUILD)/lib/kernels.a $(BUILD)/lib/base.a
	@mkdir -p $(@D) && echo "LD    $@"
	@$(CC) $(LDFLAGS) -o $@ $^ $(CUDA_LIBS) $(LDLIBS)
$(BUILD)/simt/bench/%: $(BUILD)/tests/bench/gpu/%.o $(BUILD)/lib/engine.a $(BUILD)/simt/peak.o $(BUILD)/lib/simt.a $(BUILD)/lib/kernels.a $(BUILD)/lib/base.a
	@mkdir -p $(@D) && echo "LD    $@"
	@$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)
$(BUILD)/simt/peak.o: tests/bench/gpu/peak.cu $(BUILD)/flags
	@mkdir -p $(@D) && echo "CXX   $<"
	@$(CXX) $(SIMT_FLAGS) -MMD -MP -x c++ -c -o $@ $<
$(BUILD)/gpu/peak.o: tests/bench/gpu/peak.cu $(BUILD)/cuda-flags
	@mkdir -p $(@D) && echo "NVCC  $<"
	@$(NVCC) $(NVFLAGS) -c -o $@ $< >$@.log 2>&1 || { cat $@.log; exit 1; }
$(BUILD)/gpu/gpu: $(BUILD)/tests/bench/gpu/gpu.o $(GPU_OBJ) $(BUILD)/gpu/peak.o $(BUILD)/lib/kernels.a $(BUILD)/lib/base.a
	@mkdir -p $(@D) && echo "LD    $@"
	@$(CC) $(LDFLAGS) -o $@ $^ $(CUDA_LIBS) $(LDLIBS)
gpu-test-build: $(GPU_TESTS) $(BUILD)/gpu/gpu
gpu-bench-build: $(GPU_BENCH:%=$(BUILD)/gpu/%)
gpu-build: gpu-test-build gpu-bench-build
# A GPU shows itself before anything is built for it.
GPU_THERE = ls /dev/nvidia[0-9]* /dev/dxg >/dev/null 2>&1
GPU_NONE = { echo "SKIP  no GPU: there is no NVIDIA device on this machine"; echo "0 passed, 0 failed, 1 skipped"; }
GPU_GO = if ! $(GPU_THERE); then $(GPU_NONE); else tests/bench/gpu/go.sh $(1) $(BUILD_ROOT) $(BUILD) $(JOBS)

gpu-test: ## the kernels' tests on this machine's GPU, with compute-sanitizer where it is installed, in 8 minutes; without a GPU: says so
	@$(call GPU_GO,test) $(notdir $(GPU_TESTS)); fi

gpu-bench: ## models of 8B on this machine's GPU beside llama.cpp, its products beside its own limits, in 8 minutes (GPUBENCHFLAGS: tests/bench/gpu/bench.py --help); without a GPU: says so
	@$(call GPU_GO,bench); fi
export GPUBENCHFLAGS
.PHONY: gpu-test-build gpu-bench-build gpu-build gpu-test gpu-bench
