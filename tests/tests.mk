# The tests: `make test` is everything that CI runs with the ordinary compiler; with SAN= the same without what the
# sanitizers make pointless or too slow (SDKs and Kafka, which run the same code again).
include tests/fuzz/fuzz.mk

CACHE := $(BUILD_ROOT)/cache
SUB   := $(MAKE) --no-print-directory -j$(JOBS) MODE=$(MODE) SAN=$(SAN) CUDA=$(CUDA) BUILD_ROOT=$(BUILD_ROOT)
E2E   := python3 tests/e2e/run.py $(BUILD) $(CACHE) $(MODEL)

# libevent and librdkafka are not instrumented: tests/tsan.supp says what is left out because of that.
export TSAN_OPTIONS := suppressions=$(CURDIR)/tests/tsan.supp $(TSAN_OPTIONS)

test: ## set up, build, and run every test (SAN=... runs the sanitized variant)
	@packaging/deps.sh build test
	@$(SUB) test-build
	@tests/stages.sh 'unit=$(SUB) -s unit' $(if $(filter thread,$(SAN)),,'corpus=$(SUB) -s corpus') \
	  $(if $(SAN),'e2e=$(E2E) --quick','kafka=BUILD_ROOT=$(BUILD_ROOT) tests/e2e/kafka/test_kafka.sh' 'e2e=$(E2E)')

test-build: all $(UNIT_RUN:%.c=$(BUILD)/%) $(BUILD)/mock-provider
	@$(BUILD)/sluice models pull --dir models
	@$(BUILD)/sluice models pull all-minilm-l6-v2 --dir models
.PHONY: test test-build

# ---- benchmarks ----------------------------------------------------------------------------
PEERS    ?= 0
BENCHBIN := $(BENCH:%.c=$(BUILD)/%)

$(BUILD)/tests/bench/%: $(BUILD)/tests/bench/%.o $(call libs_of,proxy)
	@echo "LD    $@"
	@$(CC) $(LDFLAGS) -rdynamic -o $@ $^ $(CUDA_LIBS) $(LDLIBS)

bench: ## the gateway beside nginx and HAProxy, the engine beside the memory bandwidth (PEERS=1: LiteLLM and llama.cpp too)
	@packaging/deps.sh bench
	@$(SUB) all $(BENCHBIN) $(BUILD)/mock-provider
	@$(BUILD)/sluice models pull --dir models
	@PEERS=$(PEERS) tests/bench/engine.sh $(BUILD) $(CACHE) $(MODEL)
	@$(BUILD)/sluice models pull all-minilm-l6-v2 --dir models
	@PEERS=$(PEERS) python3 tests/bench/gateway.py $(BUILD) --cache $(CACHE)
.PHONY: bench
