#!/usr/bin/env python3
"""The gateway's checkpoints and a witness behind TLS, who checks and cosigns as C2SP's tlog-witness asks: one whose certificate is not
his, one who is, one who was restarted and knows more or less than we think. The ledger's signature, the proofs of consistency and his own
signature are computed here a second time, with openssl and RFC 9162's words.

usage: tests/e2e/witness.py BUILD-DIR CACHE-DIR MODEL
parts.py calls main() as one of its parts."""
import base64
import hashlib
import http.server
import os
import re
import ssl
import subprocess
import tempfile
import threading
import time
import traceback

from faulty import sanitizer_findings
from world import BUILD, World, check, count, finish, leave, wait_for

NAME = "witness.example"


def openssl(w, *args, data=None):
    r = subprocess.run(["openssl", *args], cwd=w.dir, input=data, capture_output=True)
    return r.stdout if r.returncode == 0 else None


def public_of(w, pem):
    return openssl(w, "pkey", "-in", pem, "-pubout", "-outform", "DER")[-32:]


def holds(w, public, message, signature):
    """Is it an Ed25519 signature of that key?"""
    for name, data in (("key.der", bytes.fromhex("302a300506032b6570032100") + public), ("message", message), ("signature", signature)):
        with open(w.path(name), "wb") as f:
            f.write(data)
    return openssl(w, "pkeyutl", "-verify", "-rawin", "-pubin", "-keyform", "DER", "-inkey", "key.der", "-in", "message",
                   "-sigfile", "signature") is not None


def node(left, right):
    return hashlib.sha256(b"\1" + left + right).digest()


def is_consistent(old, old_root, size, root, proof):
    """RFC 9162, 2.1.4.2."""
    if old == size:
        return not proof and old_root == root
    proof = ([old_root] if old & (old - 1) == 0 else []) + proof
    if not proof:
        return False
    fn, sn = old - 1, size - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    fr = sr = proof[0]
    for c in proof[1:]:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            fr, sr = node(c, fr), node(c, sr)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            sr = node(sr, c)
        fn, sn = fn >> 1, sn >> 1
    return fr == old_root and sr == root and sn == 0


class Witness:
    """Keeps what he has signed over his restarts. faults: what was not as it must be."""

    def __init__(self, w):
        self.w, self.signed, self.faults, self.asked, self.conflicts, self.versions = w, {}, [], 0, 0, set()
        openssl(w, "genpkey", "-algorithm", "ed25519", "-out", "witness.pem")
        self.public = public_of(w, "witness.pem")
        self.id = hashlib.sha256(NAME.encode() + b"\n\x04" + self.public).digest()[:4]
        self.server, self.port = None, 0

    def key(self):
        return f"{NAME}+{self.id.hex()}+{base64.b64encode(bytes([4]) + self.public).decode()}\n"

    def start(self, cert):
        witness = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                witness.versions.add(self.connection.version())
                try:
                    status, text = witness.judge(self.path, body)
                except Exception:
                    witness.faults.append(traceback.format_exc())
                    status, text = 500, b""
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *args):
                pass
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.w.path(cert + ".pem"), self.w.path(cert + ".key"))
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.server.handle_error = lambda *args: None  # who does not trust him leaves
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    def judge(self, path, body):
        self.asked += 1
        if path != "/log/add-checkpoint":
            self.faults.append("path " + path)
            return 404, b""
        head, note = body.decode().split("\n\n", 1)
        lines = head.split("\n")
        old, proof = int(re.fullmatch(r"old (\d+)", lines[0])[1]), [base64.b64decode(x) for x in lines[1:]]
        text, signatures = note.split("\n\n", 1)
        text += "\n"
        origin, size, root = text.split("\n")[:3]
        size, root = int(size), base64.b64decode(root)
        if not self.is_signed(text, signatures):
            return 403, b""
        had, had_root = self.signed.get(origin, (0, b""))
        if old != had:
            self.conflicts += 1
            return 409, f"{had}\n".encode()
        if old > size or (old and not is_consistent(old, had_root, size, root, proof)):
            self.faults.append(f"no proof from {old} to {size}: {len(proof)}")
            return 422, b""
        self.signed[origin] = size, root
        now = int(time.time())
        with open(self.w.path("cosigned"), "wb") as f:
            f.write(f"cosignature/v1\ntime {now}\n{text}".encode())
        signature = openssl(self.w, "pkeyutl", "-sign", "-rawin", "-inkey", "witness.pem", "-in", "cosigned")
        blob = base64.b64encode(self.id + now.to_bytes(8, "big") + signature).decode()
        return 200, f"\u2014 {NAME} {blob}\n".encode()

    def is_signed(self, text, signatures):
        """By the ledger's key, as the spool publishes it?"""
        name, _, key = open(self.w.path("spool", "checkpoint.keys")).readline().strip().split("+", 2)
        public = base64.b64decode(key)[1:]
        for line in signatures.splitlines():
            m = re.fullmatch(r"\u2014 (\S+) (\S+)", line)
            if m and m[1] == name and holds(self.w, public, text.encode(), base64.b64decode(m[2])[4:]):
                return True
        self.faults.append("signed by nobody: " + signatures)
        return False


def gauge(w, name):
    m = re.search(rf"^sluice_{name} (\d+)", w.admin_get("/metrics")[1], re.M)
    return int(m[1]) if m else -1


def ask(w, n):
    for _ in range(n):
        check(w.post("hello [[mock say=fox]]", w.key)[0] == 200, "a request is answered")


def all_signed(w, he):
    """He has signed everything that is in the ledger."""
    heads = re.findall(r"(?m)^([^\n]+\+\d+)\n(\d+)\n", w.sluice("audit", "head", "--spool", w.path("spool")))
    return heads and all(he.signed.get(origin, (0,))[0] == int(size) for origin, size in heads)


def test(w, he):
    he.start("bad")
    w.write_config(audit=f", checkpoints: 200ms, witness: {{ url: 'https://localhost:{he.port}/log', ca: {w.path('up-ca.pem')} }}")
    with open(w.path("sluice.yaml")) as f:
        text = re.sub(r"  local:  .*\n", "", f.read()).replace(": local", ": openai")
    with open(w.path("sluice.yaml"), "w") as f:  # without a model, which takes long to load
        f.write(text)
    w.key = w.new_key("tester")
    w.start()
    ask(w, 3)
    wait_for("a certificate of somebody else is noticed", lambda: gauge(w, "audit_witness_failing") == 1, 10)
    log = open(w.path("gateway.log")).read()
    check("audit_witness_failed" in log and "certificate" in log and he.asked == 0, "and nothing was sent to him", log[-400:])
    ask(w, 1)
    w.stop()
    he.stop()
    he.start("up")
    w.start()
    ask(w, 3)
    wait_for("he has cosigned", lambda: gauge(w, "audit_cosigned_total") >= 1 and gauge(w, "audit_witness_failing") == 0, 10)
    ask(w, 8)
    wait_for("and what came then, with a proof", lambda: gauge(w, "audit_cosigned_total") >= 2 and all_signed(w, he), 10)
    # A crash of ours: what he has signed and we have no word of.
    w.stop()
    os.unlink(w.path("spool", "checkpoints.witnessed"))
    w.start()
    ask(w, 2)
    wait_for("he knows more than we do", lambda: he.conflicts >= 1 and all_signed(w, he), 10)
    with open(w.path("witness.keys"), "w") as f:
        f.write(he.key())
    wait_for("his word is kept", lambda: os.path.exists(w.path("spool", "checkpoints.witnessed")), 5)
    r = subprocess.run([BUILD + "/sluice", "audit", "verify", "--spool", w.path("spool"), "--witness", w.path("witness.keys")],
                       capture_output=True, text=True)
    check(r.returncode == 0 and re.search(r"(?m)^witnessed  \S+: up to \d+ \(", r.stdout), "verify says what he has seen", r.stdout + r.stderr)
    check(not he.faults, "he had nothing to complain of", he.faults[:2])
    check(he.versions == {"TLSv1.3"}, "over TLS 1.3", he.versions)
    check(w.stop() == 0, "the gateway ends")
    with open(w.path("gateway.log")) as f:
        sanitizer_findings(f.read())


def main():
    w = World(tempfile.mkdtemp(prefix="sluice-witness-"))
    before = count["failed"]
    w.start_mock()
    he = Witness(w)
    try:
        test(w, he)
    finally:
        w.end()
        if he.server is not None:
            he.stop()
    leave(w.dir, before)


if __name__ == "__main__":
    main()
    finish()
