"""What the model in the process can be besides a chat model: a reranker, a model with adapters, a model that somebody vouches for.
The real binary, a small cross-encoder and a LoRA adapter that this file makes.

usage: tests/e2e/local_models.py BUILD-DIR CACHE-DIR MODEL
parts.py calls main() as one of its parts."""
import http.client
import json
import os
import random
import re
import shutil
import struct
import subprocess
import tempfile
import threading

from world import BUILD, MODEL, PATIENCE, SECRET, World, check, finish, wait_for

WORDS = "a the to of in is cat dog sat ran on mat barks sun moon rises sets river flows sea who what where .".split()
EMBD, LAYERS, FF, POSITIONS = 32, 2, 64, 64
CHAT_EMBD, CHAT_LAYERS, RANK = 576, 30, 4  # of the default model


def write_safetensors(path, tensors):
    """tensors: name -> (shape, numbers); float32."""
    head, data = {}, b""
    for name, (shape, numbers) in tensors.items():
        raw = struct.pack(f"<{len(numbers)}f", *numbers)
        head[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(head).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + data)


def make_ranker(folder):
    """A random cross-encoder with a vocabulary of its own."""
    rnd = random.Random(7)
    vocab = {piece: i for i, piece in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]"] + WORDS)}
    tensors = {}

    def add(name, *shape, middle=0.0, size=1.0):
        n = 1
        for d in shape:
            n *= d
        tensors[name] = (list(shape), [middle + size * rnd.uniform(-1, 1) for _ in range(n)])

    def linear(stem, rows, cols):
        add(stem + ".weight", rows, cols, size=2 / cols ** 0.5)
        add(stem + ".bias", rows, size=0.3)

    def norm(stem):
        add(stem + ".weight", EMBD, middle=1, size=0.3)
        add(stem + ".bias", EMBD, size=0.3)

    for name, rows in (("word", len(vocab)), ("position", POSITIONS), ("token_type", 2)):
        add(f"bert.embeddings.{name}_embeddings.weight", rows, EMBD)
    norm("bert.embeddings.LayerNorm")
    for i in range(LAYERS):
        at = f"bert.encoder.layer.{i}."
        for name in ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"):
            linear(at + name, EMBD, EMBD)
        linear(at + "intermediate.dense", FF, EMBD)
        linear(at + "output.dense", EMBD, FF)
        norm(at + "attention.output.LayerNorm")
        norm(at + "output.LayerNorm")
    linear("bert.pooler.dense", EMBD, EMBD)
    linear("classifier", 1, EMBD)
    os.mkdir(folder)
    write_safetensors(folder + "/model.safetensors", tensors)
    with open(folder + "/config.json", "w") as f:
        json.dump({"architectures": ["BertForSequenceClassification"], "model_type": "bert", "hidden_act": "gelu", "hidden_size": EMBD, "num_attention_heads": 2,
                   "num_hidden_layers": LAYERS, "intermediate_size": FF, "max_position_embeddings": POSITIONS, "type_vocab_size": 2, "vocab_size": len(vocab),
                   "layer_norm_eps": 1e-12}, f)
    with open(folder + "/tokenizer.json", "w") as f:
        json.dump({"normalizer": {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None, "lowercase": True},
                   "pre_tokenizer": {"type": "BertPreTokenizer"},
                   "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100, "vocab": vocab}}, f)


def make_adapter(folder, seed):
    """A LoRA adapter of the default model as PEFT writes it: strong enough that every answer is another one."""
    rnd = random.Random(seed)
    tensors = {}
    for i in range(CHAT_LAYERS):
        at = f"base_model.model.model.layers.{i}.self_attn.o_proj.lora_"
        tensors[at + "A.weight"] = ([RANK, CHAT_EMBD], [rnd.gauss(0, 0.2) for _ in range(RANK * CHAT_EMBD)])
        tensors[at + "B.weight"] = ([CHAT_EMBD, RANK], [rnd.gauss(0, 0.2) for _ in range(RANK * CHAT_EMBD)])
    os.mkdir(folder)
    write_safetensors(folder + "/adapter_model.safetensors", tensors)
    with open(folder + "/adapter_config.json", "w") as f:
        json.dump({"peft_type": "LORA", "r": RANK, "lora_alpha": 2 * RANK, "target_modules": ["o_proj"], "bias": "none"}, f)


def write_config(w, targets, extra=""):
    with open(w.path("sluice.yaml"), "w") as f:
        f.write(f"""
state_dir: {w.path('state')}
listen: {{ gateway: 127.0.0.1:{w.port}, proxy: off, admin: 127.0.0.1:{w.admin} }}
workers: 2
targets: {{ {targets} }}
policy: [{{ name: secrets, when: {{ class: secret }}, then: block }}]
audit: {{ spool: {w.path('spool')} }}
{extra}""")


def call(w, key, method, path, body=None):
    c = http.client.HTTPConnection("127.0.0.1", w.port, timeout=60 * PATIENCE)
    c.request(method, path, None if body is None else json.dumps(body), {"Authorization": "Bearer " + key, "Content-Type": "application/json"})
    r = c.getresponse()
    text = r.read()
    return r.status, json.loads(text)


# ---- reranking ------------------------------------------------------------------------------------

DOCS = ["the cat sat on the mat .", "the sun rises .", "a dog barks .", "the river flows to the sea ."]


def test_rerank(w, key):
    def rerank(**more):
        return call(w, key, "POST", "/v1/rerank", {"model": "ranker", "query": "who sat on the mat", "documents": DOCS, **more})

    status, got = rerank()
    scores = [r["relevance_score"] for r in got["results"]] if check(status == 200, "a reranker answers", got) else []
    check(scores == sorted(scores, reverse=True) and len(set(scores)) == 4 and all(0 < s < 1 for s in scores), "scores fall, each from 0 to 1", scores)
    check(sorted(r["index"] for r in got["results"]) == [0, 1, 2, 3] and all("document" not in r for r in got["results"]), "each document once, by its place", got)
    by_index = {r["index"]: r["relevance_score"] for r in got["results"]}
    status, top = rerank(top_n=2, return_documents=True)
    check(status == 200 and [r["index"] for r in top["results"]] == [r["index"] for r in got["results"]][:2] and
          all(r["document"]["text"] == DOCS[r["index"]] for r in top["results"]), "the best two, with their texts", top)
    status, turned = rerank(documents=[{"text": d} for d in DOCS[::-1]])
    check(status == 200 and all(r["relevance_score"] == by_index[3 - r["index"]] for r in turned["results"]),
          "a score depends on query and document alone, also of objects with a text", turned)
    status, got = rerank(documents=DOCS[:1] + ["the " * 80])
    check(status == 400 and "1" in got["error"]["message"], "a document that does not fit is named by its index", (status, got))
    for more, param in (({"documents": []}, "documents"), ({"documents": "the sea"}, "documents"), ({"documents": ["a", ""]}, "documents"), ({"query": ""}, "query"), ({"top_n": 0}, "top_n")):
        status, got = rerank(**more)
        check(status == 400 and (got["error"]["code"], got["error"]["param"]) == ("invalid_value", param) and got["error"]["message"].startswith(param + " "),
              f"a wrong {param} is named as a wrong value", (more, status, got))
    status, got = rerank(rank_fields=["text"])
    check(status == 400 and (got["error"]["code"], got["error"]["param"]) == ("unsupported_parameter", "rank_fields"), "what is not built in is named, too", (status, got))
    status, got = rerank(documents=["the sea", f"the key is {SECRET} ."])
    check(status == 403 and "/documents/1" in json.dumps(got) and SECRET not in json.dumps(got), "a secret in a document is found, and named by its place", (status, got))
    status, got = call(w, key, "POST", "/v1/rerank", {"model": "local", "query": "a", "documents": ["b"]})
    check(status == 404, "a chat model ranks nothing", (status, got))
    ends = lambda: [r["unmapped"] for r in w.spool_records() if r["metadata"]["event_code"] == "ai.request.completed"]
    wait_for("every rerank is on record", lambda: len(ends()) >= 12)


# ---- adapters -------------------------------------------------------------------------------------

def test_adapters(w, key):
    def say(model, **more):
        status, got = call(w, key, "POST", "/v1/chat/completions", {
            "model": model, "temperature": 0, "max_tokens": 12, "messages": [{"role": "user", "content": "Name the largest planet of the sun."}], **more})
        return got["choices"][0]["message"]["content"] if status == 200 else (status, got)

    plain, first, second = say("local"), say("first"), say("local:second")
    check(isinstance(plain, str) and isinstance(first, str) and isinstance(second, str) and len({plain, first, second}) == 3,
          "each adapter makes another model of it", (plain, first, second))
    check(say("local:first") == first and say("second") == second, "an adapter has its own name and one behind the target's")
    refused = say("local:third")
    check(isinstance(refused, tuple) and refused[0] in (400, 404), "an adapter that is not there is refused", refused)
    status, got = call(w, key, "GET", "/v1/models")
    check(status == 200 and {"first", "second"} <= {re.sub(".*:", "", m["id"]) for m in got["data"]}, "GET /v1/models lists them", got)
    want, got = {"local": plain, "first": first, "second": second}, []
    ts = [threading.Thread(target=lambda m=m: got.append((m, say(m)))) for m in list(want) * 3]
    [t.start() for t in ts]
    [t.join() for t in ts]
    check(len(got) == 9 and all(text == want[m] for m, text in got), "in one batch each says what it says alone", got)
    codes = lambda: " ".join(json.dumps(r) for r in w.spool_records() if r["metadata"]["event_code"] == "ai.request.completed")
    wait_for("records name the adapter", lambda: "local:first" in codes() and "local:second" in codes())


def test_batches(w):
    """/metrics says how large the steps were that the nine requests took together."""
    text = w.admin_get("/metrics")[1]

    def value(name):
        found = re.search(rf"^sluice_engine_batch_{re.escape(name)} (\d+)$", text, re.M)
        return int(found[1]) if found else -1

    for what in ("requests", "tokens"):
        steps = [value(f'{what}_bucket{{target="local",le="{1 << i}"}}') for i in range(12)]
        n, total = value(f'{what}_count{{target="local"}}'), value(f'{what}_sum{{target="local"}}')
        check(0 < n <= total and -1 not in steps and steps == sorted(steps) and steps[-1] == n == value(f'{what}_bucket{{target="local",le="+Inf"}}'),
              f"metrics have a histogram of {what} a step", (steps, n, total))
        if what == "requests":
            check(steps[0] < n, "and some step had several requests", steps)


# ---- manifests ------------------------------------------------------------------------------------

def refuses(w, *words):
    r = subprocess.run([BUILD + "/sluice", "serve", "-c", w.path("sluice.yaml")], capture_output=True, text=True, timeout=60 * PATIENCE)
    return r.returncode != 0 and all(word in r.stdout + r.stderr for word in words), r.stdout + r.stderr


def test_signed(w):
    target = f"ranker: {{ kind: engine, model: '{w.path('ranker')}', models: [ranker], zone: process }}"
    write_config(w, target, "models: { require_signed: true, trusted_keys: ['" + "0" * 64 + "'] }")
    ok, text = refuses(w, "ranker")
    check(ok, "an unsigned model is refused where signatures are required", text)
    out = w.sluice("models", "sign", w.path("ranker"), "--key", w.path("release.key"), "--new-key", "--source", "https://example.com/ranker")
    public = re.search(r"signed by ([0-9a-f]{64})", out)
    if not check(public, "models sign prints the public key", out):
        return
    ok, text = refuses(w, "ranker")
    check(ok, "an unsigned model is refused where signatures are required", text)
    write_config(w, target, f"models: {{ require_signed: true, trusted_keys: ['{public[1]}'] }}")
    key = w.new_key("signed")
    w.start()
    if check(w.gateway.poll() is None, "a gateway whose model is signed starts", open(w.path("gateway.log")).read()[-600:]):
        status, got = call(w, key, "POST", "/v1/rerank", {"model": "ranker", "query": "a cat", "documents": DOCS})
        check(status == 200, "a model that a trusted key signed is opened", got)
        ends = lambda: [r["unmapped"] for r in w.spool_records() if r["metadata"]["event_code"] == "ai.request.completed"]
        wait_for("its records name the signer", lambda: any(public[1] in json.dumps(e) for e in ends()))
    w.stop()
    path = w.path("ranker", "model.safetensors")
    with open(path, "r+b") as f:
        f.seek(-1, os.SEEK_END)
        last = f.read(1)
        f.seek(-1, os.SEEK_END)
        f.write(bytes([last[0] ^ 1]))
    ok, text = refuses(w, "ranker")
    check(ok, "a model whose last byte changed since is refused", text)
    r = subprocess.run([BUILD + "/sluice", "models", "verify", w.path("ranker")], capture_output=True, text=True)
    check(r.returncode != 0, "and models verify says so", r.stdout + r.stderr)


def main():
    w = World(tempfile.mkdtemp(prefix="sluice-local-models-"))
    try:
        make_ranker(w.path("ranker"))
        make_adapter(w.path("first"), 1)
        make_adapter(w.path("second"), 2)
        write_config(w, f"ranker: {{ kind: engine, model: '{w.path('ranker')}', models: [ranker], zone: process }}, local: {{ kind: engine, model: '{MODEL}', zone: process, "
                        f"models: [local], adapters: {{ first: '{w.path('first')}', second: '{w.path('second')}' }} }}")
        key = w.new_key("tester")
        if w.start():
            test_rerank(w, key)
            test_adapters(w, key)
            test_batches(w)
        w.stop()
        test_signed(w)
    finally:
        w.end()
        shutil.rmtree(w.dir, ignore_errors=True)


if __name__ == "__main__":
    main()
    finish()
