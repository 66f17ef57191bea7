#!/usr/bin/env python3
"""Receivers of audit records as their protocols describe them, each a process of its own that can be killed at any moment.

usage: tests/e2e/receivers.py KIND PORT CERT KEY OUT TOKEN     KIND: splunk, elastic, webhook, syslog
Each record that is taken is a line "CHAIN SEQUENCE UID" of OUT, written before it is acknowledged. What is not as it must be is a
line of OUT.faults. OUT.mode, when there, holds a word: busy (429, 503), deny (401), slow."""
import http.server
import json
import os
import re
import socketserver
import ssl
import sys
import threading
import time

KIND, PORT, CERT, KEY, OUT, TOKEN = sys.argv[1:7]
lock = threading.Lock()
out = os.open(OUT, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
faults = os.open(OUT + ".faults", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
SYSLOG = re.compile(rb'<(\d{1,3})>1 (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) (\S{1,255}) (\S{1,48}) (\S{1,128}) (\S{1,32}) '
                    rb'\[sluice@32473 uid="([^"\]\\]+)"( cut="true" bytes="\d+")?\] (.*)', re.S)


def fault(text):
    os.write(faults, (text + "\n").encode())


def mode():
    try:
        with open(OUT + ".mode") as f:
            return f.read().strip()
    except OSError:
        return ""


def keep(records):
    lines = "".join("{chain_uid} {sequence} {uid}\n".format(
        chain_uid=r["unmapped"].get("record_integrity", {}).get("chain_uid", "-"), sequence=r["metadata"]["sequence"],
        uid=r["metadata"]["uid"]) for r in records)
    os.write(out, lines.encode())


def is_start(record):
    return record["metadata"]["event_code"] == "sluice.started"


# ---- Splunk's HTTP event collector, with indexer acknowledgement -----------------------------------

acks = {}


def splunk(h, body):
    channel = h.headers.get("X-Splunk-Request-Channel", "")
    if h.headers.get("Authorization") != "Splunk " + TOKEN:
        return h.reply(403, {"text": "Invalid token", "code": 4})
    if not re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", channel):
        return h.reply(400, {"text": "Data channel is missing", "code": 10})
    if h.path == "/services/collector/ack?channel=" + channel:
        with lock:
            known = {str(a): acks.setdefault(a, 0) > 0 for a in json.loads(body)["acks"]}
            for a in json.loads(body)["acks"]:
                acks[a] += 1
        return h.reply(200, {"acks": known})
    if h.path != "/services/collector/event":
        return h.reply(404, {"text": "The requested URL was not found on this server.", "code": 404})
    if not body.strip():
        return h.reply(400, {"text": "No data", "code": 5})
    if mode() == "busy":
        return h.reply(503, {"text": "Server is busy", "code": 9})
    events, at, text = [], 0, body.decode()
    while text[at:].strip():
        event, end = json.JSONDecoder().raw_decode(text, at)
        at = end + len(text[end:]) - len(text[end:].lstrip())
        events.append(event)
    for i, e in enumerate(events):
        if set(e) != {"time", "host", "source", "sourcetype", "index", "event"} or e["host"] != "gw-e2e" or e["index"] != "audit" or \
                round(e["time"] * 1000) != e["event"]["time"]:
            fault("event " + json.dumps(e)[:300])
        if is_start(e["event"]):  # one that will never be taken
            return h.reply(400, {"text": "Invalid data format", "code": 6, "invalid-event-number": i})
    with lock:
        keep(e["event"] for e in events)
        ack = len(acks)
        acks[ack] = 0
    h.reply(200, {"text": "Success", "code": 0, "ackId": ack})


# ---- Elastic's _bulk ---------------------------------------------------------------------------------

with open(OUT) as f:
    held, asked_again = {line.split()[2] for line in f}, set()


def elastic(h, body):
    if h.headers.get("Authorization") != "ApiKey " + TOKEN:
        return h.reply(401, {"error": {"type": "security_exception"}, "status": 401})
    if h.path.split("?")[0] != "/_bulk" or h.headers.get("Content-Type") != "application/x-ndjson" or not body.endswith(b"\n"):
        return h.reply(400, {"error": {"type": "parse_exception"}, "status": 400})
    if mode() == "busy":
        return h.reply(429, {"error": {"type": "es_rejected_execution_exception"}, "status": 429}, {"Retry-After": "1"})
    lines, items, taken = body.decode().split("\n"), [], []
    with lock:
        for i in range(0, len(lines) - 1, 2):
            action, doc = json.loads(lines[i])["create"], json.loads(lines[i + 1])
            uid = action["_id"]
            if action["_index"] != "audit-sluice" or uid != doc["metadata"]["uid"] or not doc["@timestamp"].endswith("Z"):
                fault("bulk " + lines[i])
            status, error = 201, None
            if is_start(doc):
                status, error = 400, "mapper_parsing_exception"
            elif uid in held:
                status, error = 409, "version_conflict_engine_exception"
            elif doc["metadata"]["sequence"] % 41 == 0 and uid not in asked_again:
                asked_again.add(uid)
                status, error = 429, "es_rejected_execution_exception"
            else:
                held.add(uid)
                taken.append(doc)
            item = {"_index": "audit-sluice", "_id": uid, "status": status}
            items.append({"create": item | ({"error": {"type": error, "reason": "\"quoted\" }]", "caused_by": {"type": "x"}}} if error else {})})
        keep(taken)
    h.reply(200, {"took": 3, "errors": any("error" in i["create"] for i in items), "items": items})


# ---- a webhook ------------------------------------------------------------------------------------------

def webhook(h, body):
    if h.headers.get("Authorization") != "Bearer " + TOKEN:
        return h.reply(401, {})
    if mode() == "busy":
        return h.reply(429, {})
    if mode() == "slow":
        time.sleep(0.5)
    records = json.loads(body)
    if not isinstance(records, list) or h.headers.get("Content-Type") != "application/json":
        fault("webhook")
    with lock:
        keep(records)
    h.reply(204, None)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        {"splunk": splunk, "elastic": elastic, "webhook": webhook}[KIND](self, self.rfile.read(int(self.headers["Content-Length"])))

    def do_GET(self):
        allowed = self.headers.get("Authorization", "").endswith(TOKEN)
        self.reply(200 if allowed else 401, {"cluster_name": "test"})

    def reply(self, status, body, more=None):
        data = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        for k, v in (more or {}).items():
            self.send_header(k, v)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args):
        pass


# ---- syslog over TLS ---------------------------------------------------------------------------------------

class Syslog(socketserver.BaseRequestHandler):
    def messages(self, pending=b""):
        """Octet counting, from whatever pieces come."""
        while True:
            while True:
                m = re.match(rb"([1-9][0-9]{0,8}) ", pending)
                if m is None or len(pending) < m.end() + int(m[1]):
                    break
                yield pending[m.end():m.end() + int(m[1])]
                pending = pending[m.end() + int(m[1]):]
            part = self.request.recv(8192)
            if not part:
                break
            pending += part
        if pending:
            fault("half a message: %r" % pending[:100])

    def handle(self):
        # An end without goodbye is a gateway that was killed: an error, and what came of the last message is nothing.
        self.request = context.wrap_socket(self.request, server_side=True, suppress_ragged_eofs=False)
        for text in self.messages():
            m = SYSLOG.fullmatch(text)
            if m is None:
                fault("syslog %r" % text[:300])
                continue
            record = json.loads(m[9]) if not m[8] else {"metadata": {"uid": m[7].decode(), "sequence": 0}, "unmapped": {}}
            if record["metadata"]["uid"] != m[7].decode() or int(m[1]) // 8 != 13 or m[3] != b"gw-e2e" or \
                    (not m[8] and record["metadata"]["event_code"] != m[6].decode()):
                fault("syslog header %r" % text[:300])
            with lock:
                keep([record])
            if mode() == "slow":
                time.sleep(0.01)
        self.request.unwrap()  # everything is kept: now goodbye

    def finish(self):
        self.request.close()


context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
context.load_cert_chain(CERT, KEY)
if KIND == "syslog":
    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address, daemon_threads = True, True

        def handle_error(self, *args):
            pass  # a gateway that was killed in the middle
    server = Server(("127.0.0.1", int(PORT)), Syslog)
else:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", int(PORT)), Handler)
    server.daemon_threads = True
    server.handle_error = lambda *args: None
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
print("ready", flush=True)
server.serve_forever()
