#!/bin/sh
# Installs what is missing, and nothing else: packaging/deps.sh build|test|lint|bench|gpu...
# On Debian 12 and Ubuntu 24.04 with apt (through sudo when not root); elsewhere it prints the list and stops.
# What is there already, from whatever source, is left alone, so a second run needs no network.
# packaging/deps.sh --list GROUP...: prints what is missing, and installs nothing.
set -eu

missing=""
need() { missing="$missing $*"; }
# A program on the PATH, and the package that brings it.
program() { command -v "$1" >/dev/null 2>&1 || need "$2"; }
# A library with a pkg-config file.
library() { pkg-config --exists "$1" 2>/dev/null || need "$2"; }

build() {
    program gcc gcc
    program make make
    program pkg-config pkg-config
    program re2c re2c
    program python3 python3
    python3 -m pip --version >/dev/null 2>&1 || need python3-pip
    [ -f /usr/include/stdlib.h ] || need libc6-dev
    library libevent_openssl libevent-dev
    library libcrypto libssl-dev
    library rdkafka librdkafka-dev
    library yaml-0.1 libyaml-dev
    library sqlite3 libsqlite3-dev
    library hiredis libhiredis-dev
    library libcurl libcurl4-openssl-dev
    library zlib zlib1g-dev
    [ -f /etc/ssl/certs/ca-certificates.crt ] || need ca-certificates
    program openssl openssl
    program curl curl
}

test_() {
    build
    python3 -c 'import ensurepip, venv' 2>/dev/null || need python3-venv
    program npm "nodejs npm"
    program java openjdk-17-jre-headless
    program mvn maven
    program kcat kcat
    program redis-server redis-server
    program clang clang
    program g++ g++ # the CUDA kernels on an emulated device
    # The runtime of the sanitizers belongs to clang's version.
    version=$(clang --version 2>/dev/null | sed -n 's/.*version \([0-9]*\).*/\1/p' | head -n 1)
    [ -n "$version" ] || version=$(apt-cache show clang 2>/dev/null | sed -n 's/^Depends:.*clang-\([0-9]*\).*/\1/p' | head -n 1)
    find /usr/lib/llvm-"${version:-0}"/lib/clang -name 'libclang_rt.fuzzer-x86_64.a' 2>/dev/null | grep -q . ||
        need "libclang-rt-${version:-14}-dev"
}

lint() {
    program clang-format clang-format
    program clang-tidy clang-tidy
    program cppcheck cppcheck
}

bench() {
    build
    [ -x /usr/sbin/nginx ] || program nginx nginx-light
    [ -x /usr/sbin/haproxy ] || program haproxy haproxy
    program taskset util-linux
    # The scanner's peers; Hyperscan and Vectorscan both bring libhs and exclude each other.
    program g++ g++
    library libhs libvectorscan-dev
    library re2 libre2-dev
    library libpcre2-8 libpcre2-dev
    # LiteLLM (PEERS=1) is installed into an environment of its own.
    python3 -c 'import ensurepip, venv' 2>/dev/null || need python3-venv
}

# The kernels, the engine and what they stand on, for a machine that only has to run them on its GPU.
gpu() {
    program gcc gcc
    program g++ g++
    program make make
    program pkg-config pkg-config
    program re2c re2c
    program python3 python3
    [ -f /usr/include/stdlib.h ] || need libc6-dev
    library libcrypto libssl-dev
    library yaml-0.1 libyaml-dev
}

install_missing() {
    if ! command -v apt-get >/dev/null 2>&1; then
        echo "This system has no apt. Install the equivalents of these Debian packages, then run make again:" >&2
        echo " $missing" >&2
        exit 1
    fi
    as_root=""
    if [ "$(id -u)" -ne 0 ]; then
        if ! command -v sudo >/dev/null 2>&1; then
            echo "These packages are missing and there is no sudo; as root run:" >&2
            echo "  apt-get install --no-install-recommends$missing" >&2
            exit 1
        fi
        as_root=sudo
    fi
    echo "installing:$missing"
    $as_root apt-get update -qq
    # shellcheck disable=SC2086 # a list of words
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
}

only_list=""
[ "${1:-}" != --list ] || { only_list=1; shift; }
[ $# -gt 0 ] || { echo "usage: packaging/deps.sh [--list] build|test|lint|bench|gpu ..." >&2; exit 2; }
collect() {
    missing=""
    for group in "$@"; do
        case $group in
        build) build ;;
        test) test_ ;;
        lint) lint ;;
        bench) bench ;;
        gpu) gpu ;;
        *) echo "packaging/deps.sh: there is no group $group" >&2; exit 2 ;;
        esac
    done
}
collect "$@"
[ -z "$only_list" ] || { echo "${missing# }"; exit 0; }
[ -z "$missing" ] || { command -v apt-get >/dev/null 2>&1 && [ -z "$(ls /var/lib/apt/lists/*Packages* 2>/dev/null)" ] &&
    [ "$(id -u)" -eq 0 ] && apt-get update -qq && collect "$@"; [ -z "$missing" ] || install_missing; }
