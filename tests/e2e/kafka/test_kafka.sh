#!/usr/bin/env bash
# The audit sender against a real Apache Kafka broker. Prints "N passed, N failed, N skipped" last.
#   AUDIT_LOAD=PATH   the load program (default: built with make)
#   SLUICE_LONG=1     more kills, longer outages
set -u
cd "$(dirname "$0")/../../.." || exit 1
# shellcheck source=tests/e2e/kafka/kafka.sh
. tests/e2e/kafka/kafka.sh

passed=0 failed=0
finish() {
    [ -z "${load_pid:-}" ] || kill -9 "$load_pid" 2>/dev/null
    kafka_kill9 "$dir/broker" 2>/dev/null
    if [ "$failed" -eq 0 ]; then rm -rf "$dir"; else echo "left for inspection: $dir"; fi
    echo "$passed passed, $failed failed, 0 skipped"
    exit $((failed != 0))
}
check() { # WHAT COMMAND...
    local what=$1
    shift
    if "$@"; then passed=$((passed + 1)) && echo "ok   $what"; else failed=$((failed + 1)) && echo "FAIL $what"; fi
}

if ! kafka_need; then
    echo "SKIP  no real Kafka here: see the packages above"
    echo "0 passed, 0 failed, 1 skipped"
    exit 0
fi
load=${AUDIT_LOAD:-}
if [ -z "$load" ]; then
    root=${BUILD_ROOT:-build}
    make -s BUILD_ROOT="$root" "$root/release/tests/unit/audit/audit_load" >&2 || exit 1
    load=$root/release/tests/unit/audit/audit_load
fi
dir=$(mktemp -d "${TMPDIR:-/tmp}/sluice-kafka-XXXXXX")
trap finish EXIT
trap 'exit 1' INT TERM
kafka_start "$dir/broker" || { failed=1; exit 1; }

# run NAME DURABILITY PAIRS PER_SECOND DRAIN_MS: in the background, sets load_pid
run() {
    "$load" "$dir/$1.spool" "$2" "$KAFKA_BROKERS" "$1" "$3" "$4" "$5" >>"$dir/$1.ids" 2>>"$dir/$1.log" &
    load_pid=$!
}
ended() { # waits for the load
    local rc
    wait "$load_pid"
    rc=$?
    load_pid=
    return "$rc"
}
judge() { # NAME
    kafka_consume "$dir/broker" "$1" >"$dir/$1.topic" 2>"$dir/$1.consume.log"
    check "$1: what arrived" python3 tests/e2e/kafka/check_topic.py "$dir/$1.topic" "$dir/$1.ids"
}
topic() { kafka_topic "$dir/broker" "$1" || { failed=$((failed + 1)); exit 1; }; }

# Records arrive, with headers, in both durabilities.
for d in disk process; do
    topic "plain-$d"
    run "plain-$d" "$d" 500 1000 5000
    check "plain-$d: the load ends" ended
    judge "plain-$d"
done

# The broker is killed and comes back in the middle: tests/e2e/ledger.py does that with a gateway as well.
if [ -n "${SLUICE_LONG:-}" ]; then
    topic bounce
    run bounce disk 30000 500 20000
    for _ in $(seq 20); do
        sleep 0.8
        kafka_kill9 "$dir/broker"
        sleep 0.5
        kafka_start "$dir/broker" || exit 1
    done
    check "bounce: the load ends" ended
    judge bounce
fi

# An outage longer than the window of 8,000 records; delivery goes on by itself (10 s), nothing is lost.
topic outage
kafka_kill9 "$dir/broker"
run outage process 6000 6000 30000
sleep 2
began=$(date +%s)
kafka_start "$dir/broker" || exit 1
check "outage: the load ends" ended
check "outage: caught up within 20 s" [ $(($(date +%s) - began)) -le 20 ]
judge outage

# The gateway is killed with requests open; its next start ends them and sends what is missing.
topic killed
run killed process 100000 2000 0
sleep 1.5
kill -9 "$load_pid"
ended
run killed process 0 1 20000
check "killed: the next start" ended
judge killed

# Stopped while the broker is away: bounded, and all arrive after the next start.
topic stopped
kafka_kill9 "$dir/broker"
run stopped disk 1000 5000 500
began=$(date +%s)
check "stopped: ends without a broker" ended
check "stopped: in time" [ $(($(date +%s) - began)) -le 5 ]
kafka_start "$dir/broker" || exit 1
run stopped disk 0 1 20000
check "stopped: the next start" ended
judge stopped

# The broker hangs (SIGSTOP) for longer than a request timeout.
topic hung
run hung process 1500 500 30000
sleep 0.5
kafka_pause "$dir/broker"
sleep "${SLUICE_LONG:+2}4"
kafka_resume "$dir/broker"
check "hung: the load ends" ended
judge hung
