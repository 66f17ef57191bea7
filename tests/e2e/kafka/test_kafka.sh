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
    kafka_kill9 "$dir/old" 2>/dev/null
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
root=${BUILD_ROOT:-build}
if [ -z "$load" ]; then
    make -s BUILD_ROOT="$root" "$root/release/tests/unit/audit/audit_load" >&2 || exit 1
    load=$root/release/tests/unit/audit/audit_load
fi
sluice=${SLUICE:-$root/release/sluice}
dir=$(mktemp -d "${TMPDIR:-/tmp}/sluice-kafka-XXXXXX")
trap finish EXIT
trap 'exit 1' INT TERM
kafka_certs "$dir/broker" && kafka_start "$dir/broker" || { failed=1; exit 1; }

# run NAME DURABILITY PAIRS PER_SECOND DRAIN_MS [PROPERTY...]: in the background, sets load_pid. The load makes the topic.
run() {
    local name=$1 durability=$2 pairs=$3 rate=$4 drain=$5
    shift 5
    "$load" "$dir/$name.spool" "$durability" "$KAFKA_BROKERS" "$name" "$pairs" "$rate" "$drain" "$@" >>"$dir/$name.ids" \
        2>>"$dir/$name.log" &
    load_pid=$!
}
ended() { # waits for the load
    local rc
    wait "$load_pid"
    rc=$?
    load_pid=
    return "$rc"
}
judge() { # NAME [BROKER]
    kafka_consume "$dir/${2:-broker}" "$1" >"$dir/$1.topic" 2>"$dir/$1.consume.log"
    check "$1: what arrived" python3 tests/e2e/kafka/check_topic.py "$dir/$1.topic" "$dir/$1.ids"
}
topic() { # with settings of its own, or a broker that will be away when it would be made
    kafka_topic "$dir/broker" "$1" || { failed=$((failed + 1)); exit 1; }
}

# Records arrive, with headers, in both durabilities and compressed in both ways that the docs name; the topic was not there.
for d in disk process; do
    run "plain-$d" "$d" 500 1000 5000 "compression.type=$([ $d = disk ] && echo lz4 || echo zstd)"
    check "plain-$d: the load ends" ended
    judge "plain-$d"
    # librdkafka sends without it, and says so to nobody, when it takes a broker for one that cannot read it.
    check "plain-$d: compressed to less than a quarter" \
        [ $(($(cat "$dir/broker/data/plain-$d-0/"*.log | wc -c) * 4)) -lt "$(wc -c <"$dir/plain-$d.topic")" ]
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
    run bounce disk 0 1 60000 # on a slow machine it has ended while a broker was coming up
    check "bounce: the next start" ended
    judge bounce
fi

# An outage longer than the window of 8,000 records; delivery goes on by itself (10 s), nothing is lost.
topic outage
kafka_kill9 "$dir/broker"
run outage process 6000 6000 90000
sleep 2
kafka_start "$dir/broker" || exit 1 # returns when it serves
began=$(date +%s)
check "outage: the load ends" ended
check "outage: caught up within 20 s" [ $(($(date +%s) - began)) -le 20 ]
judge outage

# The gateway is killed with requests open; its next start ends them and sends what is missing: as in tests/e2e/ledger.py, faster.
if [ -n "${SLUICE_LONG:-}" ]; then
    topic killed
    run killed process 100000 2000 0
    sleep 1.5
    kill -9 "$load_pid"
    ended
    run killed process 0 1 20000
    check "killed: the next start" ended
    judge killed
fi

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

# Certificates of both sides; passwords, which Debian's librdkafka can use with Kafka 3.9 and not with 4: --check --probe says so.
mtls() { # TLS-DIR: sets props
    props=(security.protocol=ssl "ssl.ca.location=$1/ca.pem" "ssl.certificate.location=$1/client.crt" "ssl.key.location=$1/client.key")
}
scram() {
    props=(security.protocol=sasl_ssl "ssl.ca.location=$1/ca.pem" sasl.mechanisms=SCRAM-SHA-512 sasl.username=gw
        "sasl.password=$(cat "$1/password")")
}
secure() { # NAME BROKERS BROKER-DIR: with props
    KAFKA_BROKERS=$2
    run "$1" disk 200 1000 8000 "${props[@]}"
    check "$1: the load ends" ended
    judge "$1" "$3"
}
probe() { # NAME BROKERS TOPIC WORDS: what `serve --check --probe` says with props
    local p
    {
        echo "state_dir: $dir/state"
        echo "listen: { gateway: 127.0.0.1:0 }"
        echo "targets: { a: { kind: openai, base_url: 'http://127.0.0.1:9/v1', zone: private } }"
        echo "routes: [{ model: '*', to: a }]"
        echo "audit: { spool: $dir/state/spool, kafka: { brokers: '$2', topic: $3, properties: {"
        for p in "${props[@]}"; do echo "  ${p%%=*}: '${p#*=}',"; done
        echo "} } }"
    } >"$dir/$1.yaml"
    "$sluice" serve --check --probe -c "$dir/$1.yaml" >"$dir/$1.probe" 2>&1
    check "$1: the probe says: $4" grep -q -- "$4" "$dir/$1.probe"
}
old_library=$([ "$(dpkg-query -Wf '${Version}' librdkafka1 2>/dev/null | cut -d- -f1)" = 2.0.2 ] && echo yes)
props=()
probe missing "$KAFKA_BROKERS" not-there "topic not-there is not there yet: the gateway makes it"
mtls "$dir/broker/tls"
secure mtls "$KAFKA_MTLS" broker
probe mtls "$KAFKA_MTLS" mtls "topic mtls with 1 partitions"
if [ "$old_library" = yes ]; then
    scram "$dir/broker/tls"
    probe scram "$KAFKA_SCRAM" mtls "use mTLS, or librdkafka 2.6.1 or newer"
fi
kafka_version=3.9.2 kafka_cache=${kafka_cache%/*}/3.9.2
kafka_kill9 "$dir/broker"
kafka_certs "$dir/old" && kafka_start "$dir/old" || { failed=$((failed + 1)); exit 1; }
scram "$dir/old/tls"
secure scram-39 "$KAFKA_SCRAM" old
[ "$old_library" != yes ] || probe scram-39 "$KAFKA_SCRAM" scram-39 "SCRAM of this librdkafka works with Kafka 3.9 only"
mtls "$dir/old/tls"
secure mtls-39 "$KAFKA_MTLS" old
