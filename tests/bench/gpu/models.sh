#!/bin/bash
# Tokens/s of whole models on the GPU, one request: a prompt of 512, then 128 tokens, three times each; the model as it was made (Q4_0) and written again as
# Q4_K_M. usage: tests/bench/gpu/models.sh BUILD-DIR MODEL
set -e
build=$1 model=$2 k=${2%.gguf}-q4_k_m.gguf
[ -s "$k" ] || { "$build/sluice" models quantize "$model" -o "$k.part" --type Q4_K_M && mv "$k.part" "$k"; }
for m in "$model" "$k"; do
    for _ in 1 2 3; do
        "$build/sluice" models bench "$m" --prompt "${PROMPT:-512}" --decode "${DECODE:-128}" | grep -v '^memory'
    done
done
