#!/bin/bash
# curl in every dialect, whole and streamed, and what a shell script does: uploads, queries, arrays. See sdk.py for the
# environment and the form of the output.
key=$E2E_KEY url=$E2E_URL suite=${E2E_SUITE:-curl}
text="Rotate $E2E_SECRET and tell $E2E_MAIL"

same() { echo "same $suite: $1 $2"; if [ "$2" = "$3" ]; then echo "ok   $suite: $1"; else echo "FAIL $suite: $1 ${2:0:200}"; fi; }
get() { curl -sS -N --max-time 30 "$@"; }
# The texts of a stream or a body, by jq's older cousin: Python reads the JSON.
texts() {
    python3 -c '
import json, sys
def walk(v):
    if isinstance(v, list): return "".join(map(walk, v))
    if isinstance(v, dict): return "".join(walk(x) if isinstance(x, (list, dict)) else x for k, x in v.items()
        if isinstance(x, (list, dict)) and k not in ("usage", "response", "item", "part", "metadata") or k in sys.argv[1:] and isinstance(x, str))
    return ""
body, out = sys.stdin.read(), ""
if body.startswith(("data:", "event:", ":")):
    for line in body.splitlines():
        if line.startswith("data: {"):
            d = json.loads(line[6:])
            if not d.get("type", "").endswith((".done", ".completed")): out += walk(d)
else: out = walk(json.loads(body))
print(out, end="")' "$@"
}

chat='{"model":"gpt-4o","messages":[{"role":"user","content":"'$text'"}]'
same "chat" "$(get "$url/v1/chat/completions" -H "Authorization: Bearer $key" -H 'Content-Type: application/json' -d "$chat}" | texts content)" "$text"
same "chat, streamed" "$(get "$url/v1/chat/completions" -H "Authorization: Bearer $key" -H 'Content-Type: application/json' -d "$chat,\"stream\":true}" | texts content)" "$text"
same "completions, streamed" "$(get "$url/v1/completions" -H "Authorization: Bearer $key" -H 'Content-Type: application/json' -d '{"model":"gpt-4o","stream":true,"prompt":"'"$text"'"}' | texts text)" "$text"
same "responses" "$(get "$url/v1/responses" -H "Authorization: Bearer $key" -H 'Content-Type: application/json' -d '{"model":"gpt-4o","input":"'"$text"'"}' | texts text)" "$text"
same "responses, streamed" "$(get "$url/v1/responses" -H "Authorization: Bearer $key" -H 'Content-Type: application/json' -d '{"model":"gpt-4o","stream":true,"input":"'"$text"'"}' | texts delta)" "$text"
messages='{"model":"claude-test-1","max_tokens":99,"messages":[{"role":"user","content":"'$text'"}]'
same "messages" "$(get "$url/v1/messages" -H "x-api-key: $key" -H 'anthropic-version: 2023-06-01' -H 'Content-Type: application/json' -d "$messages}" | texts text)" "$text"
same "messages, streamed" "$(get "$url/v1/messages" -H "x-api-key: $key" -H 'anthropic-version: 2023-06-01' -H 'Content-Type: application/json' -d "$messages,\"stream\":true}" | texts text)" "$text"
contents='{"contents":[{"parts":[{"text":"'$text'"}]}]}'
gemini=$url/v1beta/models/gemini-2.5-flash
same "generateContent" "$(get "$gemini:generateContent" -H "x-goog-api-key: $key" -H 'Content-Type: application/json' -d "$contents" | texts text)" "$text"
same "generateContent, key in the query" "$(get "$gemini:generateContent?key=$key" -H 'Content-Type: application/json' -d "$contents" | texts text)" "$text"
same "streamGenerateContent, SSE" "$(get "$gemini:streamGenerateContent?alt=sse" -H "x-goog-api-key: $key" -H 'Content-Type: application/json' -d "$contents" | texts text)" "$text"
same "streamGenerateContent, an array" "$(get "$gemini:streamGenerateContent" -H "x-goog-api-key: $key" -H 'Content-Type: application/json' -d "$contents" | texts text)" "$text"
same "an upload" "$(get "$url/v1/files" -H "Authorization: Bearer $key" -F purpose=assistants -F 'file=hello;filename=a.txt' | texts filename purpose)" "a.txtassistants"
same "models" "$(get -o /dev/null -w '%{http_code}' "$url/v1/models" -H "Authorization: Bearer $key")" 200
same "an unknown path" "$(get -o /dev/null -w '%{http_code}' "$url/v1/nothing-here" -H "Authorization: Bearer $key" -H 'Content-Type: application/json' -d '{}')" 404
tool='"tools":[{"type":"function","function":{"name":"note","parameters":{"type":"object"}}}]'
asked=${chat/\"content\":\"/\"content\":\"[[mock tool=1]] }
same "a tool call" "$(get "$url/v1/chat/completions" -H "Authorization: Bearer $key" -H 'Content-Type: application/json' -d "$asked,$tool}" | texts arguments)" "{\"text\":\"[[mock tool=1]] $text\"}"
format='"response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{"type":"object"}}}'
same "structured output" "$(get "$url/v1/chat/completions" -H "Authorization: Bearer $key" -H 'Content-Type: application/json' -d "$chat,$format}" | texts content)" "{\"text\":\"$text\"}"
for status in 400 401 429 503; do
    same "status $status" "$(get -o /dev/null -w '%{http_code}' "$url/v1/chat/completions" -H "Authorization: Bearer $key" -H 'Content-Type: application/json' -d "${chat/Rotate/[[mock status=$status]]}}")" $status
done
same "a retry" "$(get -f --retry 2 --retry-delay 1 "$url/v1/chat/completions" -H "Authorization: Bearer $key" -H 'Content-Type: application/json' -d "${chat/Rotate/[[mock status=503 say=fox words=2 once=${E2E_ONCE}1]]}}" | texts content)" "The quick "
get --max-time 0.3 -o /dev/null "$url/v1/chat/completions" -H "Authorization: Bearer $key" -H 'Content-Type: application/json' -d "${chat/Rotate/[[mock ttft=5000]]}}" 2>/dev/null
same "a time limit" $? 28
urls=() && for i in $(seq 200); do urls+=("$url/v1/chat/completions?n=$i" -o /dev/null); done
same "200 in parallel" "$(get -Z --parallel-max 200 -w '%{http_code}\n' "${urls[@]}" -H "Authorization: Bearer $key" -H 'Content-Type: application/json' -d "$chat}" 2>/dev/null | sort | uniq -c | tr -s ' ')" " 200 200"
same "a large body sent in chunks" "$(python3 -c 'print("{\"model\":\"gpt-4o\",\"messages\":[{\"role\":\"user\",\"content\":\"[[mock say=fox words=2]] " + "abc def " * 125000 + "\"}]}")' |
    get "$url/v1/chat/completions" -H "Authorization: Bearer $key" -H 'Content-Type: application/json' -H 'Transfer-Encoding: chunked' --data-binary @- | texts content)" "The quick "
