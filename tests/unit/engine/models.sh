#!/bin/sh
# Writes the tiny random models that golden.jsonl speaks of into a folder, once.
# usage: models.sh GENERATOR FOLDER
# Needs python3; numpy is installed into a virtual environment inside the folder when it is missing.
# Exit status 0: all there; 77: cannot be made here (the reason is printed); else: an error.
set -eu
gen=$1 dir=$2
[ -r "$gen" ] || gen=shared/models/gen_models.py # in the tree, on a machine that has nothing beside it
[ -r "$gen" ] || [ ! -e "$dir/all" ] || exit 0   # or the models were brought themselves
[ -r "$gen" ] || { echo "no $gen"; exit 77; }
mkdir -p "$dir"
exec 9>"$dir/lock"
flock 9
[ ! -e "$dir/all" ] || [ ! -e "$dir/wide" ] || exit 0
command -v python3 >/dev/null || { echo "no python3"; exit 77; }
py=python3
if ! $py -c 'import numpy' 2>/dev/null; then
    py=$dir/venv/bin/python
    if ! { [ -x "$py" ] && "$py" -c 'import numpy' 2>/dev/null; }; then
        { python3 -m venv "$dir/venv" && "$py" -m pip install -q numpy; } >"$dir/venv.log" 2>&1 ||
            { echo "numpy is missing and cannot be installed"; exit 77; }
    fi
fi
# For several GPUs: two KV heads or four, and columns that can be shared in blocks of 256.
wide() { # NAME PRESET OPTIONS
    name=$1 preset=$2
    shift 2
    for t in Q8_0 Q4_K_M; do
        $py "$gen" --preset tiny-$preset --type $t --exact "$@" -o "$dir/wide-$name-$t.gguf" 2>/dev/null
    done
}
if [ ! -e "$dir/wide" ]; then
    wide llama3 llama3 --layers 1 --d 1024 --ff 1024 --heads 8 --kv 4
    wide mistral mistral --d 512 --ff 1024 --heads 8 --kv 2
    wide gemma3 gemma3 --kv 2
    : >"$dir/wide"
fi
[ ! -e "$dir/all" ] || exit 0
for p in llama llama3 mistral qwen2 qwen3 phi3 gemma2 gemma3 mixtral qwen3moe bert; do
    for t in F32 F16 Q8_0 Q4_0 Q4_K_M; do
        $py "$gen" --preset tiny-$p --type $t --exact -o "$dir/tiny-$p-$t.gguf" 2>/dev/null
    done
done
for t in BF16 Q4_1 Q5_0 Q5_1 Q2_K Q3_K Q4_K Q5_K Q6_K IQ4_NL IQ4_XS MXFP4; do
    $py "$gen" --preset tiny-llama --type $t -o "$dir/tiny-llama-$t.gguf" 2>/dev/null
done
: >"$dir/all"
