#!/bin/sh
# `make demo`: the gateway with a mock provider as the approved API. Everything lives in DIR and can be deleted.
# usage: packaging/demo.sh BUILD-DIR DIR MODEL
set -eu
bin=$1 dir=$2 model=$3
mkdir -p "$dir"
dir=$(cd "$dir" && pwd) model=$(realpath "$model")

# The mock's certificate, for the name it stands in for.
if [ ! -f "$dir/provider.pem" ]; then
    ec="-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -sha256"
    # shellcheck disable=SC2086 # options
    openssl req -x509 $ec -days 365 -subj "/CN=Demo provider CA" -keyout "$dir/provider-ca.key" -out "$dir/provider-ca.pem" 2>/dev/null
    # shellcheck disable=SC2086
    openssl req $ec -subj "/CN=api.openai.com" -keyout "$dir/provider-tls.key" -out "$dir/provider.csr" 2>/dev/null
    printf 'subjectAltName=DNS:api.openai.com' >"$dir/provider.ext"
    openssl x509 -req -in "$dir/provider.csr" -CA "$dir/provider-ca.pem" -CAkey "$dir/provider-ca.key" -CAcreateserial \
        -days 365 -extfile "$dir/provider.ext" -out "$dir/provider.pem" 2>/dev/null
fi
umask 077
echo demo-provider-key >"$dir/provider.key"
sed -e "s|@DIR@|$dir|g" -e "s|@MODEL@|$model|g" packaging/demo.yaml >"$dir/sluice.yaml"
[ -f "$dir/state/ca/ca.pem" ] || { mkdir -p "$dir/state" && "$bin/sluice" ca init -c "$dir/sluice.yaml" >/dev/null; }
if [ ! -s "$dir/key" ]; then
    "$bin/sluice" keys create -c "$dir/sluice.yaml" --name demo 2>/dev/null | grep -o 'slk_[0-9A-Za-z]*' | head -n 1 >"$dir/key"
fi

cat >"$dir/env" <<EOF
export OPENAI_BASE_URL=http://127.0.0.1:8080/v1 OPENAI_API_KEY=$(cat "$dir/key")
# ask MODEL PROMPT: one chat request; prints what the gateway says of it, and the answer's text.
ask() {
    { curl -s -D- "\$OPENAI_BASE_URL/chat/completions" -H "Authorization: Bearer \$OPENAI_API_KEY" \\
        -H 'Content-Type: application/json' \\
        -d "{\"model\":\"\$1\",\"temperature\":0,\"messages\":[{\"role\":\"user\",\"content\":\"\$2\"}]}"; echo; } |
        tr -d '\r' | sed -n -e '/^x-sluice-\(route\|action\|reason\)/p' -e 's/.*"content":\("[^"]*"\).*/\1/p'
}
EOF
"$bin/mock-provider" --port 9100 --tls-port 9443 --cert "$dir/provider.pem" --key "$dir/provider-tls.key" \
    --log "$dir/provider.log" >"$dir/mock.out" 2>&1 &
mock=$!
trap 'kill $mock 2>/dev/null || true' EXIT
trap 'kill -TERM $gateway 2>/dev/null || true' INT TERM
echo "The gateway serves on http://127.0.0.1:8080/v1, the proxy port is 127.0.0.1:3128. In a second terminal, here:"
echo "  . ${dir#"$PWD"/}/env"
echo "and go on with the README's first session. Control-C ends both."
"$bin/sluice" serve -c "$dir/sluice.yaml" &
gateway=$!
while kill -0 "$gateway" 2>/dev/null; do wait "$gateway" || true; done
