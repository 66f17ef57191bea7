# CUDA: a compiler is used where there is one, fetched with `make cuda-toolkit`, or done without; `make` says which.
# NVCC=... or, in this order, CUDA_HOME, CUDA_PATH, the PATH, usual places, the project's own kit, Python packages.
CUDA_MIN := 12.8
CUDA_KIT ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/sluice/cuda-13.0
# All of one release: a newer crt or nvvm does not fit an older compiler, so nothing is left to what pip thinks.
CUDA_PIP := nvidia-cuda-nvcc==13.0.88 nvidia-cuda-crt==13.0.88 nvidia-nvvm==13.0.88 nvidia-cuda-runtime==13.0.96 \
            nvidia-cuda-cccl==13.0.85 nvidia-cuda-cuobjdump==13.2.86 nvidia-cuda-nvdisasm==13.2.86

hash := \#
HAVE_CUDA :=
CUDA_FOUND := off (CUDA=0)
# Sanitizers look at the host's code, which is the same without: CUDA is compiled in one variant.
ifneq ($(SAN),)
override CUDA := 0
endif
ifneq ($(CUDA),0)
cuda_at = $(firstword $(realpath $(1)))
ifneq ($(NVCC),)
override NVCC := $(or $(call cuda_at,$(NVCC)),$(error NVCC=$(NVCC) does not exist))
else
CUDA_PURELIB = $(shell python3 -c 'import sysconfig as s; print(s.get_path("purelib"))' 2>/dev/null)
NVCC := $(or $(call cuda_at,$(addsuffix /bin/nvcc,$(CUDA_HOME) $(CUDA_PATH))),$(call cuda_at,$(shell command -v nvcc)), \
  $(call cuda_at,$(addsuffix /bin/nvcc,/usr/local/cuda /opt/cuda $(CUDA_KIT)/nvidia/cu13)), \
  $(call cuda_at,$(CUDA_PURELIB)/nvidia/cu13/bin/nvcc))
endif
CUDA_FOUND := no nvcc found, building for the CPU only ("make cuda-toolkit" gets one: 110 MB, no root)
endif
# The first one found is tried with a header that shows mismatched packages and a missing g++; success is remembered.
ifneq ($(and $(NVCC),$(filter-out 0,$(CUDA))),)
CUDA_VER := $(shell $(NVCC) --version | sed -n 's/.*release .*V\([0-9.]*\).*/\1/p')
CUDA_TOP := $(realpath $(shell $(NVCC) --dryrun -c -o /dev/null x.cu 2>&1 | sed -n 's/^$(hash)$$ TOP=//p'))
CUDA_TRY := $(BUILD_ROOT)/cuda-ok$(subst /,-,$(NVCC))
CUDA_ERR := $(if $(filter $(CUDA_MIN),$(shell printf '%s\n' $(CUDA_MIN) $(CUDA_VER) | sort -V | head -1)),$(shell \
  [ $(CUDA_TRY) -nt $(NVCC) ] || { mkdir -p $(BUILD_ROOT); d=$$(mktemp -d); printf '%s\n' '$(hash)include <cuda_fp16.h>' \
  '__global__ void k(__half *p) { *p = __hadd(*p, *p); }' >$$d/x.cu; $(NVCC) -arch=sm_80 -c -o $$d/x.o $$d/x.cu >$$d/log 2>&1 && \
  touch $(CUDA_TRY) || grep -E 'error|fatal' $$d/log | head -1; rm -rf $$d; }),$(CUDA_MIN) or newer is needed)
CUDA_SM   := $(foreach a,80 86 89 90a 100 120,$(if $(filter $(a:a=),$(patsubst sm_%,%,$(shell $(NVCC) --list-gpu-code))),$(a)))
HAVE_CUDA := $(if $(CUDA_ERR),,1)
CUDA_FOUND := $(if $(CUDA_ERR),cannot use ,)$(NVCC) ($(CUDA_VER))$(if $(CUDA_ERR),$(comma) building for the CPU only: $(CUDA_ERR),: sm $(CUDA_SM))
endif
$(if $(and $(filter 1,$(CUDA)),$(if $(HAVE_CUDA),,no)),$(error CUDA=1 needs a working nvcc: $(CUDA_FOUND)))

CUSRC := $(if $(HAVE_CUDA),$(wildcard kernels/*.cu))
ifneq ($(CUSRC),)
CUDA_LIBS := $(addprefix -L,$(firstword $(dir $(wildcard $(addsuffix /libcudart_static.a,$(CUDA_TOP)/lib64 $(CUDA_TOP)/lib \
             $(CUDA_TOP)/targets/x86_64-linux/lib))))) -lcudart_static -ldl -lrt -lpthread
endif
NVFLAGS = -std=c++17 -O3 -lineinfo -I. --Werror all-warnings --compress-mode=size -Xptxas -v,-warn-spills,-warn-lmem-usage \
  -Xcompiler=-fPIE,-Wall,-Wextra,-Werror,-fno-exceptions,-fno-rtti,-fno-threadsafe-statics,-fvisibility=hidden \
  $(foreach a,$(CUDA_SM),-gencode arch=compute_$(a)$(comma)code=sm_$(a)) -gencode arch=compute_90$(comma)code=compute_90

# One per kernel file. A wgmma that ptxas serialises, or into which it puts waits of its own, is only a remark: C75xx.
$(BUILD)/kernels/%.cu.o: kernels/%.cu $(BUILD)/cuda-flags
	@mkdir -p $(@D) && echo "NVCC  $<"
	@$(NVCC) $(NVFLAGS) -t 2 -MMD -MP -MF $@.d -c -o $@ $< >$@.log 2>&1 || { grep -vE '^ptxas info' $@.log; rm -f $@; exit 1; }
	@! grep -E '\(C75[0-9][0-9]\)' $@.log || { rm -f $@; echo "$<: ptxas serialises wgmma"; exit 1; }

$(BUILD)/cuda-flags: FORCE
	@mkdir -p $(@D)
	@echo '$(NVCC) $(NVFLAGS)' | cmp -s - $@ || echo '$(NVCC) $(NVFLAGS)' >$@
# kernels.a holds the CUDA files or the stub, and is made again when that changes.
$(BUILD)/cuda-in: FORCE
	@mkdir -p $(@D)
	@echo '$(CUDA_FOUND) $(CUSRC)' | cmp -s - $@ || { echo '$(CUDA_FOUND) $(CUSRC)' >$@; echo 'CUDA  $(CUDA_FOUND)'; }
$(BUILD)/lib/kernels.a: $(BUILD)/cuda-in

# The same files compiled for the host, where threads are fibers (tests/simt): what the unit tests run.
SIMT_OBJ := $(patsubst kernels/%.cu,$(BUILD)/simt/%.o,$(wildcard kernels/*.cu)) $(BUILD)/simt/simt.o $(BUILD)/simt/simt_host.o $(BUILD)/simt/simt_hopper.o
SIMT_FLAGS = -std=c++17 -O2 -g -ffp-contract=off -fno-strict-aliasing -fno-exceptions -fno-rtti -fno-threadsafe-statics -fPIE -Wall -Wextra -Wno-unknown-pragmas -Wno-psabi -Werror -Itests/simt -I. \
  $(if $(filter-out thread,$(SAN)),-fsanitize=$(SAN) -fno-sanitize-recover=all)
$(BUILD)/simt/%.o: kernels/%.cu $(BUILD)/flags
	@mkdir -p $(@D) && echo "CXX   $<"
	@$(CXX) $(SIMT_FLAGS) -MMD -MP -x c++ -c -o $@ $<
$(BUILD)/simt/%.o: tests/simt/%.cc $(BUILD)/flags
	@mkdir -p $(@D) && echo "CXX   $<"
	@$(CXX) $(SIMT_FLAGS) -MMD -MP -c -o $@ $<
$(BUILD)/lib/simt.a: $(SIMT_OBJ)
	@mkdir -p $(@D) && echo "AR    $@"
	@rm -f $@ && $(AR) rcs $@ $^
# What the tests have for NVIDIA's NCCL, under its name, so that it is found where they opened it before.
$(BUILD)/simt/libnccl.so.2: tests/simt/nccl.c tests/simt/nccl.h $(BUILD)/flags
	@mkdir -p $(@D) && echo "LD    $@"
	@$(CC) -std=c11 -O1 -g -Wall -Wextra -Werror -D_GNU_SOURCE -I. -fPIC -shared -Wl,-soname,libnccl.so.2 -o $@ $<
$(addprefix $(BUILD)/tests/unit/engine/test_device_,tensor engine kinds): | $(BUILD)/simt/libnccl.so.2
# Tests of that name have an emulated device: simt.a stands before the stub or the CUDA files of kernels.a.
$(BUILD)/tests/unit/kernels/test_cuda%: $(BUILD)/tests/unit/kernels/test_cuda%.o $(BUILD)/lib/simt.a $(BUILD)/lib/kernels.a $(BUILD)/lib/base.a
	@echo "LD    $@"
	@$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)
$(BUILD)/tests/unit/engine/test_device%: $(BUILD)/tests/unit/engine/test_device%.o $(BUILD)/lib/engine.a $(BUILD)/lib/simt.a $(BUILD)/lib/kernels.a $(BUILD)/lib/base.a
	@echo "LD    $@"
	@$(CC) $(LDFLAGS) -rdynamic -o $@ $^ $(LDLIBS)
$(BUILD)/tests/unit/proxy/test_device%: $(BUILD)/tests/unit/proxy/test_device%.o $(addprefix $(BUILD)/lib/,proxy.a dlp.a router.a engine.a audit.a simt.a kernels.a base.a)
	@echo "LD    $@"
	@$(CC) $(LDFLAGS) -rdynamic -o $@ $^ $(LDLIBS)

cuda-toolkit: ## get a CUDA compiler (104 MB of Python packages, no root) into the user's cache
	@if [ -n '$(HAVE_CUDA)' ]; then echo 'CUDA  $(CUDA_FOUND)'; else \
	  rm -rf '$(CUDA_KIT)' '$(CUDA_KIT).new' && mkdir -p '$(dir $(CUDA_KIT))' && \
	  python3 -m pip install -q --no-deps --no-compile --target '$(CUDA_KIT).new' $(CUDA_PIP) && mv '$(CUDA_KIT).new' '$(CUDA_KIT)' && \
	  echo 'CUDA  $(CUDA_KIT)'; fi
CUDA_DUMP = $(or $(wildcard $(dir $(NVCC))cuobjdump),$(shell command -v cuobjdump))
CUDA_SEEN = PATH=$(dir $(CUDA_DUMP)):$$PATH python3 tests/lint/cuda.py $(CUDA_VER) $(CUDA_DUMP) '$(CUDA_SM)'
cuda-check: $(if $(CUSRC),$(CUSRC:%.cu=$(BUILD)/%.cu.o) $(BUILD)/sluice gpu-build) ## compile and link the CUDA kernels; their registers, memory and instructions against the table; the binary starts without a GPU
	@$(if $(CUSRC),,echo "SKIP  CUDA: $(CUDA_FOUND)"; echo "0 passed, 0 failed, 1 skipped"; exit 0;) \
	  $(if $(CUDA_DUMP),,echo "FAIL  there is no cuobjdump beside $(NVCC)"; echo "0 passed, 1 failed"; exit 1;) \
	  $(BUILD)/sluice --version && { $(BUILD)/gpu/gpu probe; [ $$? -le 1 ]; } && $(CUDA_SEEN) $(CUSRC:%.cu=$(BUILD)/%.cu.o)
cuda-table: $(CUSRC:%.cu=$(BUILD)/%.cu.o) ## write kernels/cuda_resources.txt anew
	@$(CUDA_SEEN) --write $^
.PHONY: cuda-toolkit cuda-check cuda-table
-include $(CUSRC:%.cu=$(BUILD)/%.cu.o.d) $(SIMT_OBJ:.o=.d)
