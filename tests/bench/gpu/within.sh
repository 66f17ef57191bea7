#!/bin/bash
# Runs a command if its time is not over, and cuts it when it is: usage: within.sh END NAME COMMAND...; END: seconds since 1970. What was left out or cut
# counts as skipped, and the line says why.
end=$1 name=$2
shift 2
left=$((end - $(date +%s)))
skip() {
    echo "SKIP  $name: $1"
    echo "0 passed, 0 failed, 1 skipped"
    exit 0
}
[ $left -ge "${WITHIN_LEAST:-10}" ] || skip "left out for time"
timeout -k 5 $left "$@"
rc=$?
[ $rc -ne 124 ] && [ $rc -ne 137 ] || skip "cut after $left s, the time was over"
exit $rc
