#!/bin/bash
# Runs stages and sums their last lines. usage: tests/stages.sh NAME=COMMAND ...
# A stage is a shell command that ends with "N passed, N failed[, N skipped]"; one without such a line, or one that exits with
# neither 0 nor 1, counts as one failure. Prints how long each took, every line about a failure once more, and the sum alone on
# the last line.
passed=0 failed=0 skipped=0
log=$(mktemp) bad=$(mktemp)
trap 'rm -f "$log" "$bad"' EXIT
for stage in "$@"; do
    name=${stage%%=*} start=$SECONDS
    echo "== $name"
    bash -c "${stage#*=}" 2>&1 | tee "$log"
    rc=${PIPESTATUS[0]}
    line=$(grep -E '^[0-9]+ passed, [0-9]+ failed' "$log" | tail -n 1)
    if [ -z "$line" ] || [ "$rc" -gt 2 ]; then
        echo "FAIL  $name: exit status $rc" | tee -a "$log"
        failed=$((failed + 1))
    fi
    if [ -n "$line" ]; then
        # shellcheck disable=SC2046 # three numbers
        set_counts() { passed=$((passed + $1)) failed=$((failed + $2)) skipped=$((skipped + ${3:-0})); }
        set_counts $(printf '%s' "$line" | tr -dc '0-9 ')
    fi
    grep -E '^(\[[a-z0-9]+\] )*FAIL |: failed: |runtime error: |Sanitizer: ' "$log" | sed "s/^/[$name] /" >>"$bad"
    echo "== $name took $((SECONDS - start)) s"
done
sort -u "$bad" | head -n 60
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
