#!/bin/bash
# Runs stages and sums their last lines. usage: tests/stages.sh NAME=COMMAND ... [--four NAME=COMMAND ...]
# A stage is a shell command that ends with "N passed, N failed[, N skipped]"; one without such a line, or one that exits with
# neither 0 nor 1, counts as one failure. Those behind --four wait more than they work, so four run at a time; what one of them
# prints comes when it is done, in one piece. Prints how long each took, every line about a failure once more, and the sum alone
# on the last line.
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
sums=$dir/sums bad=$dir/bad
touch "$sums" "$bad"

tell() { # NAME LOG EXIT-STATUS START: what a stage came to
    local line
    line=$(grep -E '^[0-9]+ passed, [0-9]+ failed' "$2" | tail -n 1)
    if [ -z "$line" ] || [ "$3" -gt 2 ]; then
        echo "FAIL  $1: exit status $3" | tee -a "$2"
        echo "0 1 0" >>"$sums"
    fi
    [ -z "$line" ] || printf '%s\n' "$line" | tr -dc '0-9 \n' >>"$sums"
    grep -E '^(\[[a-z0-9]+\] )*FAIL |: failed: |runtime error: |Sanitizer: |SUMMARY: ' "$2" | sed "s/^/[$1] /" >>"$bad"
    echo "== $1 took $((SECONDS - $4)) s"
}

one() { # NAME=COMMAND
    local name=${1%%=*} start=$SECONDS rc
    echo "== $name"
    bash -c "${1#*=}" 2>&1 | tee "$dir/$name"
    rc=${PIPESTATUS[0]}
    tell "$name" "$dir/$name" "$rc" "$start"
}

beside() { # NAME=COMMAND: the same, told at its end
    local name=${1%%=*} start=$SECONDS rc
    bash -c "${1#*=}" >"$dir/$name" 2>&1 </dev/null
    rc=$?
    (
        flock 9
        echo "== $name"
        cat "$dir/$name"
        tell "$name" "$dir/$name" "$rc" "$start"
    ) 9>>"$dir/lock"
}

while [ $# -gt 0 ] && [ "$1" != --four ]; do
    one "$1"
    shift
done
for stage in "${@:2}"; do
    while [ "$(jobs -rp | wc -l)" -ge 4 ]; do wait -n; done
    beside "$stage" &
done
wait

sort -u "$bad" | head -n 60
awk '{ passed += $1; failed += $2; skipped += $3 } END { printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped; exit failed != 0 }' "$sums"
