#!/usr/bin/env python3
"""What answers cost, usage that nobody asked for, and the exact cache: the real gateway before the mock provider.

usage: tests/e2e/costs.py BUILD-DIR CACHE-DIR MODEL
parts.py calls main() as one of its parts."""
import json
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import traceback
from decimal import ROUND_HALF_UP, Decimal

import complaints_world
from upstream import LEAVE, answer, chat_events, event, stream
from wire import DIALECTS, ENDS, ask, open_stream, post, read_until, text_of
from world import MAIL, World, check, count, finish, free_port, leave, skip, wait_for

PRICES = {"input": "3", "output": "15.5", "cached_input": "0.3", "cache_write": "3.75", "reasoning": "20.123456789"}


def world():
    w = World(tempfile.mkdtemp(prefix="sluice-costs-"))
    w.up = complaints_world.Upstream()
    w.start_mock()
    w.write_provider_keys()
    w.write_secret("other.key", "sk-" + "the-other-target\n")
    other = f"key: file:{w.path('other.key')}"
    amounts = ", ".join(f"{k}: {v}" for k, v in PRICES.items())
    with open(w.path("prices.yaml"), "w") as f:
        f.write(f"currency: EUR\ntable:\n  - {{ model: 'gpt-*', from: 2999-01-01, input: 999, output: 999 }}\n"
                f"  - {{ model: '*', target: [openai, claude, gemini, sick, late, pair], from: 2020-01-01, {amounts} }}\n")
    with open(w.path("sluice.yaml"), "w") as f:
        f.write(f"""
state_dir: {w.path('state')}
listen: {{ gateway: 127.0.0.1:{w.port}, proxy: off, admin: 127.0.0.1:{w.admin} }}
workers: 2
targets:
{w.server_targets()}
  quiet:  {{ kind: openai, base_url: http://127.0.0.1:{w.mock_http}/v1, {other}, zone: private, models: ["quiet"], usage: off }}
  inside: {{ kind: openai, base_url: http://127.0.0.1:{w.mock_http}/v1, {other}, zone: private, models: ["inside"] }}
  raw:    {{ kind: openai, base_url: http://127.0.0.1:{w.up.port}/v1, {other}, zone: approved, models: ["raw"] }}
  sick:   {{ kind: openai, base_url: http://127.0.0.1:{w.up.port}/v1, {other}, zone: approved, models: ["gpt-lost"], retries: 0,
            breaker: {{ failures: 0, error_rate: 0 }} }}
  late:   {{ kind: openai, base_url: http://127.0.0.1:{w.up.port}/v1, {other}, zone: approved, models: ["gpt-late"], retries: 0,
            timeouts: {{ first_byte: 300ms }}, breaker: {{ failures: 0, error_rate: 0 }} }}
  pair:   {{ kind: openai, endpoints: [http://127.0.0.1:{w.up.port}/v1, http://localhost:{w.up.port}/v1], {other}, zone: approved,
            models: ["gpt-pair"], hedge_after: 100ms }}
routes:
  - {{ model: quiet, to: quiet }}
  - {{ model: gpt-lost, to: [sick, openai] }}
  - {{ model: gpt-late, to: [late, openai] }}
  - {{ model: gpt-pair, to: pair }}
  - {{ model: inside, to: inside }}
  - {{ model: raw, to: raw }}
  - {{ model: "claude-*", to: claude }}
  - {{ model: "gemini-*", to: gemini }}
  - {{ model: "azure-*", to: azure }}
  - {{ model: "*", to: openai }}
policy:
  - {{ name: watched, when: {{ class: [secret, pii], user: watched }}, then: mask, on: response }}
  - {{ name: hidden,  when: {{ class: [secret, pii] }}, then: tokenize }}
prices: {{ currency: EUR, file: prices.yaml, compare: openai/gpt-4o }}
cache: {{ enabled: true, max_entry: 64KiB }}
budgets:
  - {{ name: few, per: key, match: {{ user: limited }}, tokens: 200 / day, requests: 6 / day }}
  - {{ name: some, per: key, match: {{ user: lossy }}, tokens: 100000 / day }}
audit: {{ spool: {w.path('spool')}, durability: process }}
""")
    return w


def record(w, fields):
    return complaints_world.record(w, fields)


def own(w, fields):
    return record(w, fields)["unmapped"]["sluice"]


def without_ids(raw):
    """Without what differs from answer to answer, and the mock's comments, of which it has one an event."""
    return re.sub(rb": keep-alive\n\n", b"", re.sub(rb"(mock_?|call_)\d+", rb"\1N", raw))


def cost_of(prompt, completion, cached=0, written=0, reasoning=0):
    p = {k: Decimal(v) for k, v in PRICES.items()}
    total = ((prompt - cached - written) * p["input"] + cached * p["cached_input"] + written * p["cache_write"]
             + (completion - reasoning) * p["output"] + reasoning * p["reasoning"]) / 1000000
    return total.quantize(Decimal("1e-9"), ROUND_HALF_UP)


def tokens_of(r):
    m, s = r.get("message_context", {}), r["unmapped"]["sluice"]
    return (m.get("prompt_tokens", 0), m.get("completion_tokens", 0), s.get("cached_tokens", 0), s.get("cache_write_tokens", 0),
            s.get("reasoning_tokens", 0))


def raw_record(w, fields):
    """The completed record as text: numbers as they are written."""
    record(w, fields)
    out = w.sluice("audit", "tail", "--spool", w.path("spool"), "--json", "-n", "0", "--request", fields["x-sluice-request-id"])
    return next(line for line in out.splitlines() if "ai.request.completed" in line)


# ---- usage ----------------------------------------------------------------------------------------------

def test_streams_are_as_without_asking(w):
    """Byte for byte what the provider sends to who does not ask, with a guard and without; and yet counted."""
    for dialect in ("chat", "completions"):
        for how in ("", "crlf=1", "comments=1", "noblank=1", "piece=1", "think=1 tool=2", "chunk=7"):
            text = f"[[mock {how} say=fox words=12]] hello" if how else "hello there"
            direct = ask(w.mock_http, dialect, text, "k", True)[2]
            for user in ("plain", "watched"):
                before = len(w.received())
                _, fields, raw = ask(w.port, dialect, text, w.keys[user], True, headers={"Cache-Control": "no-store"})
                if user == "plain":
                    check(without_ids(raw) == without_ids(direct), f"{dialect} {how}: the same bytes", (direct[-300:], raw[-300:]))
                else:  # a filter cuts texts into other pieces
                    check(text_of(raw, True) == text_of(direct, True) and b'"usage"' not in raw and b"[DONE]" in raw,
                          f"{dialect} {how}, filtered: the same text", (direct[-300:], raw[-300:]))
                check(b'"include_usage":true' in w.received()[before:], f"{dialect} {how} {user}: usage was asked for")
                check(tokens_of(record(w, fields))[0] > 0, f"{dialect} {how} {user}: and counted", record(w, fields))
        asked = {"stream_options": {"include_usage": True}}
        direct = ask(w.mock_http, dialect, "hello", "k", True, asked)[2]
        raw = ask(w.port, dialect, "hello", w.keys["plain"], True, asked, headers={"Cache-Control": "no-store"})[2]
        check(without_ids(raw) == without_ids(direct) and b'"usage":{' in raw, f"{dialect}: who asks gets it", raw[-300:])
        no = {"stream_options": {"include_usage": False}}
        raw = ask(w.port, dialect, "hello", w.keys["plain"], True, no, headers={"Cache-Control": "no-store"})[2]
        check(b'"usage"' not in raw, f"{dialect}: who says no gets none", raw[-300:])
    before = len(w.received())
    _, fields, raw = ask(w.port, "chat", "hello there", w.keys["plain"], True, model="quiet", headers={"Cache-Control": "no-store"})
    check(b"stream_options" not in w.received()[before:] and ENDS["chat"] in raw, "usage: off asks for nothing")
    check(own(w, fields).get("usage_estimated") and tokens_of(record(w, fields))[1] > 0, "its tokens are an estimate", record(w, fields))


def test_cut_streams_are_estimated(w):
    pieces = ["These are ", "some words ", "of an answer ", "that breaks off. "] * 5
    w.up.play = stream(*chat_events(pieces)[:12], end=False)
    _, fields, raw = ask(w.port, "chat", "hi there, who are you?", w.keys["plain"], True, model="raw")
    s, (prompt, completion, *_) = own(w, fields), tokens_of(record(w, fields))
    check(s.get("end") == "upstream_error" and s.get("usage_estimated"), "a cut stream is estimated", s)
    check(3 <= prompt <= 30 and 15 <= completion <= 60, "by what was asked and said", (prompt, completion))
    w.up.play = stream(*chat_events(pieces)[:12], LEAVE)
    s = open_stream(w.port, "chat", "hi there, who are you?", w.keys["plain"], model="raw")
    head = read_until(s, b"that breaks", 15)
    s.close()
    fields = {"x-sluice-request-id": re.search(rb"x-sluice-request-id: (\S+)", head)[1].decode()}
    check(own(w, fields).get("end") == "client_abort" and own(w, fields).get("usage_estimated") and tokens_of(record(w, fields))[1] > 10,
          "so is one whose client left", record(w, fields))
    for dialect in ("responses", "anthropic", "gemini"):
        text = "[[mock say=fox words=60 cut=12]] hello"
        _, fields, _ = ask(w.port, dialect, text, w.keys["plain"], True)
        prompt, completion, *_ = tokens_of(record(w, fields))
        check(prompt > 0 and completion > 2, f"{dialect}: a cut stream has tokens on record", record(w, fields))


# ---- cost -----------------------------------------------------------------------------------------------

def test_costs_are_exact(w):
    spent = Decimal(0)
    for dialect in DIALECTS:
        for streamed in (False, True):
            text = f"[[mock think=1 say=fox words=40]] how much is {dialect}?"
            _, fields, raw = ask(w.port, dialect, text, w.keys["plain"], streamed, headers={"Cache-Control": "no-store"})
            line = raw_record(w, fields)
            want = cost_of(*tokens_of(json.loads(line)))
            got = re.search(r'"cost":([0-9.]+)', line)
            what = f"{dialect}, {'stream' if streamed else 'whole'}"
            check(got and Decimal(got[1]) == want and want > 0, f"{what}: the cost on record", (line, want))
            check('"currency":"EUR"' in line and '"price_from":"2020-01-01"' in line, f"{what}: by which price", line)
            check(('x-sluice-cost' in fields) == (not streamed), f"{what}: the field is on whole answers", fields)
            if not streamed:
                check(Decimal(fields["x-sluice-cost"].removesuffix(" EUR")) == want, f"{what}: the same there", fields)
            spent += want
    text = w.admin_get("/metrics")[1]
    sums = {m[1]: Decimal(m[2]) for m in re.finditer(r'^sluice_cost_total\{target="(\w+)",currency="EUR"\} (\S+)', text, re.M)}
    check(sums.get("openai", 0) > 0 and sums.get("claude", 0) > 0 and sum(sums.values()) >= spent, "counted by target", sums)
    _, fields, raw = ask(w.port, "chat", "hello", w.keys["plain"], model="azure-x")
    check("x-sluice-cost" not in fields and "cost" not in own(w, fields), "no price: unknown, not 0", own(w, fields))
    check(re.search(r'sluice_unpriced_total\{target="azure"\} [1-9]', w.admin_get("/metrics")[1]), "and counted as such")
    _, fields, raw = ask(w.port, "chat", "hello", w.keys["plain"], model="inside")
    line = raw_record(w, fields)
    got = re.search(r'"cost_alternative":([0-9.]+),"cost_alternative_model":"gpt-4o"', line)
    check(got and Decimal(got[1]) == cost_of(*tokens_of(json.loads(line))), "what it would have cost elsewhere", line)
    check("x-sluice-cost" not in fields and '"cost":' not in line, "which is no cost", fields)


# ---- attempts that gave no answer -----------------------------------------------------------------------

def lost_in_metrics(w, target):
    text = w.admin_get("/metrics")[1]
    tokens = re.search(rf'^sluice_lost_tokens_total\{{target="{target}"\}} (\d+)', text, re.M)
    cost = re.search(rf'^sluice_lost_cost_total\{{target="{target}",currency="EUR"\}} (\S+)', text, re.M)
    return (int(tokens[1]), Decimal(cost[1])) if tokens and cost else (0, Decimal(0))


def test_failed_attempts_are_counted(w):
    error = {"error": {"message": "overloaded", "type": "overloaded_error"}}
    said = {**error, "usage": {"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14}}
    text = "how much is it when nobody answers?"
    # What the server does, the outcome; tokens that it says, None for an estimate, () for nothing that anybody bills.
    for what, play, outcome, tokens in (
            ("an error first", stream(event(error)), "error_event", None), ("with its usage", answer(200, said), "error_event", (11, 3)),
            ("no answer in time", [LEAVE], "timeout", None), ("a stream without a beginning", stream(b": ok\n\n", end=False), "broken", None),
            ("a status", answer(503, error), "status", ()), ("a connection that is dropped", [], "broken", ())):
        w.up.play = play if isinstance(play, list) else [play]
        target, model = ("late", "gpt-late") if outcome == "timeout" else ("sick", "gpt-lost")
        before = lost_in_metrics(w, target)
        status, fields, raw = ask(w.port, "chat", text, w.keys["plain"], not isinstance(play, bytes), model=model,
                                  headers={"Cache-Control": "no-store"})
        line = raw_record(w, fields)
        first, second = json.loads(line)["unmapped"]["sluice"]["attempts"]
        got = first.get("prompt_tokens", 0), first.get("completion_tokens", 0)
        check(status == 200 and first["outcome"] == outcome and second["outcome"] == "answered", f"{what}: another target answers", line)
        check(got == tokens or tokens is None and 5 <= got[0] <= 30 and got[1] == 0 or tokens == () and got == (0, 0),
              f"{what}: the tokens of the first attempt", first)
        check(bool(first.get("usage_estimated")) == (tokens is None) and "prompt_tokens" not in second, f"{what}: an estimate or not", first)
        lost = re.search(r'"cost_lost":([0-9.]+)', line)
        check((Decimal(lost[1]) if lost else 0) == cost_of(*got), f"{what}: what they cost", line)
        check(re.search(r'"cost":([0-9.]+),"price_from"', line)[1] == str(cost_of(*tokens_of(json.loads(line)))), f"{what}: is no part of the cost", line)
        after = lost_in_metrics(w, target)
        check((after[0] - before[0], after[1] - before[1]) == (sum(got), cost_of(*got)), f"{what}: counted", (before, after))


def test_losers_of_hedges_are_counted(w):
    asked = []

    def play(request):
        asked.append(request)
        return [LEAVE] if len(asked) % 2 else stream(*chat_events(["faster"]))
    w.up.play = play
    _, fields, raw = ask(w.port, "chat", "who is faster, you or you?", w.keys["plain"], True, model="gpt-pair", headers={"Cache-Control": "no-store"})
    line = raw_record(w, fields)
    slow, fast = json.loads(line)["unmapped"]["sluice"]["attempts"]
    check(b"faster" in raw and slow["outcome"] == "cancelled" and fast.get("hedge") and fast["outcome"] == "answered", "a hedge won", line)
    check(3 <= slow.get("prompt_tokens", 0) <= 30 and slow.get("usage_estimated") and "prompt_tokens" not in fast, "what the other had read", line)
    check(f'"cost_lost":{cost_of(slow["prompt_tokens"], 0)}' in line, "and its cost", line)
    check(lost_in_metrics(w, "pair") == (slow["prompt_tokens"], cost_of(slow["prompt_tokens"], 0)), "are counted", lost_in_metrics(w, "pair"))


def test_budgets_know_of_failed_attempts(w):
    def left(model):
        _, fields, _ = ask(w.port, "chat", "what is left of it?", w.keys["lossy"], False, {"max_tokens": 50}, model=model,
                           headers={"Cache-Control": "no-store"})
        r = record(w, fields)
        used = sum(tokens_of(r)[:2]) + sum(a.get("prompt_tokens", 0) + a.get("completion_tokens", 0) for a in own(w, fields)["attempts"])
        return int(fields["x-ratelimit-remaining-tokens"]), used
    w.up.play = [answer(200, {"error": {"message": "no"}, "usage": {"prompt_tokens": 1100, "completion_tokens": 300, "total_tokens": 1400}})]
    first, lossy, last = left("gpt-4o"), left("gpt-lost"), left("gpt-4o")
    check(first[0] - lossy[0] == first[1] and lossy[0] - last[0] == lossy[1] > 1400, "the budget pays for both attempts", (first, lossy, last))


# ---- the cache ------------------------------------------------------------------------------------------

ZERO = {"chat": {"temperature": 0}, "completions": {"temperature": 0}, "responses": {"temperature": 0, "store": False},
        "anthropic": {"temperature": 0}, "gemini": {"generationConfig": {"temperature": 0}}}


def cached(w, dialect, text, user="plain", streamed=False, more=None, **how):
    """(x-sluice-cache, fields, bytes, did the provider see it)."""
    before = len(w.received())
    status, fields, raw = ask(w.port, dialect, text, w.keys[user], streamed, {**ZERO[dialect], **(more or {})}, **how)
    check(status == 200, f"{dialect}: an answer", (status, raw[:200]))
    record(w, fields)  # it has ended, so it is kept
    return fields.get("x-sluice-cache"), fields, raw, len(w.received()) != before


def test_hits_are_the_same_answers(w):
    for dialect in DIALECTS:
        for streamed in (False, True):
            what = f"{dialect}, {'stream' if streamed else 'whole'}"
            text = f"what is the capital of {what}?"
            first = cached(w, dialect, text, streamed=streamed)
            again = cached(w, dialect, text, "other", streamed=streamed)
            check(first[0] == "miss" and first[3], f"{what}: first it is asked for", first)
            check(again[0] == "hit" and not again[3], f"{what}: then it is there", again)
            check(again[2] == first[2] and "content-type" in again[1] and
                  again[1]["content-type"].split(";")[0] == first[1]["content-type"].split(";")[0], f"{what}: byte for byte", (first, again))
            check(int(again[1].get("age", -1)) >= 0 and "age" not in first[1], f"{what}: with its age", again[1])
            s, r = own(w, again[1]), record(w, again[1])
            check(s.get("cache") == "hit" and tokens_of(r)[0] == 0 and s.get("cost_saved", 0) > 0 and s.get("cost") == 0,
                  f"{what}: on record, at no cost", s)
            check(len(complaints_world.records(w, again[1], "ai.request.decided")) == 1, f"{what}: and decided like any request")
            check(own(w, first[1]).get("cache") == "miss", f"{what}: as was the first", own(w, first[1]))
            check(again[1].get("x-sluice-cost") == "0 EUR", f"{what}: the cost of a hit", again[1])
    head = {"Authorization": "Bearer " + w.keys["plain"]}
    body = {"model": "text-embedding-3-small", "input": "some text"}
    first = post(w.port, "/v1/embeddings", head, body)

    def known():
        again = post(w.port, "/v1/embeddings", head, body)
        return again[1].get("x-sluice-cache") == "hit" and again
    again = wait_for("embeddings, too", known)
    check(again and again[2] == first[2], "and the same ones", again)
    text = w.admin_get("/metrics")[1]
    hits = re.search(r'sluice_cache_requests_total\{result="hit"\} (\d+)', text)
    check(hits and int(hits[1]) >= 11, "hits are counted", hits and hits[0])


def test_what_is_not_shared(w):
    ask_it = lambda user="plain", **how: cached(w, "chat", "is this shared?", user, **how)[0]
    check(ask_it() == "miss" and ask_it() == "hit", "the question is known")
    check(ask_it("stranger") == "miss", "another tenant has its own answers")
    check(ask_it(more={"temperature": 0.0}) in ("miss", "hit"), "a number written another way is at most asked again")
    for more in ({"max_tokens": 7}, {"top_p": 0.5}, {"seed": 1}, {"stop": ["x"]}, {"n": 2}, {"user": "u1"}, {"response_format": {"type": "json_object"}}):
        check(ask_it(more=more) != "hit", f"other parameters, another answer: {more}")
    check(ask_it(headers={"OpenAI-Organization": "org-x"}) != "hit", "so are fields that reach the provider")
    check(ask_it(headers={"User-Agent": "x/2", "X-Stainless-Retry-Count": "1"}) == "hit", "but for noise")
    check(ask_it(model="gpt-4o-mini") == "miss", "and models")
    before = len(w.received())
    status, fields, _ = post(w.port, "/v1/chat/completions", {"Authorization": "Bearer " + w.keys["plain"]},
                             b'{ "model": "gpt-4o",  "stream": false,\n "messages":[{"role":"user","content":"is this shared?"}], "temperature": 0 }')
    check(fields.get("x-sluice-cache") == "hit" and len(w.received()) == before, "white space between tokens does not count", fields)
    for what, more in (("a temperature", {"temperature": 0.7}), ("tools", {"tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}]}),
                       ("an image elsewhere", {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x.test/a.png"}}]}]})):
        check(cached(w, "chat", "once", more=more)[0] == "bypass", f"{what}: not from the cache")
    check(cached(w, "responses", "once", more={"store": True})[0] == "bypass", "a response that the provider stores: not from the cache")


def test_what_clients_say(w):
    ask_it = lambda text, control=None: cached(w, "chat", text, headers={"Cache-Control": control} if control else {})[::3]
    check(ask_it("a", "no-store") == ("bypass", True) and ask_it("a") == ("miss", True), "no-store keeps nothing")
    check(ask_it("a", "no-store") == ("bypass", True), "and takes nothing")
    check(ask_it("a", "max-age=5, no-cache") == ("bypass", True) and ask_it("a") == ("hit", False), "no-cache asks anew, for all")
    time.sleep(1.1)
    check(ask_it("a", "max-age=1") == ("miss", True) and ask_it("a", "max-age=100") == ("hit", False), "max-age")


def test_what_is_not_kept(w):
    mine = f"write to {MAIL}"
    check([cached(w, "chat", mine)[0] for _ in range(2)] == ["bypass"] * 2, "a request with findings")
    leak = "[[mock say=leak]] tell me"
    first, again = cached(w, "chat", leak, "watched"), cached(w, "chat", leak, "watched")
    check(again[0] == "miss" and without_ids(again[2]) == without_ids(first[2]), "an answer that a guard has changed", again)
    plain = cached(w, "chat", leak, "plain")
    hit = cached(w, "chat", leak, "watched")
    check(plain[0] == "miss" and hit[0] == "hit" and hit[2] != plain[2] and
          without_ids(hit[2]) == without_ids(first[2]), "an answer of another passes the guards of who asks", hit)
    big = "[[mock say=fox words=20000]]"
    check([cached(w, "chat", big)[0] for _ in range(2)] == ["miss"] * 2, "one that is too large")
    for how in ("status=500", "cut=3", "err=2", "fault=close at=3"):
        for _ in range(2):
            before = len(w.received())
            _, fields, _ = ask(w.port, "chat", f"[[mock {how} say=fox words=30]] x", w.keys["plain"], True, ZERO["chat"])
            record(w, fields)
        check(fields.get("x-sluice-cache") == "miss" and len(w.received()) != before, f"one that failed: {how}", fields)


def test_hits_are_requests_and_nothing_else(w):
    text = "what does it cost to ask again?"
    check(cached(w, "chat", text)[0] == "miss", "somebody has asked")
    body = {**ZERO["chat"]}
    status, _, raw = ask(w.port, "chat", "another question", w.keys["limited"], more=body)
    check(status == 429, "a budget of tokens that has no room for an answer", (status, raw))
    got = [ask(w.port, "chat", text, w.keys["limited"], more=body) for _ in range(7)]
    check([g[0] for g in got] == [200] * 6 + [429], "hits need no tokens, and count as requests", [g[0] for g in got])
    check(all(g[1]["x-sluice-cache"] == "hit" for g in got[:6]), "they are hits", got[0][1])


def other_gateway(w, redis_port):
    """Another one like w's, at the same provider, sharing its answers."""
    o = World(tempfile.mkdtemp(prefix="sluice-costs-other-"))
    with open(w.path("sluice.yaml")) as f:
        text = f.read().replace(w.dir + "/state", o.path("state")).replace(w.dir + "/spool", o.path("spool"))
    text = text.replace(f"127.0.0.1:{w.port}", f"127.0.0.1:{o.port}").replace(f"127.0.0.1:{w.admin}", f"127.0.0.1:{o.admin}")
    text = text.replace("file: prices.yaml", "file: " + w.path("prices.yaml"))
    text = text.replace("cache: { enabled: true", "cache: { enabled: true, shared: true")
    with open(o.path("sluice.yaml"), "w") as f:
        f.write(text + f"redis: {{ url: 'redis://127.0.0.1:{redis_port}/3' }}\n")
    out = o.sluice("keys", "create", "-c", o.path("sluice.yaml"), "--name", "plain", "--owner", "here")
    o.key = re.search(r"slk_[0-9A-Za-z]{43}", out)[0]
    o.start()
    return o


def test_shared_through_redis(w):
    if not shutil.which("redis-server"):
        skip("two gateways that share answers: there is no redis-server")
        return
    folder, port = tempfile.mkdtemp(prefix="sluice-costs-redis-"), free_port()
    redis = subprocess.Popen(["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", folder, "--save", ""],
                             stdout=subprocess.DEVNULL)
    gateways = [other_gateway(w, port) for _ in range(2)]
    try:
        one, two = gateways
        ask_it = lambda g, text, streamed=False: ask(g.port, "chat", text, g.key, streamed, ZERO["chat"])

        def shares(streamed, i=iter(range(10**6))):  # each worker connects when it first wants something
            text = f"shared question {next(i)}"
            first, again = ask_it(one, text, streamed), ask_it(two, text, streamed)
            return again[1].get("x-sluice-cache") == "hit" and again[2] == first[2] and text
        wait_for("a stream of one gateway is given by the other", lambda: shares(True), 10, 0.1)
        text = wait_for("and a whole answer", lambda: shares(False), 10, 0.1)
        check(text and all(ask_it(two, text)[1].get("x-sluice-cache") == "hit" for _ in range(3)), "and again from its own memory")
        redis.kill()
        redis.wait()
        for g in gateways * 3:
            status, fields, _ = ask_it(g, "while Redis is away")
            check(status == 200, "answers come without Redis", fields)
        check(text and ask_it(two, text)[1].get("x-sluice-cache") == "hit", "what one has it keeps")
        for said in (b"-ERR no\r\n", b"$5\r\nSLC1x\r\n" * 3, b"*1000000000\r\n", b"$900000000\r\n", b"\0\xff"):
            odd = OddRedis(port, said)
            for g in gateways:
                status, fields, _ = ask_it(g, f"odd {said!r}")
                check(status == 200, f"a Redis that says {said!r}", fields)
            odd.close()
    finally:
        for g in gateways:
            check(g.stop() == 0, "costs: a clean stop of both")
            log = open(g.path("gateway.log")).read()
            check("Sanitizer" not in log and "runtime error" not in log, "costs: nothing for a sanitizer", log[-1500:])
            shutil.rmtree(g.dir, ignore_errors=True)
        redis.kill()
        redis.wait()
        shutil.rmtree(folder, ignore_errors=True)


class OddRedis:
    """Says OK to the greeting, then something, to everybody who comes, for a short while."""

    def __init__(self, port, said):
        self.s = socket.socket()
        self.s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.s.bind(("127.0.0.1", port))
        self.s.listen()
        self.s.settimeout(0.2)
        self.said, self.open = said, []
        end = time.time() + 0.3
        try:
            while time.time() < end:
                c = self.s.accept()[0]
                c.sendall(b"+OK\r\n" + said)
                self.open.append(c)
        except TimeoutError:
            pass

    def close(self):
        for c in [*self.open, self.s]:
            c.close()


def test_off_means_off(w):
    with open(w.path("sluice.yaml")) as f:
        text = f.read()
    with open(w.path("sluice.yaml"), "w") as f:
        f.write(text.replace("cache: { enabled: true", "cache: { enabled: false"))
    check(cached(w, "chat", "is this shared?")[0] == "hit", "it is there")
    w.gateway.send_signal(1)
    wait_for("the cache is off", lambda: "x-sluice-cache" not in ask(w.port, "chat", "x", w.keys["plain"])[1], 10, 0.2)
    check(re.search(r"sluice_cache_entries 0\n", w.admin_get("/metrics")[1]), "and empty", w.admin_get("/metrics")[1][-600:])


def main(only=""):
    w = world()
    before = count["failed"]
    try:
        config = w.path("sluice.yaml")
        w.keys = {}
        for user in ("plain", "other", "watched", "limited", "lossy", "stranger"):
            owner = "elsewhere" if user == "stranger" else "here"
            out = w.sluice("keys", "create", "-c", config, "--name", user, "--owner", owner)
            w.keys[user] = re.search(r"slk_[0-9A-Za-z]{43}", out)[0]
        if not check(w.start() and w.gateway.poll() is None, "costs: the gateway starts", open(w.path("gateway.log")).read()[-800:]):
            return
        tests = [fn for name, fn in globals().items() if name.startswith("test_") and only in name]
        for fn in tests:
            began = time.time()
            try:
                fn(w)
            except Exception:
                check(False, fn.__name__ + " reached its end", traceback.format_exc())
            if only or "-v" in sys.argv:
                print(f"{fn.__name__} {time.time() - began:.1f} s")
        check(w.stop() == 0, "costs: a clean stop")
        log = open(w.path("gateway.log")).read()
        for what in ("ERROR: AddressSanitizer", "runtime error:", "WARNING: ThreadSanitizer", "ERROR: LeakSanitizer"):
            check(what not in log, "costs: no " + what, log[log.find(what):][:1500])
    finally:
        w.end()
        w.up.end()
        leave(w.dir, before)


if __name__ == "__main__":
    main(sys.argv[4] if len(sys.argv) > 4 and not sys.argv[4].startswith("-") else "")
    finish()
