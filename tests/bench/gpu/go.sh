#!/bin/bash
# What `make gpu-test` and `make gpu-bench` do where there is a GPU: builds for it, and runs, within a budget that the build counts in.
# usage: tests/bench/gpu/go.sh test|bench BUILD-ROOT BUILD JOBS TEST-PROGRAM...; GPUBENCHFLAGS: options of bench.py
# Where something is missing and cannot be had, programs that were brought are taken as they are; without them one line says what is missing.
what=$1 root=$2 build=$3 jobs=$4
shift 4
started=$(date +%s)
log=$root/gpu-$what.log
make=(make --no-print-directory -s BUILD_ROOT="$root")
mkdir -p "$root"

fail() {
    echo "FAIL  gpu-$what: $1"
    echo "0 passed, 1 failed"
    exit 1
}

missing=$(packaging/deps.sh --list gpu)
if [ -n "$missing" ]; then
    timeout 90 packaging/deps.sh gpu >"$log" 2>&1 </dev/null
    missing=$(packaging/deps.sh --list gpu)
fi
if [ -z "$missing" ] && ! timeout 120 "${make[@]}" cuda-toolkit >"$log" 2>&1; then
    missing="a CUDA compiler, 12.8 or newer (NVCC=... or CUDA_HOME=... names one)"
fi

if [ -z "$missing" ]; then
    # Only for the GPUs that are here, where that is known: a fraction of the time.
    sm=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null | tr -d '. ' | sed 's/^90$/90a/' | sort -u | xargs)
    for a in $sm; do
        case " 80 86 89 90a 100 120 " in *" $a "*) ;; *) sm="" ;; esac
    done
    "${make[@]}" -j"$jobs" CUDA=1 ${sm:+CUDA_SM="$sm"} "gpu-$what-build" || fail "it does not build"
    echo "built in $(($(date +%s) - started)) s${sm:+ for sm $sm}"
elif [ -x "$build/gpu/gpu" ]; then
    echo "programs as they were brought in $build/gpu: nothing is built here, since there is no $missing"
else
    fail "missing on this machine, and not to be had: $missing"
fi

if [ "$what" = test ]; then
    GPU_STARTED=$started exec tests/bench/gpu/run.sh "$build/gpu" "$@"
fi
# The program keeps its own time; this ends one that cannot, unless another time was asked for.
case " $GPUBENCHFLAGS" in
*" --budget"*) limit=() ;;
*) limit=(timeout -k 10 $((started + 510 - $(date +%s)))) ;;
esac
# shellcheck disable=SC2086 # a list of options
exec "${limit[@]}" tests/bench/gpu/bench.py "$build/gpu" --started "$started" $GPUBENCHFLAGS
