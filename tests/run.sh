#!/bin/bash
# Runs test programs, TEST_JOBS at a time (default: one a core), and sums their last lines: "N passed, N failed, N skipped".
# What a program prints comes when it is done, in one piece. One that dies without such a line counts as one failure. What
# failed is said again, by name, before the sum.
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
one() { # N PROGRAM: its output to $dir/N.out, its exit status to $dir/N.rc; then both are told
    local start=$SECONDS took
    timeout "${TEST_TIMEOUT:-600}" "$2" >"$dir/$1.out" 2>&1 </dev/null
    echo $? >"$dir/$1.rc"
    took=$((SECONDS - start))
    flock "$dir" sh -c 'echo "TEST  $1"; grep -vE "^[0-9]+ passed, [0-9]+ failed|^$" "$2"' sh "${2##*/}$([ $took -lt 10 ] || echo " ($took s)")" "$dir/$1.out"
}
n=0
for t in "$@"; do
    while [ "$(jobs -rp | wc -l)" -ge "${TEST_JOBS:-$(nproc)}" ]; do wait -n; done
    n=$((n + 1))
    one $n "$t" &
done
wait

passed=0 failed=0 skipped=0 said='' n=0
for t in "$@"; do
    n=$((n + 1)) name=${t##*/}
    rc=$(cat "$dir/$n.rc")
    last=$(grep -E '^[0-9]+ passed, [0-9]+ failed' "$dir/$n.out" | tail -n 1)
    bad=$(grep -E '^[^ ]+:[0-9]+: failed: |runtime error: |^SUMMARY: ' "$dir/$n.out" | head -n 20)
    if [ -z "$last" ] || [ "$rc" -gt 1 ]; then
        failed=$((failed + 1))
        said="$said
FAIL  $name: exit status $rc, last line: $(tail -n 1 "$dir/$n.out")
$bad"
        continue
    fi
    [ "$rc" -eq 0 ] || said="$said
FAIL  $name: $last
$bad"
    # shellcheck disable=SC2046 # three numbers
    set_counts() { passed=$((passed + $1)) failed=$((failed + $2)) skipped=$((skipped + ${3:-0})); }
    set_counts $(printf '%s' "$last" | tr -dc '0-9 ')
done
[ -z "$said" ] || printf '%s\n' "$said" | grep -v '^$'
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
