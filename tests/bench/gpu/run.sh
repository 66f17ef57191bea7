#!/bin/bash
# Runs the kernels' tests on the GPU: usage: tests/bench/gpu/run.sh FOLDER PROGRAM...; where NVIDIA's compute-sanitizer is installed, the
# kernels' tests once more under memcheck and racecheck.
dir=$1
shift
"$dir/gpu" probe || { echo "0 passed, 0 failed, 1 skipped"; exit 0; }
stages=("tests=tests/run.sh ${*/#/$dir/}")
if command -v compute-sanitizer >/dev/null; then
    for tool in memcheck racecheck; do
        for t in "$@"; do
            case $t in
            test_cuda_*) stages+=("$tool-$t=compute-sanitizer --tool $tool --error-exitcode 3 $dir/$t") ;;
            esac
        done
    done
else
    echo "SKIP  compute-sanitizer is not installed: no memcheck, no racecheck"
fi
TEST_JOBS=1 exec tests/stages.sh "${stages[@]}"
