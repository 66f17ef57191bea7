#!/bin/bash
# The engine beside the memory bandwidth of the moment, and beside llama.cpp where its Python package is installed in the cache
# (PEERS=1 installs it: it compiles for some minutes). usage: tests/bench/engine.sh BUILD-DIR CACHE-DIR MODEL
set -eu
build=$1 cache=$2 model=$3
here=$(dirname "$0")
mkdir -p "$cache"
random=$cache/qwen3-0.6b-q4_0.gguf
[ -f "$random" ] || python3 "$here/make_model.py" "$random"
threads=$(nproc)
venv=$cache/llama
if [ "${PEERS:-0}" = 1 ] && [ ! -x "$venv/bin/python" ]; then
    python3 -m venv "$venv"
    CMAKE_BUILD_PARALLEL_LEVEL=$threads CMAKE_ARGS="-DGGML_NATIVE=ON" "$venv/bin/pip" install -q llama-cpp-python==0.3.36
fi
"$build/tests/bench/bench_kernels" 2>/dev/null || true
# Alternating runs: machines differ from minute to minute.
for file in "$model" "$random"; do
    for round in 1 2 3; do
        echo "sluice    $(basename "$file") $("$build/sluice" models bench "$file" --threads "$threads" --prompt 512 --decode 128 --json)"
        [ ! -x "$venv/bin/python" ] || echo "llama.cpp $(basename "$file") $("$venv/bin/python" "$here/peer_llama.py" "$file" "$threads" 2>/dev/null)"
    done
done
