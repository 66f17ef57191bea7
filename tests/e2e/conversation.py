#!/usr/bin/env python3
"""Conversations that a finding has kept in the house stay there, in each dialect and however they are told; placeholders that
keep their shape, in texts and in arguments of tools.

usage: tests/e2e/conversation.py BUILD-DIR CACHE-DIR MODEL
run.py calls main() as one of its parts."""
import json
import re
import shutil
import sys
import tempfile
import traceback

import actions
import wire
from world import MAIL, PHI, World, check, count

LONG = "Here is what I would look at next: the dates, who was there, and what was written down on the day itself."
PHONE = "+49 151 " + "23456789"
CARD = "4111 1111 " + "1111 1111"

LINES = """
  - { name: health, when: { class: phi, model: "*-first" }, then: { zone: private } }
  - { name: loose,  when: { class: phi, model: "*-loose" }, then: { zone: private, pin: off } }
  - { name: shapes, when: { class: [pii, financial], confidence: ">=60", model: "gpt-4o" }, then: { action: tokenize, style: shape } }
  - { name: names, when: { class: pii, confidence: ">=60", model: "*-names" }, then: tokenize }
  - { name: photos, when: { media: image, model: "*-photo" }, then: { zone: private } }
  - { name: patients, when: { class: phi }, then: alert }
"""


def write_config(w, more=""):
    actions.policy(w, LINES, more)
    with open(w.path("sluice.yaml")) as f:
        text = f.read()
    # Servers of one's own, at the same mock: they speak every dialect that the far ones do.
    house = f"http://127.0.0.1:{w.mock_http}"
    key = f"key: file:{w.path('provider.key')}"
    text = text.replace("routes:\n", f"""
  house-openai: {{ kind: openai, base_url: {house}/v1, {key}, zone: private, models: ["gpt-*"] }}
  house-claude: {{ kind: anthropic, base_url: {house}, {key}, zone: private, models: ["claude-*"] }}
  house-gemini: {{ kind: gemini, base_url: {house}, {key}, zone: private, models: ["gemini-*"] }}
routes:
""", 1)
    actions.write(w.path("sluice.yaml"), text)


def messages(dialect, turns):
    """What the body says of turns, user first."""
    roles = ("user", "model" if dialect == "gemini" else "assistant")
    if dialect == "gemini":
        return {"contents": [{"role": roles[i % 2], "parts": [{"text": t}]} for i, t in enumerate(turns)]}
    said = [{"role": roles[i % 2], "content": t} for i, t in enumerate(turns)]
    return {"input": said} if dialect == "responses" else {"messages": said}


MODELS = {"chat": "gpt-4o", "responses": "gpt-4o", "anthropic": "claude-x", "gemini": "gemini-x"}


HOUSES = {"chat": "house-openai", "responses": "house-openai", "anthropic": "house-claude", "gemini": "house-gemini"}


def ask(w, key, dialect, turns, suffix="", stream=False, more=None):
    """(the target's name or the status, fields, bytes)"""
    status, fields, raw = wire.ask(w.port, dialect, "", key, stream, {**messages(dialect, turns), **(more or {})},
                                   model=MODELS[dialect] + suffix)
    return fields.get("x-sluice-route", "") if status == 200 else status, fields, raw


def reasons(w, fields):
    r = actions.decided(w, fields)
    return r.get("route_reason"), r.get("reason", "")


def test_history(w, key, other):
    """What was said up to the limited request, and a long answer that came of it."""
    for i, dialect in enumerate(MODELS):
        first = f"{PHI} Case {dialect}."
        said = [first, LONG + dialect, "And what else?"]
        route, fields, raw = ask(w, key, dialect, said, "-first", stream=i % 2 == 1)
        check(route == HOUSES[dialect], f"{dialect}: a finding keeps it in the house", (route, raw[:300]))
        route, fields, raw = ask(w, key, dialect, [*said, "Something.", "Thanks, go on"])
        check(str(route).startswith("house-"), f"{dialect}: what goes on with it stays there", (route, raw[:300]))
        check(reasons(w, fields)[0] == "pinned", f"{dialect}: the record says why", reasons(w, fields))
        route, fields, raw = ask(w, key, dialect, ["We were talking", LONG + dialect, "Go on"])
        check(str(route).startswith("house-"), f"{dialect}: a shortened history with an answer of it, too", (route, raw[:300]))
        route, fields, raw = ask(w, other, dialect, [*said, "Something.", "Thanks, go on"])
        check(route and not str(route).startswith("house-"), f"{dialect}: another caller's conversation is another one", (route, raw[:300]))
        route, fields, raw = ask(w, key, dialect, ["A new matter", "Yes?", "Go on"])
        check(route and not str(route).startswith("house-"), f"{dialect}: and so is a new one", (route, raw[:300]))


def test_ids(w, key):
    """State that a provider keeps, by its name; the message itself is clean."""
    for dialect, member in (("responses", {"conversation": "conv_1"}), ("responses", {"conversation": {"id": "conv_2"}}),
                            ("anthropic", {"container": "container_1"}), ("gemini", {"cachedContent": "cachedContents/1"}),
                            ("chat", {"metadata": {"session_id": "s-1"}})):
        route, _, raw = ask(w, key, dialect, [f"{PHI} {member}"], "-first", more=member)
        check(str(route).startswith("house-"), f"{member}: limited", (route, raw[:300]))
        route, fields, raw = ask(w, key, dialect, ["Go on"], more=member)
        check(str(route).startswith("house-") and reasons(w, fields)[0] == "pinned", f"{member}: stays", (route, raw[:300]))
    for stream in (False, True):
        route, _, raw = ask(w, key, "responses", [f"{PHI} {stream}"], "-first", stream=stream)
        answer = re.search(rb'"id":\s*"(resp_[^"]+)"', raw)
        check(str(route).startswith("house-") and answer, "an answer with an id", raw[:300])
        if answer:
            last = {"previous_response_id": answer[1].decode()}
            route, fields, raw = ask(w, key, "responses", ["Go on"], more=last)
            check(str(route).startswith("house-"), "what follows the answer stays where it was given", (route, raw[:300]))
    route, _, raw = ask(w, key, "responses", ["Go on"], more={"previous_response_id": "resp_of_another"})
    check(route == "openai", "another answer's does not", (route, raw[:300]))


def test_off(w, key):
    route, _, raw = ask(w, key, "chat", [PHI], "-loose", more={"metadata": {"session_id": "s-2"}})
    check(str(route).startswith("house-"), "a line with pin: off limits its own request", (route, raw[:300]))
    route, _, raw = ask(w, key, "chat", ["Go on"], more={"metadata": {"session_id": "s-2"}})
    check(route == "openai", "and no other", (route, raw[:300]))


def test_placeholders(w, key, other):
    """One person is one person in every turn of a conversation, and nobody can tell that two conversations are about the same."""
    def name(who, dialect, turns, more=None):
        before = len(w.received())
        # An e-mail address has its name with a model that no line about shapes is for.
        ask(w, who, dialect, turns, "-names", more=more)
        return re.findall(r"DLP_EMAIL\w*_[A-Z2-7]{8}", w.received()[before:].decode("utf-8", "replace"))

    for dialect, more in (("chat", None), ("anthropic", None), ("gemini", None), ("responses", {"store": False})):
        first = f"{dialect}: the matter of {MAIL}"
        one = name(key, dialect, [first], more)
        check(len(one) == 1, f"{dialect}: a placeholder", one)
        check(name(key, dialect, [first, f"{MAIL} it is", f"What of {MAIL}?"], more) == one * 3, f"{dialect}: the same in the next turn")
        check(name(key, dialect, [f"Another matter of {MAIL}"], more) not in ([], one), f"{dialect}: another in another conversation")
        check(name(other, dialect, [first], more) not in ([], one), f"{dialect}: another for another caller")
    kept = name(key, "responses", [f"The matter of {MAIL}"])
    check(len(kept) == 1 and name(key, "responses", [f"And {MAIL}?"], {"previous_response_id": "resp_1"}) == kept,
          "where the provider keeps the conversation, one of the caller", kept)


def test_media(w, key):
    """Nobody can look into an image, so a line may keep it in the house."""
    data = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
    images = {
        "chat": {"messages": [{"role": "user", "content": [{"type": "text", "text": "Who is it?"},
                                                           {"type": "image_url", "image_url": {"url": "data:image/png;base64," + data}}]}]},
        "responses": {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "data:image/png;base64," + data}]}]},
        "anthropic": {"messages": [{"role": "user", "content": [
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}}]}]},
        "gemini": {"contents": [{"role": "user", "parts": [{"inlineData": {"mimeType": "image/png", "data": data}}]}]},
    }
    for dialect, more in images.items():
        route, _, raw = ask(w, key, dialect, ["x"], "-photo", more=more)
        check(route == HOUSES[dialect], f"{dialect}: an image stays in the house", (route, raw[:300]))
        route, _, raw = ask(w, key, dialect, ["Who is it?"], "-photo")
        check(route and not str(route).startswith("house-"), f"{dialect}: a text need not", (route, raw[:300]))


def test_trying(w):
    """`sluice policy test` says what pins, and what a pinned conversation may."""
    config = ("policy", "test", "-c", w.path("sluice.yaml"), "--json")
    r = json.loads(w.sluice(*config, "--model", "gpt-4o-first", PHI))
    check(r["pin"] == ["private"] and not r["pinned"], "it says that what follows stays", r)
    r = json.loads(w.sluice(*config, "--model", "gpt-4o", "--pinned", "private", "Go on"))
    check(r["reason"] == "pinned" and r["targets"][0].startswith("house-") and r["pinned"], "a pinned conversation", r)


def test_reload(w, key):
    route, _, raw = ask(w, key, "chat", [PHI], "-first", more={"metadata": {"session_id": "s-3"}})
    check(str(route).startswith("house-"), "limited", (route, raw[:300]))
    write_config(w, "log: { level: debug }\n")
    w.gateway.send_signal(1)
    actions.wait_for("the gateway reloads", lambda: "config_reloaded" in open(w.path("gateway.log")).read(), 20, 0.1)
    route, _, raw = ask(w, key, "chat", ["Go on"], more={"metadata": {"session_id": "s-3"}})
    check(str(route).startswith("house-"), "a reload forgets no conversation", (route, raw[:300]))


def test_shapes(w, key):
    """The provider sees values of nobody, the client its own, in texts and in arguments of tools."""
    text = f"Call {PHONE} or write to {MAIL}, card {CARD}."
    for dialect in ("chat", "responses"):
        for stream in (False, True):
            before = len(w.received())
            status, fields, raw = wire.ask(w.port, dialect, text, key, stream)
            sent = w.received()[before:].decode("utf-8", "replace")
            check(status == 200 and fields.get("x-sluice-action") == "tokenize", f"{dialect}: tokenized", (status, fields, raw[:300]))
            check(not any(v in sent for v in (PHONE, MAIL, CARD)) and "DLP_" not in sent, f"{dialect}: no value and no name leaves", sent[-900:])
            check("+99 9" in sent and "@example.invalid" in sent and "9999 " in sent, f"{dialect}: shapes do", sent[-900:])
            got = wire.text_of(raw, stream)
            check(all(v in got for v in (PHONE, MAIL, CARD)) and "example.invalid" not in got, f"{dialect}: the values are back (stream {stream})", got[:900])


def main():
    work = tempfile.mkdtemp(prefix="sluice-conversation-")
    w = World(work)
    try:
        w.start_mock()
        write_config(w)
        key, other = w.new_key("e2e"), w.new_key("other")
        w.start()
        for test in (lambda: test_history(w, key, other), lambda: test_ids(w, key), lambda: test_off(w, key), lambda: test_placeholders(w, key, other), lambda: test_trying(w), lambda: test_media(w, key), lambda: test_shapes(w, key),
                     lambda: test_reload(w, key)):
            try:
                test()
            except Exception:
                check(False, "no exception", traceback.format_exc())
        check(w.stop() == 0, "the gateway stops in order")
    finally:
        w.end()
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
    print(f"{count['passed']} passed, {count['failed']} failed, {count['skipped']} skipped")
    sys.exit(count["failed"] != 0)
