#!/usr/bin/env python3
"""Limits that hold: parallel streams against budgets, on one gateway (SQLite) and on two that share a real Redis; cancels,
kill -9 of gateways and of Redis, restarts, a reload.

usage: tests/e2e/budgets.py BUILD-DIR [--quick]
Ends with the line "N passed, N failed, N skipped". --quick: fewer streams (sanitizer builds)."""
import asyncio
import json
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import urllib.request

BUILD = os.path.abspath(sys.argv[1])
QUICK = "--quick" in sys.argv
PATIENCE = 4 if os.path.basename(BUILD).endswith(("-address-undefined", "-thread")) else 1
STREAMS, ROOM = (200, 20) if QUICK else (1000, 100)
FEW = 2 * ROOM                             # where the crowd is not the point
TEXT = "count with me"
ANSWER = 40                                # max_tokens of each request
PROMPT = 16 + (len(TEXT) + 60 + 2) // 3    # as docs/limits.md says it; TEXT is padded to len + 60
count = {"passed": 0, "failed": 0, "skipped": 0}


def check(ok, what, detail=""):
    count["passed" if ok else "failed"] += 1
    if not ok:
        print("FAIL", what, str(detail)[:1500], flush=True)
    return ok


def wait_for(what, fn, seconds=60, pause=0.05):
    end = time.time() + seconds * PATIENCE
    while time.time() < end:
        if fn():
            return check(True, what)
        time.sleep(pause)
    return check(False, f"{what} within {seconds} s")


kept = []


def free_port():
    """A port that is kept for the server that is started there: bound, and nobody listens until a server with SO_REUSEADDR does."""
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    s.bind(("127.0.0.1", 0))
    kept.append(s)
    return s.getsockname()[1]


# ---- what runs ------------------------------------------------------------------------------------------

class Gateway:
    def __init__(self, folder, name, mock, redis=None):
        self.port, self.admin, dead = free_port(), free_port(), free_port()
        self.file = os.path.join(folder, name + ".yaml")
        self.log = os.path.join(folder, name + ".log")
        self.text = f"""
state_dir: {folder}/{name}
listen: {{ gateway: 127.0.0.1:{self.port}, proxy: off, admin: 127.0.0.1:{self.admin} }}
workers: 2
auth: {{ required: false }}
audit: {{ durability: process }}
log: {{ access: false }}
limits: {{ max_connections: 5000 }}
targets:
  first:  {{ kind: openai, base_url: "http://127.0.0.1:{mock}/v1", zone: private, models: ["m-*"] }}
  dead:   {{ kind: openai, base_url: "http://127.0.0.1:{dead}/v1", zone: private, models: ["m-*"] }}
  second: {{ kind: openai, base_url: "http://127.0.0.1:{mock}/v1", zone: private, models: ["m-*"] }}
routes:
  - {{ model: m-over, to: [first, second] }}
  - {{ model: m-fall, to: [dead, second] }}
  - {{ model: "*", to: first }}
policy: []
prices:
  table: [{{ model: "m-*", input: 3, output: 15 }}]
budgets:
  - {{ name: req, match: {{ model: [m-req] }}, requests: ROOM / 366d }}
  - {{ name: conc, match: {{ model: [m-conc] }}, concurrency: {ROOM} }}
  - {{ name: tok, match: {{ model: [m-tok] }}, tokens: {ROOM * (PROMPT + ANSWER)} / 366d }}
  - {{ name: cost, match: {{ model: [m-cost] }}, cost: {ROOM * (PROMPT * 3 + ANSWER * 15) / 1e6:.9f} / month }}
  - {{ name: wide, match: {{ model: [m-both] }}, requests: 1M / 366d, tokens: 1000M / 366d }}
  - {{ name: narrow, match: {{ model: [m-both] }}, requests: {ROOM} / 366d }}
  - {{ name: open, match: {{ model: [m-open] }}, tokens: 12000 / 366d }}
  - {{ name: fall, per: target, match: {{ model: [m-fall] }}, requests: {ROOM} / 366d, tokens: 1M / 366d }}
  - {{ name: over, per: target, match: {{ model: [m-over], target: [first] }}, concurrency: {ROOM} }}
"""
        if redis:
            self.text += f"redis: {{ url: 'redis://127.0.0.1:{redis}/1', prefix: test, timeout: 5s }}\n"
            self.text += "accounting: { cap_answers: true, answer_tokens: 50 }\n"
        self.write(ROOM)

    def write(self, room):
        with open(self.file, "w") as f:
            f.write(self.text.replace("ROOM", str(room)))

    def start(self):
        self.process = subprocess.Popen([BUILD + "/sluice", "serve", "-c", self.file], stdout=open(self.log, "a"),
                                        stderr=subprocess.STDOUT)
        wait_for("the gateway is ready", lambda: self.get("/readyz").startswith("ready"))
        if "redis:" in self.text:
            wait_for("it is connected to Redis", lambda: self.metric("limits_redis_up") == 2)

    def get(self, path):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}{path}", timeout=30) as r:
                return r.read().decode()
        except OSError:
            return ""

    def metric(self, name):
        found = re.search(rf"^sluice_{name} (\d+)", self.get("/metrics"), re.M)
        return int(found[1]) if found else -1

    def logged(self, what):
        with open(self.log) as f:
            return f.read().count(what)

    def budget(self, name):
        return {b["kind"]: b for b in self.budgets(name)}

    def budgets(self, name):
        out = subprocess.run([BUILD + "/sluice", "budgets", "show", "-c", self.file, "--json", name],
                             capture_output=True, text=True)
        return json.loads(out.stdout or "[]")

    def stop(self, sig=signal.SIGTERM):
        self.process.send_signal(sig)
        return self.process.wait(120)


def start_mock():
    mock = subprocess.Popen([BUILD + "/mock-provider", "--port", "0"], stdout=subprocess.PIPE, text=True)
    return mock, int(re.search(r"=(\d+)", mock.stdout.readline())[1])


def start_redis(folder, port):
    redis = subprocess.Popen(["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", folder, "--save", "",
                              "--appendonly", "no"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def answers():
        try:
            with socket.create_connection(("127.0.0.1", port), 1) as s:
                s.sendall(b"PING\r\n")
                return s.recv(16).startswith(b"+PONG")
        except OSError:
            return False
    wait_for("Redis answers", answers)
    return redis


# ---- streams ----------------------------------------------------------------------------------------------

class Stream:
    """One streamed request: its status when the head is there, and then the rest, or no rest."""

    def __init__(self, port, model, directives, limit=ANSWER):
        text = (f"{TEXT} [[mock {directives}]]").ljust(len(TEXT) + 60)
        assert len(text) == len(TEXT) + 60
        body = {"model": model, "stream": True, "stream_options": {"include_usage": True},
                "messages": [{"role": "user", "content": text}]}
        if limit:
            body["max_tokens"] = limit
        body = json.dumps(body).encode()
        self.port = port
        self.bytes = (f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
                      f"Content-Length: {len(body)}\r\n\r\n").encode() + body
        self.status, self.head, self.rest = 0, "", b""

    async def open(self):
        for attempt in range(100):
            try:
                self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
                break
            except OSError:
                if attempt == 99:
                    return self
                await asyncio.sleep(0.2)
        try:
            self.writer.write(self.bytes)
            self.head = (await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 120)).decode()
            self.status = int(self.head.split()[1])
        except (OSError, asyncio.IncompleteReadError, asyncio.TimeoutError):
            self.status = -1
        return self

    async def read(self):
        try:
            while not self.rest.endswith(b"0\r\n\r\n"):
                piece = await asyncio.wait_for(self.reader.read(65536), 60)
                if not piece:
                    break
                self.rest += piece
        except (OSError, asyncio.TimeoutError):
            pass
        self.close()
        return self

    def text(self):
        """The body without its chunks."""
        out, rest = b"", self.rest
        while b"\r\n" in rest:
            size, rest = rest.split(b"\r\n", 1)
            n = int(size, 16)
            out, rest = out + rest[:n], rest[n + 2:]
        return out.decode()

    def close(self):
        self.writer.close()

    def field(self, name):
        found = re.search(rf"^{name}: (.*)\r$", self.head, re.M | re.I)
        return found[1] if found else ""


async def storm(ports, model, directives, n=STREAMS, limit=ANSWER):
    """n streams at once; ends when every head is there. The ones that were let in still run."""
    streams = [Stream(ports[i % len(ports)], model, directives, limit) for i in range(n)]
    return await asyncio.gather(*(s.open() for s in streams))


def split(streams):
    return [s for s in streams if s.status == 200], [s for s in streams if s.status == 429], \
           [s for s in streams if s.status not in (200, 429)]


ENDLESS = "say=fox words=30 interval=4000"   # runs until its client leaves
SHORT = "say=fox words=8"


async def exactly(what, ports, model, directives=SHORT, room=ROOM, n=STREAMS, keep=False):
    streams = await storm(ports, model, directives, n)
    good, refused, other = split(streams)
    check(len(good) == room and len(refused) == n - room, f"{what}: exactly {room} of {n} pass",
          (len(good), len(refused), [s.status for s in other][:10]))
    for s in refused:
        s.close()
    if not keep:
        await asyncio.gather(*(s.read() for s in good))
    return good, refused


async def close_all(streams):
    for s in streams:
        s.close()
    await asyncio.sleep(0)


# ---- the stories --------------------------------------------------------------------------------------------

async def counts(ports, gateway):
    """Requests, tokens, money; several budgets at once; nothing lost by those that were refused."""
    good, refused = await exactly("requests", ports, "m-req")
    check(refused and int(refused[0].field("retry-after")) > 60 and refused[0].field("x-should-retry") == "false" and
          refused[0].field("x-sluice-budget") == "req" and refused[0].field("x-ratelimit-remaining-requests") == "0",
          "a refusal says when to come again", refused and refused[0].head)
    check(good and good[0].field("x-ratelimit-limit-requests") == str(ROOM), "an answer says the limit", good and good[0].head)
    await exactly("several budgets", ports, "m-both", n=FEW)
    # While nothing is settled every reservation stands: room for ROOM of them and no more.
    for model, name, kind in (("m-tok", "tok", "tokens"), ("m-cost", "cost", "cost")):
        held, _ = await exactly(kind, ports, model, ENDLESS, n=STREAMS if kind == "tokens" else FEW, keep=True)
        await close_all(held)

        def settled():
            b = gateway.budget(name)[kind]
            return 0 < b["used"] < b["limit"] and not b["held"]
        wait_for(f"{kind}: what was not used comes back after the clients left", settled)


async def falls_back(ports, gateway):
    """What a target that cannot be reached reserved goes to the one that answers."""
    streams = await asyncio.gather(*(s.read() for s in await storm(ports, "m-fall", SHORT, 10)))
    check(all(s.status == 200 and s.field("x-sluice-route") == "second" for s in streams), "another target answers",
          [s.head for s in streams if s.status != 200][:1])

    wait_for("and only its budget counts", lambda: all(b["owner"] in ("target:second", "-") or b["used"] == 0
                                                       for b in gateway.budgets("fall")) and
             any(b["owner"] == "target:second" and b["kind"] == "requests" and b["used"] == 10 for b in gateway.budgets("fall")))


def at_rest(*gateways):
    """No request runs: those whose clients left have been noticed."""
    wait_for("nothing runs", lambda: all(g.metric("requests_active") == 0 for g in gateways))


async def held(ports, what, *gateways):
    """Concurrency: cancels give everything back, twice."""
    for turn in (1, 2):
        streams, _ = await exactly(f"{what}, turn {turn}", ports, "m-conc", ENDLESS, n=STREAMS if turn == 1 else FEW,
                                   keep=True)
        await close_all(streams)
        at_rest(*gateways)
        await asyncio.sleep(0.3)


async def one_gateway(folder, mock):
    g = Gateway(folder, "alone", mock)
    g.start()
    await counts([g.port], g)
    check(g.budget("wide")["requests"]["used"] == ROOM, "what one budget refuses, the others do not count", g.budget("wide"))
    check(g.metric("budget_overshoot_tokens_total") == 0, "nothing was used beyond what was reserved")
    await held([g.port], "concurrency", g)
    await falls_back([g.port], g)
    # A full target is no refusal while another one may answer.
    streams = await storm([g.port], "m-over", ENDLESS, ROOM + 20)
    good, _, _ = split(streams)
    second = [s for s in good if s.field("x-sluice-route") == "second"]
    check(len(good) == ROOM + 20 and len(second) == 20, "what a target has no room for goes to the next one",
          (len(good), len(second)))
    await close_all(streams)
    at_rest(g)
    # An answer without an end of its own is cut when the budget is.
    (stream,), _, _ = split(await storm([g.port], "m-open", "say=fox words=13000", 1, limit=None))
    await stream.read()
    check(b"rate_limit_exceeded" in stream.rest and not stream.rest.endswith(b"[DONE]\n\n\r\n0\r\n\r\n"),
          "a stream is cut in its dialect when its budget is exhausted", stream.rest[-300:])
    wait_for("and that is on disk", lambda: g.budget("open")["tokens"]["used"] > 10000)
    check(g.budget("open")["tokens"]["used"] <= 12000, "not a token beyond the budget", g.budget("open"))
    # kill -9: what was used stays, what was held comes back.
    streams, _ = await exactly("concurrency before a crash", [g.port], "m-conc", ENDLESS, n=FEW, keep=True)
    wait_for("what was used is on disk", lambda: g.budget("req")["requests"]["used"] == ROOM)
    g.stop(signal.SIGKILL)
    await close_all(streams)
    g.start()
    await exactly("requests after kill -9", [g.port], "m-req", room=0, n=50)
    streams, _ = await exactly("concurrency after kill -9", [g.port], "m-conc", ENDLESS, n=FEW, keep=True)
    await close_all(streams)
    # Another limit, without a restart: counters stay.
    g.write(ROOM + 7)
    before = g.logged("config_reloaded")
    g.process.send_signal(signal.SIGHUP)
    wait_for("the reload is in force", lambda: g.logged("config_reloaded") > before)
    await exactly("requests after a reload with room for 7 more", [g.port], "m-req", room=7, n=50)
    g.stop()
    g.start()
    await exactly("requests after a restart", [g.port], "m-req", room=0, n=50)
    subprocess.run([BUILD + "/sluice", "budgets", "reset", "-c", g.file, "req"], check=True, capture_output=True)
    wait_for("the gateway knows of the reset", lambda: g.logged("budget_reset") > 0)
    await exactly("requests after a reset", [g.port], "m-req", room=ROOM + 7, n=ROOM + 50)
    check(g.stop() == 0, "the gateway stops cleanly")


def guard_of(g, stream):
    """What the record of a request says of the guard that budgets are."""
    out = subprocess.run([BUILD + "/sluice", "audit", "query", "-c", g.file, "--json", "--record", "completed", "--request",
                          stream.field("x-sluice-request-id")], capture_output=True, text=True).stdout
    return {x["name"]: x["state"] for line in out.splitlines() for x in json.loads(line)["unmapped"]["sluice"]["guards"]}.get("limits")


async def too_late(g, redis):
    """Redis hangs: who waits for it longer than redis.timeout is refused, and the record says that the guard had no time."""
    redis.send_signal(signal.SIGSTOP)
    _, _, other = split(await storm([g.port], "m-req", SHORT, 1))
    redis.send_signal(signal.SIGCONT)
    check(len(other) == 1 and other[0].status == 503, "while Redis hangs a request is refused", [s.head for s in other])
    check(guard_of(g, other[0]) == "timed_out", "and the guard is on record as timed out", guard_of(g, other[0]))
    wait_for("the gateway is connected again", lambda: g.metric("limits_redis_up") == 2)


async def two_gateways(folder, mock):
    port = free_port()
    redis = start_redis(folder, port)
    a, b = Gateway(folder, "a", mock, port), Gateway(folder, "b", mock, port)
    a.start()
    b.start()
    both = [a.port, b.port]
    await counts(both, a)
    check(a.budget("wide")["requests"]["used"] == ROOM, "shared: what one budget refuses, the others do not count")
    await held(both, "shared concurrency", a, b)
    await falls_back(both, a)
    # An answer without an end of its own is given one where tokens are counted, and only there.
    for model, capped in (("m-fall", True), ("m-none", False)):
        (stream,), _, _ = split(await storm([a.port], model, "say=body", 1, limit=None))
        await stream.read()
        said = "".join(c["delta"].get("content") or "" for line in stream.text().splitlines()
                       if line.startswith('data: {"') for c in json.loads(line[6:])["choices"])
        check(('"max_tokens":50' in said) == capped, f"{model}: the answer is{'' if capped else ' not'} capped", said[:300])
    # One of them dies with half of it.
    streams, _ = await exactly("shared concurrency before a crash", both, "m-conc", ENDLESS, n=FEW, keep=True)
    a.stop(signal.SIGKILL)
    on_b = sum(s.port == b.port for s in streams)
    await asyncio.sleep(6)
    more, _ = await exactly("a dead gateway gives back what it held", [b.port], "m-conc", ENDLESS, room=ROOM - on_b, n=ROOM,
                            keep=True)
    await exactly("and not what was used", [b.port], "m-req", room=0, n=50)
    await too_late(b, redis)
    # Redis dies with all it knew, while streams run.
    redis.kill()
    redis.wait()
    wait_for("the gateway knows that Redis is away", lambda: b.metric("limits_redis_up") < 2)
    _, _, other = split(await storm([b.port], "m-req", SHORT, 10))
    check(len(other) == 10 and all(s.status == 503 and s.field("retry-after") for s in other),
          "while Redis is away requests are refused with 503 and retry-after", [s.head for s in other][:1])
    check(guard_of(b, other[0]) == "failed", "and the guard is on record as failed", guard_of(b, other[0]))
    check(all(s.status == 200 for s in await storm([b.port], "m-none", SHORT, 5)), "but those without a budget are not")
    redis = start_redis(folder, port)
    wait_for("the gateway is connected again", lambda: b.metric("limits_redis_up") == 2)
    await asyncio.sleep(0.3)
    await exactly("what was used is known after Redis lost it", [b.port], "m-req", room=0, n=50)
    await exactly("what runs is held after Redis lost it", [b.port], "m-conc", ENDLESS, room=0, n=20)
    await close_all(streams + more)
    at_rest(b)
    await asyncio.sleep(0.5)
    a.start()
    streams, _ = await exactly("shared concurrency after all that", [a.port, b.port], "m-conc", ENDLESS, n=FEW,
                               keep=True)
    await close_all(streams)
    check(a.stop() == 0 and b.stop() == 0, "both stop cleanly")
    redis.terminate()
    redis.wait()


class Liar:
    """Takes connections for Redis and answers what it likes; the last way is to say nothing."""

    WAYS = (b"+OK\r\n" * 40, b"-ERR go away\r\n", b"*2000000000\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"$500000000\r\n" + b"x" * 70000,
            b"$-1\r\n" * 9, b"*5\r\n:1\r\n:0\r\n:1\r\n:1\r\n:1\r\n", b"\0\xff" * 1000, b"")

    def __init__(self):
        self.met = 0

    async def take(self, reader, writer):
        way = self.WAYS[self.met % len(self.WAYS)]
        self.met += 1
        try:
            if self.met % 2 == 0:      # before it was asked anything
                writer.write(way)
            while await reader.read(65536):
                writer.write(way)
        except (OSError, asyncio.CancelledError):
            pass
        writer.close()


async def liars(folder, mock):
    """Nothing that a Redis says ends the gateway or lets a request through."""
    port, liar = free_port(), Liar()
    server = await asyncio.start_server(liar.take, "127.0.0.1", port)
    g = Gateway(folder, "lied-to", mock, port)
    g.text = g.text.replace("timeout: 5s", "timeout: 100ms")
    g.write(ROOM)
    g.process = subprocess.Popen([BUILD + "/sluice", "serve", "-c", g.file], stdout=open(g.log, "a"), stderr=subprocess.STDOUT)
    statuses, end = set(), time.time() + 120
    while (liar.met <= len(Liar.WAYS) or statuses != {503}) and time.time() < end:
        statuses |= {s.status for s in await storm([g.port], "m-req", SHORT, 2)} - {0}
        await asyncio.sleep(0.1)
    check(liar.met > len(Liar.WAYS) and statuses == {503}, "a Redis that lies is no Redis", (liar.met, statuses))
    check(g.process.poll() is None and g.metric("limits_redis_errors_total") > 0, "and ends nothing", g.process.poll())
    server.close()
    check(g.stop() == 0, "the gateway stops cleanly all the same")


def story(folder, mock, parts):
    for part in parts:
        if part is two_gateways and not shutil.which("redis-server"):
            count["skipped"] += 1
            print("SKIP  two gateways: there is no redis-server", flush=True)
            continue
        start = time.time()
        try:
            asyncio.run(part(folder, mock))
        except Exception as e:
            check(False, part.__name__, repr(e))
            traceback.print_exc()
        print(f"{part.__name__}: {time.time() - start:.1f} s", flush=True)


def main():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 16384) if hard > 0 else 16384, hard))
    folder = tempfile.mkdtemp(prefix="sluice-budgets-")
    mock, port = start_mock()
    threads = [threading.Thread(target=story, args=(folder, port, parts)) for parts in ((liars, one_gateway), (two_gateways,))]
    try:
        for t in threads:
            t.start()
        for t in threads:
            t.join()
    finally:
        mock.kill()
    if count["failed"] == 0:
        shutil.rmtree(folder)
    else:
        print("kept:", folder)
    print(f"{count['passed']} passed, {count['failed']} failed, {count['skipped']} skipped")
    sys.exit(count["failed"] != 0)


main()
