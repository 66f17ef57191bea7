#!/bin/sh
# Runs libFuzzer targets: one line each, "N passed, N failed" at the end, exit status 1 on any failure.
# usage: tests/fuzz/run.sh FOLDER NAME...   (FOLDER has the programs fuzz_NAME and gets all output)
# FUZZ_SEED: the same inputs in the same order each time, as far as the time goes; 0, or none: others each time.
out=$1
shift
seconds=${FUZZ_SECONDS:-30}
mkdir -p "$out/found" "$out/corpus" "$out/logs"

run_one()
{
    name=$1 log=$out/logs/$1.log seeds=tests/fuzz/corpus/$1
    result=failed
    mkdir -p "$out/corpus/$name"
    test -d "$seeds" || seeds=
    if [ ! -x "$out/fuzz_$name" ]; then
        echo "FUZZ  $name: does not build"
    elif "$out/fuzz_$name" -max_total_time="$seconds" -seed="${FUZZ_SEED:-0}" -timeout=20 -rss_limit_mb=2560 \
        -print_final_stats=1 -artifact_prefix="$out/found/$name-" \
        "$out/corpus/$name" $seeds >"$log" 2>&1; then
        result=passed
        runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
        cov=$(grep -o 'cov: [0-9]*' "$log" | tail -n 1)
        echo "FUZZ  $name: $runs runs, $cov: ok"
    else
        echo "FUZZ  $name: $(grep -m 1 -E 'ERROR: |runtime error|SUMMARY' "$log") (see $log)"
    fi
    echo "$result" >"$out/logs/$name.result"
}

if [ "$1" = --one ]; then # this script again, from below
    run_one "$2"
    exit 0
fi
for name in "$@"; do rm -f "$out/logs/$name.result"; done
printf '%s\n' "$@" | xargs -P "${FUZZ_JOBS:-2}" -n 1 "$0" "$out" --one
passed=0 failed=0
for name in "$@"; do
    case $(cat "$out/logs/$name.result" 2>/dev/null) in
    passed) passed=$((passed + 1)) ;;
    *) failed=$((failed + 1)) ;;
    esac
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
