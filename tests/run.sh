#!/bin/sh
# Runs test programs one after the other and sums their last lines: "N passed, N failed, N skipped".
# A program that dies without such a line counts as one failure. What failed is said again, by name, before the sum.
passed=0 failed=0 skipped=0 said=
for t in "$@"; do
    name=${t##*/}
    echo "TEST  $name"
    out=$(timeout "${TEST_TIMEOUT:-300}" "$t" 2>&1)
    rc=$?
    last=$(printf '%s\n' "$out" | grep -E '^[0-9]+ passed, [0-9]+ failed' | tail -n 1)
    printf '%s\n' "$out" | grep -vE '^[0-9]+ passed, [0-9]+ failed' | grep -v '^$'
    bad=$(printf '%s\n' "$out" | grep -E '^[^ ]+:[0-9]+: failed: ' | head -n 20)
    if [ -z "$last" ] || [ "$rc" -gt 1 ]; then
        echo "FAIL  $name: exit status $rc"
        failed=$((failed + 1))
        said="$said
FAIL  $name: exit status $rc, last line: $(printf '%s\n' "$out" | tail -n 1)"
        [ -z "$bad" ] || said="$said
$bad"
        continue
    fi
    [ "$rc" -eq 0 ] || said="$said
FAIL  $name: $last
$bad"
    set -- $(printf '%s' "$last" | tr -dc '0-9 ')
    passed=$((passed + $1)) failed=$((failed + $2)) skipped=$((skipped + ${3:-0}))
done
[ -z "$said" ] || printf '%s\n' "$said" | grep -v '^$'
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
