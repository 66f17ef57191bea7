"""What the suites of Python SDKs share. Each suite runs the same against a provider (the mock) and against the gateway.

Environment: E2E_URL the base, without a path; E2E_KEY; E2E_SECRET and E2E_MAIL planted values; E2E_ONCE a number for
failures that happen once. Output: "ok NAME" or "FAIL NAME why" for each check, "same NAME VALUE" for each answer that must
not depend on who gave it. run.py compares the latter between the two runs."""
import json
import os

URL, KEY = os.environ["E2E_URL"], os.environ["E2E_KEY"]
SECRET, MAIL = os.environ["E2E_SECRET"], os.environ["E2E_MAIL"]
SUITE = os.environ.get("E2E_SUITE", "python")
PROMPT = f"Rotate {SECRET} and tell {MAIL}. \"Quoted\" \\ umlauts: äöü, 日本語, \U0001F600"
_once = int(os.environ.get("E2E_ONCE", "0"))


def once():
    """A directive value that no other check uses."""
    global _once
    _once += 1
    return _once


def check(ok, what, detail=""):
    print("ok  " if ok else "FAIL", f"{SUITE}: {what}", "" if ok else repr(detail)[:300], flush=True)
    return bool(ok)


def same(what, value, expected=None):
    """value must be what every way gives; and expected, when that is known."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=True, default=str)
    print("same", f"{SUITE}: {what}", text if len(text) < 400 else f"{len(text)} {hash_of(text)}", flush=True)
    if expected is not None:
        check(value == expected, what, value)


def hash_of(text):
    import hashlib
    return hashlib.sha256(text.encode()).hexdigest()[:16]


async def load(name, ask, streamed, parallel=200):
    """What every client must stand. ask and streamed: coroutines from a text to the answer's text."""
    import asyncio
    same(f"{name}: a prompt of 1 MB", await ask("[[mock say=fox words=3]] " + "word and another, " * 60000), "The quick brown ")

    async def one(i):
        text = f"request {i} {SECRET}"
        return await (ask if i % 2 else streamed)(text) == text
    done = await asyncio.gather(*(one(i) for i in range(parallel)))
    check(all(done), f"{name}: {parallel} in parallel, half of them streams", done.count(False))
    for what, call in (("a request", ask), ("a stream", streamed)):
        task = asyncio.create_task(call("[[mock ttft=5000]] hi"))
        await asyncio.sleep(0.2)
        task.cancel()
        try:
            await task
            check(False, f"{name}: {what} can be cancelled")
        except asyncio.CancelledError:
            check(True, f"{name}: {what} can be cancelled")


def raises(what, kind, call, test=lambda e: True):
    """call must raise kind, and the error pass test."""
    try:
        got = call()
        check(False, what, got)
    except kind as e:
        check(test(e), what, e)
    except Exception as e:  # another class is what this is to find
        check(False, what, f"{type(e).__name__}: {e}")


def run(*parts):
    """Calls each part; one that breaks off is a failure and the others still run."""
    import traceback
    for part in parts:
        try:
            part()
        except Exception:
            check(False, part.__name__, traceback.format_exc()[-290:])
