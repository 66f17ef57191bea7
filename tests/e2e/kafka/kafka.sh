# tests/e2e/kafka/kafka.sh - a real Apache Kafka broker for tests, as shell functions. Source it.
#
#   kafka_need                     0 when java, mvn (or filled cache) and kcat are there, else says what is missing
#   kafka_fetch                    jars into the cache, once; later without the network
#   kafka_certs DIR                before the first start: certificates in DIR/tls, and with them two more listeners
#   kafka_start DIR [PORT]         formats a new DIR, starts, returns when the broker serves; sets KAFKA_BROKERS and, with
#                                  certificates, KAFKA_SCRAM (SASL_SSL, SCRAM-SHA-512, user gw) and KAFKA_MTLS
#   kafka_topic DIR NAME [K=V...]  creates a topic with one partition
#   kafka_kill9 DIR | kafka_stop DIR | kafka_restart DIR | kafka_pause DIR | kafka_resume DIR
#   kafka_consume DIR TOPIC        prints every record so far, a line each: KEY <tab> HEADERS <tab> VALUE
#
# One node is broker and controller (KRaft) on loopback. Packages: openjdk-17-jre-headless, maven, kcat.
# SLUICE_KAFKA_VERSION takes another version than pom.xml's. The cache is
# $SLUICE_KAFKA_CACHE, else ${XDG_CACHE_HOME:-~/.cache}/sluice-kafka: 45 jars, 44 MB a version.

kafka_here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
kafka_version=${SLUICE_KAFKA_VERSION:-$(sed -n 's:.*<kafka.version>\(.*\)</kafka.version>.*:\1:p' "$kafka_here/pom.xml")}
kafka_scram_password=gw-$$ # of this test run
kafka_cache=${SLUICE_KAFKA_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/sluice-kafka}/$kafka_version

kafka_say() { echo "kafka: $*" >&2; }

kafka_need() {
    local missing=
    command -v java >/dev/null || missing="$missing openjdk-17-jre-headless"
    [ -f "$kafka_cache/complete" ] || command -v mvn >/dev/null || missing="$missing maven"
    command -v kcat >/dev/null || missing="$missing kcat"
    [ -z "$missing" ] && return 0
    kafka_say "missing packages:$missing"
    return 1
}

kafka_fetch() {
    local tmp
    [ -f "$kafka_cache/complete" ] && return 0
    mkdir -p "${kafka_cache%/*}" || return 1
    tmp=$(mktemp -d "${kafka_cache%/*}/fetch.XXXXXX") || return 1
    if ! mvn -B -q -ntp -f "$kafka_here/pom.xml" "-Dkafka.version=$kafka_version" dependency:copy-dependencies \
        -DincludeScope=runtime "-DoutputDirectory=$tmp" >&2; then
        rm -rf "$tmp"
        kafka_say "cannot fetch the jars: Maven needs its repository once"
        return 1
    fi
    touch "$tmp/complete"
    mv -T "$tmp" "$kafka_cache" 2>/dev/null || rm -rf "$tmp" # somebody else was faster
}

# kafka_java HEAP MAIN ARGS...: replaces the shell, so that the caller's pid is the JVM's.
# One compiler tier: starts in half the time, and tests are short.
kafka_java() {
    local heap=$1 jars
    shift
    jars=$(printf '%s:' "$kafka_cache"/*.jar)
    exec java "-Xmx$heap" -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:-UsePerfData \
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=${KAFKA_LOG:-info}" \
        -Dorg.slf4j.simpleLogger.log.org.apache.kafka.common.config=warn -cp "$jars" "$@"
}

kafka_certs() { # DIR
    local ec=(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -sha256) name tls=$1/tls
    mkdir -p "$tls" || return 1
    openssl req -x509 "${ec[@]}" -days 3 -subj "/CN=test CA" -keyout "$tls/ca.key" -out "$tls/ca.pem" 2>/dev/null
    for name in server client; do
        openssl req "${ec[@]}" -subj "/CN=$name" -keyout "$tls/$name.key" -out "$tls/$name.csr" 2>/dev/null
        openssl x509 -req -in "$tls/$name.csr" -CA "$tls/ca.pem" -CAkey "$tls/ca.key" -CAcreateserial -days 3 -sha256 \
            -out "$tls/$name.crt" -extfile <(echo "subjectAltName=DNS:localhost,IP:127.0.0.1") 2>/dev/null
        cat "$tls/$name.key" "$tls/$name.crt" >"$tls/$name.pem" # what ssl.keystore.location wants
    done
    [ -s "$tls/client.pem" ] && echo "$kafka_scram_password" >"$tls/password"
}

kafka_properties() { # DIR PORT
    local more='' map=''
    if [ -f "$1/tls/server.pem" ]; then
        more=",SCRAM://127.0.0.1:$(($2 + 2)),MTLS://127.0.0.1:$(($2 + 3))"
        map=,SCRAM:SASL_SSL,MTLS:SSL
        cat <<EOF
ssl.keystore.type=PEM
ssl.keystore.location=$1/tls/server.pem
ssl.truststore.type=PEM
ssl.truststore.location=$1/tls/ca.pem
listener.name.scram.sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.scram.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.mtls.ssl.client.auth=required
EOF
    fi
    cat <<EOF
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$(($2 + 1))
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:$2,CONTROLLER://127.0.0.1:$(($2 + 1))$more
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT$map
log.dirs=$1/data
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
num.network.threads=1
num.io.threads=2
log.cleaner.dedupe.buffer.size=2097152
auto.create.topics.enable=false
broker.heartbeat.interval.ms=200
broker.session.timeout.ms=1000
group.initial.rebalance.delay.ms=0
EOF
    [ ! -f "$1/extra.properties" ] || cat "$1/extra.properties"
}

kafka_pid() { # DIR: the pid, if that process is this broker and lives
    local pid
    pid=$(cat "$1/pid" 2>/dev/null) || return 1
    grep -qsF "$1/server.properties" "/proc/$pid/cmdline" && echo "$pid"
}

# Four free neighbours below the range of outgoing connections, which could take one away in between.
kafka_free_port() {
    local p n i
    for n in $(seq 50); do
        p=$((20000 + (RANDOM * 4) % 10000))
        for i in 0 1 2 3; do
            (exec 3<>"/dev/tcp/127.0.0.1/$((p + i))") 2>/dev/null && continue 2
        done
        echo "$p"
        return 0
    done
    return 1
}

kafka_start() { # DIR [PORT]
    local dir=$1 port pid n scram=()
    mkdir -p "$dir" && kafka_fetch || return 1
    port=${2:-$(cat "$dir/port" 2>/dev/null || kafka_free_port)}
    echo "$port" >"$dir/port"
    KAFKA_BROKERS=127.0.0.1:$port
    KAFKA_SCRAM=127.0.0.1:$((port + 2)) KAFKA_MTLS=127.0.0.1:$((port + 3)) # for whoever sources this
    export KAFKA_SCRAM KAFKA_MTLS
    kafka_pid "$dir" >/dev/null && return 0
    kafka_properties "$dir" "$port" >"$dir/server.properties"
    if [ ! -f "$dir/data/meta.properties" ]; then
        [ ! -f "$dir/tls/password" ] ||
            scram=(--add-scram "SCRAM-SHA-512=[name=gw,password=$(cat "$dir/tls/password")]")
        (kafka_java 128m kafka.tools.StorageTool format -t c2x1aWNlLXRlc3Qta2Fmaw \
            -c "$dir/server.properties" ${scram[@]+"${scram[@]}"}) >"$dir/format.log" 2>&1 ||
            { kafka_say "format failed: $(tail -n 3 "$dir/format.log")"; return 1; }
    fi
    : >"$dir/broker.log"
    (kafka_java 256m kafka.Kafka "$dir/server.properties") </dev/null >"$dir/broker.log" 2>&1 &
    pid=$!
    echo "$pid" >"$dir/pid"
    for ((n = 0; n < 1200; n++)); do # one minute
        grep -qs 'Kafka Server started' "$dir/broker.log" && return 0
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.05
    done
    kafka_say "did not start: $(tail -n 3 "$dir/broker.log")"
    return 1
}

kafka_signal() { # DIR SIGNAL, and wait for the end
    local pid n
    pid=$(kafka_pid "$1") || return 0
    kill -CONT "$pid"
    kill "-$2" "$pid"
    for ((n = 0; n < 600; n++)); do
        kafka_pid "$1" >/dev/null || break
        sleep 0.05
    done
    wait "$pid" 2>/dev/null # when it is a child of this shell
    rm -f "$1/pid"
}
kafka_stop() { kafka_signal "$1" TERM; }
kafka_kill9() { kafka_signal "$1" KILL; }
kafka_restart() { kafka_stop "$1" && kafka_start "$1"; }
kafka_pause() { kill -STOP "$(kafka_pid "$1")"; }
kafka_resume() { kill -CONT "$(kafka_pid "$1")"; }

kafka_topic() { # DIR NAME [KEY=VALUE...]
    local dir=$1 name=$2 kv args=()
    shift 2
    for kv in "$@"; do args+=(--config "$kv"); done
    (KAFKA_LOG=error kafka_java 128m org.apache.kafka.tools.TopicCommand \
        --bootstrap-server "127.0.0.1:$(cat "$dir/port")" --create --topic "$name" --partitions 1 \
        ${args[@]+"${args[@]}"}) >&2
}

kafka_consume() { # DIR TOPIC
    kcat -q -C -e -b "127.0.0.1:$(cat "$1/port")" -t "$2" -o beginning -X api.version.request=true \
        -f '%k\t%h\t%s\n'
}
