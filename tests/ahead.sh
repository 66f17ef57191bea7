#!/bin/bash
# Compiles in the background what later stages need, with what processors the tests of now leave idle.
# usage: tests/ahead.sh begin NAME=COMMAND...   returns at once; the commands run one after the other, at the lowest priority
#        tests/ahead.sh wait NAME               returns when that command has ended; what failed, its stage makes again and tells
cd "$(dirname "$0")/.." || exit 1
dir=build/ahead
case $1 in
begin)
    mkdir -p "$dir"
    locks=()
    for job in "${@:2}"; do # all are held before this returns
        exec {lock}>"$dir/${job%%=*}.lock"
        flock "$lock"
        locks+=("$lock")
    done
    (
        for job in "${@:2}"; do
            nice -n 19 bash -c "${job#*=}" >"$dir/${job%%=*}.log" 2>&1
            exec {locks[0]}>&-
            locks=("${locks[@]:1}")
        done
    ) </dev/null >/dev/null 2>&1 &
    ;;
wait) flock "$dir/$2.lock" true ;;
esac
