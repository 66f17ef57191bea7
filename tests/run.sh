#!/bin/sh
# Runs test programs one after the other and sums their last lines: "N passed, N failed, N skipped".
# A program that dies without such a line counts as one failure.
passed=0 failed=0 skipped=0
for t in "$@"; do
    echo "TEST  ${t##*/}"
    out=$(timeout "${TEST_TIMEOUT:-300}" "$t" 2>&1)
    rc=$?
    last=$(printf '%s\n' "$out" | grep -E '^[0-9]+ passed, [0-9]+ failed' | tail -n 1)
    printf '%s\n' "$out" | grep -vE '^[0-9]+ passed, [0-9]+ failed' | grep -v '^$'
    if [ -z "$last" ] || [ "$rc" -gt 1 ]; then
        echo "FAIL  ${t##*/}: exit status $rc"
        failed=$((failed + 1))
        continue
    fi
    set -- $(printf '%s' "$last" | tr -dc '0-9 ')
    passed=$((passed + $1)) failed=$((failed + $2)) skipped=$((skipped + ${3:-0}))
done
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
