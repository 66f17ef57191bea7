#!/bin/bash
# Runs the tests on the GPU: usage: tests/bench/gpu/run.sh FOLDER PROGRAM...; where NVIDIA's compute-sanitizer is installed, the kernels' tests
# once more under memcheck and racecheck, as far as time is left: GPU_BUDGET seconds (470) of all, from GPU_STARTED (seconds since 1970; now) on.
dir=$1
shift
PATH=$PATH:/usr/local/cuda/bin
"$dir/gpu" probe || { echo "0 passed, 0 failed, 1 skipped"; exit 0; }
end=$((${GPU_STARTED:-$(date +%s)} + ${GPU_BUDGET:-470}))
stages=("tests=TEST_TIMEOUT=120 tests/run.sh ${*/#/$dir/}")
if command -v compute-sanitizer >/dev/null; then
    for tool in memcheck racecheck; do
        for t in "$@"; do
            case $t in
            test_cuda_*) stages+=("$tool-$t=tests/bench/gpu/within.sh $end $tool-$t compute-sanitizer --tool $tool --error-exitcode 3 $dir/$t") ;;
            esac
        done
    done
else
    echo "SKIP  compute-sanitizer is not installed: no memcheck, no racecheck"
fi
TEST_JOBS=1 exec tests/stages.sh "${stages[@]}"
