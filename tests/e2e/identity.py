#!/usr/bin/env python3
"""Who asks: keys with restrictions, client certificates made by openssl, tokens signed by Python's cryptography, the proxy's
authentication, and the records of all that.

usage: tests/e2e/identity.py BUILD-DIR CACHE-DIR MODEL
parts.py calls main() as one of its parts."""
import base64
import hashlib
import hmac
import http.client
import http.server
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback

from world import PATIENCE, World, check, count, finish, skip, wait_for

try:
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils
except ImportError:  # main() starts this file again with the SDKs' Python
    hashes = None

ISSUER, AUDIENCE = "https://id.test", "sluice"


# ---- tokens, by another implementation ----------------------------------------------------------

def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number(n):
    return b64(n.to_bytes((n.bit_length() + 7) // 8, "big"))


class Signer:
    """One key pair with a key id."""

    def __init__(self, alg, kid):
        self.alg, self.kid = alg, kid
        self.key = {"RS256": lambda: rsa.generate_private_key(65537, 2048), "PS256": lambda: rsa.generate_private_key(65537, 2048),
                    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
                    "EdDSA": ed25519.Ed25519PrivateKey.generate}[alg]()

    def jwk(self):
        pub = self.key.public_key()
        if self.alg in ("RS256", "PS256"):
            n = pub.public_numbers()
            own = {"kty": "RSA", "n": number(n.n), "e": number(n.e)}
        elif self.alg == "ES256":
            n = pub.public_numbers()
            own = {"kty": "EC", "crv": "P-256", "x": b64(n.x.to_bytes(32, "big")), "y": b64(n.y.to_bytes(32, "big"))}
        else:
            raw = pub.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
            own = {"kty": "OKP", "crv": "Ed25519", "x": b64(raw)}
        return {**own, "kid": self.kid, "use": "sig", "alg": self.alg}

    def pem(self):
        return self.key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)

    def sign(self, data):
        if self.alg == "RS256":
            return self.key.sign(data, padding.PKCS1v15(), hashes.SHA256())
        if self.alg == "PS256":
            return self.key.sign(data, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256())
        if self.alg == "ES256":
            r, s = utils.decode_dss_signature(self.key.sign(data, ec.ECDSA(hashes.SHA256())))
            return r.to_bytes(32, "big") + s.to_bytes(32, "big")
        return self.key.sign(data)

    def token(self, header=None, drop=(), **claims):
        now = int(time.time())
        body = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ann", "iat": now, "exp": now + 300, **claims}
        head = {"alg": self.alg, "typ": "JWT", "kid": self.kid, **(header or {})}
        text = ".".join(b64(json.dumps({k: v for k, v in part.items() if k not in drop and v is not None}).encode())
                        for part in (head, body))
        return text + "." + b64(self.sign(text.encode()))


class Keys(http.server.BaseHTTPRequestHandler):
    """The issuer: gives the key set that the test says."""
    served, asked, status, last = [], 0, 200, 0.0

    def do_GET(self):
        Keys.asked, Keys.last = Keys.asked + 1, time.time()
        body = json.dumps({"keys": [s.jwk() for s in Keys.served]}).encode()
        self.send_response(Keys.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


# ---- the world ----------------------------------------------------------------------------------

def make_cert(w, name, subject, san="", ca="clients", days="2"):
    run = lambda *a: subprocess.run(a, cwd=w.dir, check=True, capture_output=True)
    run("openssl", "req", *"-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes".split(), "-subj", subject,
        "-keyout", name + ".key", "-out", name + ".csr")
    with open(w.path("ext"), "w") as f:
        f.write("extendedKeyUsage=clientAuth\n" + (f"subjectAltName={san}\n" if san else ""))
    run("openssl", "x509", "-req", "-in", name + ".csr", "-CA", ca + ".pem", "-CAkey", ca + ".key", "-CAcreateserial",
        "-days", days, "-extfile", "ext", "-out", name + ".pem")


def make_certs(w):
    run = lambda *a: subprocess.run(a, cwd=w.dir, check=True, capture_output=True)
    for ca in ("clients", "others"):
        run("openssl", "req", "-x509", *"-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3".split(),
            "-subj", f"/CN={ca} CA", "-addext", "keyUsage=keyCertSign,cRLSign", "-keyout", ca + ".key", "-out", ca + ".pem")
    make_cert(w, "bot", "/O=Acme/OU=Build/CN=bot-7", "URI:spiffe://acme.test/agents/build,DNS:bot.acme.test")
    make_cert(w, "mail", "/O=Acme/CN=whatever", "email:ann@acme.test")
    make_cert(w, "nobody", "/O=Elsewhere/CN=nobody")
    make_cert(w, "gone", "/O=Acme/OU=Build/CN=gone")
    make_cert(w, "foreign", "/O=Acme/OU=Build/CN=foreign", ca="others")
    with open(w.path("ca.cnf"), "w") as f:
        f.write("[ca]\ndefault_ca=d\n[d]\ndatabase=index.txt\ncrlnumber=crlnumber\ndefault_md=sha256\ndefault_crl_days=2\n")
    open(w.path("index.txt"), "w").close()
    with open(w.path("crlnumber"), "w") as f:
        f.write("01\n")
    ca = ["openssl", "ca", "-config", "ca.cnf", "-keyfile", "clients.key", "-cert", "clients.pem"]
    run(*ca, "-revoke", "gone.pem")
    run(*ca, "-gencrl", "-out", "clients.crl")


def world(keys_port):
    w = World(tempfile.mkdtemp(prefix="sluice-identity-"))
    w.start_mock()
    w.write_provider_keys()
    make_certs(w)
    with open(w.path("sluice.yaml"), "w") as f:
        f.write(f"""
state_dir: {w.path('state')}
listen:
  gateway: 127.0.0.1:{w.port}
  proxy: 127.0.0.1:{w.proxy}
  admin: 127.0.0.1:{w.admin}
  tls: {{ cert: {w.path('up.pem')}, key: {w.path('up.key')}, clients: optional, client_ca: {w.path('clients.pem')},
         client_crl: {w.path('clients.crl')} }}
workers: 2
targets:
{w.server_targets()}
aliases: {{ fast: gpt-4o }}
auth:
  jwt:
    - {{ issuer: {ISSUER}, audience: [{AUDIENCE}, other], jwks: "http://127.0.0.1:{keys_port}/jwks", refresh: 1h,
        algorithms: [RS256, ES256, PS256], leeway: 5s, owner: acme,
        claims: {{ user: sub, team: team, groups: realm.groups }} }}
    - {{ issuer: https://file.test, audience: {AUDIENCE}, jwks: "file:{w.path('jwks.json')}", algorithms: EdDSA,
        claims: {{ user: sub, models: models }}, targets: [openai], networks: 127.0.0.0/8 }}
  mtls:
    - {{ uri: "spiffe://acme.test/agents/*", unit: Build, user_from: uri, owner: acme, team: bots, groups: [core],
        models: ["gpt-*"] }}
    - {{ email: "*@acme.test", user_from: email }}
intercept:
  auth: keys
  upstream_ca: {w.path('up-ca.pem')}
  resolve: {{ api.openai.com: "127.0.0.1:{w.mock_tls}" }}
audit: {{ spool: {w.path('spool')} }}
drain: 5s
""")
    w.sluice("ca", "init", "-c", w.path("sluice.yaml"))
    return w


def curl(w, path, *args, cert="", body=None, tls="", proxy=""):
    """Status, body and curl's exit status."""
    cmd = ["curl", "-sS", "-m", "10", "-o", "-", "-w", "\n%{http_code}", "--cacert", tls or w.path("up-ca.pem"), *args]
    if cert:
        cmd += ["--cert", w.path(cert + ".pem"), "--key", w.path(cert + ".key")]
    if body is not None:
        cmd += ["-H", "Content-Type: application/json", "-d", json.dumps(body)]
    r = subprocess.run(cmd + [path if "://" in path else f"https://localhost:{w.port}{path}"], capture_output=True, text=True)
    text, _, status = r.stdout.rpartition("\n")
    return int(status or 0), text, r.returncode


def chat(model):
    return {"model": model, "messages": [{"role": "user", "content": "hello"}]}


def bearer(token):
    return ["-H", "Authorization: Bearer " + token]


def code_of(text):
    try:
        return json.loads(text)["error"]["code"]
    except (ValueError, KeyError, TypeError):
        return text[:200]


# ---- client certificates --------------------------------------------------------------------------

def test_certificates(w):
    status, text, _ = curl(w, "/v1/chat/completions", cert="bot", body=chat("gpt-4o"))
    check(status == 200, "a client certificate that a line knows is let in", text)
    status, text, _ = curl(w, "/v1/chat/completions", *bearer("sk-" + "whatever-the-sdk-insists-on"), cert="bot", body=chat("gpt-4o"))
    check(status == 200, "beside a certificate a key of another make counts as none", text)
    status, text, _ = curl(w, "/v1/chat/completions", cert="bot", body=chat("claude-test-1"))
    check(status == 403 and code_of(text) == "model_not_allowed", "a certificate's line limits its models", text)
    status, text, _ = curl(w, "/v1/models", cert="mail")
    check(status == 200, "an e-mail address in a certificate becomes a user", text)
    status, text, _ = curl(w, "/v1/models", cert="nobody")
    check(status == 403 and code_of(text) == "certificate_not_mapped", "a certificate that no line knows is nobody", text)
    status, text, _ = curl(w, "/v1/models")
    check(status == 401, "without a certificate a key is needed (optional)", text)
    for cert, why in (("gone", "a revoked certificate"), ("foreign", "a certificate of another CA")):
        status, text, rc = curl(w, "/v1/models", cert=cert)
        check(status == 0 and rc != 0, why + " ends the handshake", (status, text))
    users = {r["actor"]["user"]["uid"]: r["actor"]["user"] for r in w.spool_records() if "user" in r.get("actor", {})}
    bot = users.get("spiffe://acme.test/agents/build", {})
    auth = {r["unmapped"]["sluice"].get("auth") for r in w.spool_records() if "ingress" in r["unmapped"]["sluice"]}
    check("mtls" in auth, "the record says how the caller proved it", auth)
    check(bot.get("credential_uid", "").startswith("mtls:") and bot.get("groups") == [{"name": "core"}],
          "the record names certificate, user and groups", users)
    check("ann@acme.test" in users, "the record names the user of an e-mail address", users)


# ---- tokens ---------------------------------------------------------------------------------------

def ask_with(w, token, model="gpt-4o"):
    return curl(w, "/v1/chat/completions", *bearer(token), body=chat(model))


def test_tokens(w, rs, es, ps):
    for signer in (rs, es, ps):
        status, text, _ = ask_with(w, signer.token(team="red", realm={"groups": ["core", "qa"]}))
        check(status == 200, f"a token signed with {signer.alg} by another implementation is let in", text)
    status, text, _ = curl(w, "/v1/chat/completions", "-H", "x-api-key: " + rs.token(), body=chat("gpt-4o"))
    check(status == 200, "a token may come where an SDK puts its key", text)
    status, text, _ = ask_with(w, rs.token(aud=["x", "other"]))
    check(status == 200, "aud may be a list", text)
    now = int(time.time())
    other = Signer("RS256", rs.kid)
    parts = rs.token().split(".")
    changed = json.loads(base64.urlsafe_b64decode(parts[1] + "==="))
    changed["sub"] = "root"
    none = b64(b'{"alg":"none"}') + "." + parts[1]
    hs_head = b64(json.dumps({"alg": "HS256", "typ": "JWT", "kid": rs.kid}).encode()) + "." + parts[1]
    bad = {
        "an expired token": (rs.token(exp=now - 60), "token_expired"),
        "a token without exp": (rs.token(drop=("exp",)), "invalid_token"),
        "a token of tomorrow (nbf)": (rs.token(nbf=now + 3600), "invalid_token"),
        "a token issued tomorrow": (rs.token(iat=now + 3600), "invalid_token"),
        "another audience": (rs.token(aud="elsewhere"), "invalid_token"),
        "another issuer": (rs.token(iss="https://evil.test"), "invalid_token"),
        "a token without a user": (rs.token(drop=("sub",)), "invalid_token"),
        "a stranger's key with a known id": (other.token(), "invalid_token"),
        "a payload changed after signing": (".".join((parts[0], b64(json.dumps(changed).encode()), parts[2])), "invalid_token"),
        "a changed signature": (parts[0] + "." + parts[1] + "." + parts[2][:-6] + "AAAAAA", "invalid_token"),
        "the public key as an HMAC key": (hs_head + "." + b64(hmac.new(rs.pem(), hs_head.encode(), hashlib.sha256).digest()),
                                          "invalid_token"),
        "no algorithm, a signature of something": (none + "." + parts[2], "invalid_token"),
        "ES256 by an RSA key's id": (es.token(header={"kid": rs.kid}), "invalid_token"),
        "crit": (rs.token(header={"crit": ["exp"], "exp": now}), "invalid_token"),
        "another kind of token": (rs.token(header={"typ": "logout+jwt"}), "invalid_token"),
        "a key of its own (jwk)": (other.token(header={"jwk": other.jwk()}), "invalid_token"),
    }
    for what, (token, code) in bad.items():
        status, text, _ = ask_with(w, token)
        check(status == 401 and code_of(text) == code, f"refused with 401 {code}: {what}", (status, text))
    status, text, _ = ask_with(w, none + ".")
    check(status == 401, "refused: a token without a signature", (status, text))
    record = [r for r in w.spool_records() if r.get("actor", {}).get("user", {}).get("uid") == "ann"
              and r["actor"]["user"].get("groups")]
    check(record and record[-1]["metadata"].get("tenant_uid") == "acme" and
          record[-1]["actor"]["user"]["groups"] == [{"name": "core"}, {"name": "qa"}], "claims become tenant and groups", record[-1:])


def test_token_file(w, ed):
    claims = {"iss": "https://file.test", "models": ["gpt-4o"]}
    status, text, _ = ask_with(w, ed.token(**claims))
    check(status == 200, "a token signed with EdDSA, keys from a file", text)
    status, text, _ = ask_with(w, ed.token(**claims), model="gpt-4.1")
    check(status == 403 and code_of(text) == "model_not_allowed", "the claim limits the models", text)
    status, text, _ = curl(w, "/v1/models", *bearer(ed.token(**claims)))
    ids = [m["id"] for m in json.loads(text)["data"]] if status == 200 else text
    check(sorted(ids) == ["fast", "gpt-4o"], "/v1/models lists what the token may use", ids)
    status, text, _ = ask_with(w, ed.token(iss="https://file.test"))
    check(status == 401, "a token without the claim that limits is refused", text)
    status, text, _ = curl(w, "/v1/files", *bearer(ed.token(**claims)), "-F", "purpose=batch", "-F", "file=@" + w.path("sluice.yaml"))
    check(status == 403, "who may use some models only cannot upload batches", (status, text))
    new = Signer("EdDSA", "file-2")
    with open(w.path("jwks.new"), "w") as f:
        json.dump({"keys": [new.jwk()]}, f)
    os.rename(w.path("jwks.new"), w.path("jwks.json"))
    got = wait_for("a changed key file is read", lambda: ask_with(w, new.token(**claims))[0] == 200, 4, 0.2)
    check(bool(got), "a changed key file is read without a restart")
    check(ask_with(w, ed.token(**claims))[0] == 401, "and the old key is nobody's any more")


def test_rotation(w, rs):
    """An unknown key id fetches at once, once in ten seconds; an issuer that is away changes nothing."""
    new = Signer("RS256", "rotated")
    Keys.served = Keys.served + [new]
    before = Keys.asked
    time.sleep(max(0.0, 8.5 - (time.time() - Keys.last)))  # within two seconds of the next fetch that a token may ask for
    status, text, _ = ask_with(w, new.token())
    check(status in (200, 503), "a key id that is not known is worth a fetch", (status, text))
    got = wait_for("the new key", lambda: ask_with(w, new.token())[0] == 200, 4, 0.1)
    check(bool(got), "a new key works within seconds, without a restart")
    for _ in range(5):
        status, text, _ = ask_with(w, Signer("ES256", "made-up").token())
        check(status == 401, "an invented key id is refused at once", (status, text))
    check(Keys.asked - before == 1, "invented key ids do not make the gateway ask again and again", Keys.asked - before)
    check(ask_with(w, rs.token())[0] == 200, "the other key goes on working")


# ---- keys -------------------------------------------------------------------------------------------

def new_key(w, name, *args):
    out = w.sluice("keys", "create", "-c", w.path("sluice.yaml"), "--name", name, *args)
    return re.search(r"sl[ka]_[0-9A-Za-z]{43}", out)[0]


def test_keys(w):
    few = new_key(w, "few", "--model", "gpt-4o,claude-*", "--user", "ann", "--team", "red", "--owner", "acme")
    there = new_key(w, "there", "--network", "10.0.0.0/8")
    claude = new_key(w, "claude-only", "--target", "claude")
    wait_for("the new keys", lambda: curl(w, "/v1/models", *bearer(claude))[0] == 200, 5)
    check(ask_with(w, few)[0] == 200 and ask_with(w, few, "fast")[0] == 200, "an allowed model is answered, by an alias too")
    status, text, _ = ask_with(w, few, "gpt-4o-mini")
    check(status == 403 and json.loads(text)["error"]["code"] == "model_not_allowed", "another model is 403 model_not_allowed", text)
    status, text, _ = curl(w, "/v1/messages", "-H", "x-api-key: " + claude, body={**chat("gemini-2.5-flash"), "max_tokens": 9})
    check(status in (403, 404), "a target that is not allowed is as if not there", (status, text))
    status, text, _ = curl(w, "/v1/messages", "-H", "x-api-key: " + few, "-H", "anthropic-version: 2023-06-01",
                           body={**chat("gemini-2.5-flash"), "max_tokens": 9})
    check(status == 403 and json.loads(text)["error"]["type"] == "permission_error", "in Anthropic's words: permission_error", text)
    status, text, _ = curl(w, "/v1beta/models/gemini-2.5-flash:generateContent", "-H", "x-goog-api-key: " + few,
                           body={"contents": [{"parts": [{"text": "hello"}]}]})
    check(status == 403 and json.loads(text)["error"]["status"] == "PERMISSION_DENIED", "in Gemini's words: PERMISSION_DENIED", text)
    status, text, _ = curl(w, "/v1/models", *bearer(there))
    check(status == 403 and code_of(text) == "address_not_allowed", "a wrong address is 403 address_not_allowed", text)
    ids = [m["id"] for m in json.loads(curl(w, "/v1/models", *bearer(few))[1])["data"]]
    check(set(ids) == {"gpt-4o", "fast", "claude-test-1"}, "/v1/models lists what the key may use", ids)
    ids = [m["id"] for m in json.loads(curl(w, "/v1/models", *bearer(claude))[1])["data"]]
    check("claude-test-1" in ids and "gpt-4o" not in ids, "/v1/models lists only allowed targets' models", ids)
    rotated = re.search(r"slk_\w+", w.sluice("keys", "rotate", "-c", w.path("sluice.yaml"), "few", "--grace", "1h"))[0]
    wait_for("the rotated key", lambda: ask_with(w, rotated)[0] == 200, 5)
    check(ask_with(w, few)[0] == 200, "the old key works through its grace")
    w.sluice("keys", "rotate", "-c", w.path("sluice.yaml"), "few")
    gone = wait_for("the old key's end", lambda: ask_with(w, rotated)[0] == 401, 5)
    check(bool(gone), "without a grace the old key ends at once")
    w.sluice("keys", "update", "-c", w.path("sluice.yaml"), "there", "--network", "")
    check(bool(wait_for("the update", lambda: curl(w, "/v1/models", *bearer(there))[0] == 200, 5)), "an update holds within a second")
    w.sluice("keys", "revoke", "-c", w.path("sluice.yaml"), "there")
    check(bool(wait_for("the revocation", lambda: curl(w, "/v1/models", *bearer(there))[0] == 401, 5)), "a revocation too")
    changes = [r for r in w.spool_records() if r["metadata"]["event_code"] == "sluice.changed"]
    told = [(r["unmapped"]["sluice"]["entity_name"], r["unmapped"]["sluice"]["change"]) for r in changes]
    check(sorted(told) == sorted([("few", "create"), ("there", "create"), ("claude-only", "create"), ("few", "rotate"),
                                  ("few", "rotate"), ("there", "update"), ("there", "revoke")]),
          "each change of a key is one record", told)
    update = next((r["unmapped"]["sluice"] for r in changes if r["unmapped"]["sluice"]["change"] == "update"), {})
    check(update.get("before", {}).get("networks") == ["10.0.0.0/8"] and update.get("after", {}).get("networks") == [],
          "the record has old and new", update)
    check("slk_" not in json.dumps(changes), "no record holds a key")


# ---- the admin port ----------------------------------------------------------------------------------

def admin(w, method, path, key="", body=None, kind="application/json"):
    c = http.client.HTTPConnection("127.0.0.1", w.admin, timeout=10 * PATIENCE)
    headers = {"Authorization": "Bearer " + key} if key else {}
    if body is not None:
        headers["Content-Type"] = kind
    c.request(method, path, None if body is None else json.dumps(body), headers)
    r = c.getresponse()
    return r.status, r.read().decode()


def test_admin(w):
    keys = {role: new_key(w, "admin-" + role, "--role", role) for role in ("viewer", "auditor", "operator", "admin")}
    # Slowly: a key that is not known yet counts as a wrong one, of which an address may send nine a minute.
    wait_for("the admin keys", lambda: admin(w, "GET", "/api/whoami", keys["admin"])[0] == 200, 5, 0.7)
    check(admin(w, "GET", "/healthz")[0] == 200 and admin(w, "GET", "/metrics")[0] == 200, "health and metrics need no key")
    check(admin(w, "GET", "/api/whoami")[0] == 401 and admin(w, "GET", "/api/nothing")[0] == 401, "all of /api needs one")
    wanted = {("GET", "/api/keys"): {"auditor", "admin"}, ("GET", "/api/whoami"): set(keys),
              ("GET", "/api/changes"): {"auditor", "admin"}, ("DELETE", "/api/keys/none"): {"admin"}}
    for (method, path), roles in wanted.items():
        for role, key in keys.items():
            status = admin(w, method, path, key)[0]
            check((status != 403) == (role in roles), f"{method} {path} as {role}", status)
    status, text = admin(w, "POST", "/api/keys", keys["admin"], {"name": "made", "models": ["gpt-*"], "expires": "1d"})
    made = json.loads(text)
    check(status == 201 and made["key"].startswith("slk_") and made["info"]["models"] == ["gpt-*"], "POST /api/keys", text)
    check(bool(wait_for("the key of the API", lambda: ask_with(w, made["key"])[0] == 200, 5)), "its key works")
    check(admin(w, "POST", "/api/keys", keys["admin"], {"name": "x"}, "text/plain")[0] == 415, "a body must be JSON")
    check(admin(w, "POST", "/api/keys", keys["admin"], {"name": "made"})[0] == 409, "a name that is taken is 409")
    check(admin(w, "DELETE", "/api/keys/made", keys["admin"])[0] == 200, "DELETE /api/keys/NAME")
    check(bool(wait_for("the revocation", lambda: ask_with(w, made["key"])[0] == 401, 5)), "and works no longer")
    check(ask_with(w, keys["admin"])[0] == 401, "an admin key opens no model")
    check(made["key"] not in admin(w, "GET", "/api/keys", keys["auditor"])[1], "a list holds no key")
    wrong = lambda: admin(w, "GET", "/api/whoami", "sla_" + "wrong")[0]
    check(wrong() == 401 and [wrong() for _ in range(12)][-1] == 429, "wrong admin keys are slowed down")


# ---- the proxy port ------------------------------------------------------------------------------------

def connect(w, credential):
    with socket.create_connection(("127.0.0.1", w.proxy), 10 * PATIENCE) as s:
        line = f"Proxy-Authorization: {credential}\r\n" if credential else ""
        s.sendall(f"CONNECT api.openai.com:443 HTTP/1.1\r\nHost: api.openai.com:443\r\n{line}\r\n".encode())
        return s.recv(4096).decode()


def test_proxy(w, rs):
    basic = lambda user, password: "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
    key, far = new_key(w, "tunnel"), new_key(w, "far", "--target", "claude")
    wait_for("the key", lambda: " 200 " in connect(w, basic("any", key)), 5)
    answer = connect(w, "")
    check(answer.startswith("HTTP/1.1 407 ") and "Proxy-Authenticate: Basic" in answer and "Proxy-Authenticate: Bearer" in answer,
          "without a credential the proxy asks for one", answer)
    check(" 200 " in connect(w, basic(key, "")), "a key as the user")
    check(" 200 " in connect(w, "Bearer " + rs.token()) and " 200 " in connect(w, basic("jwt", rs.token())),
          "a token as Bearer, and as the password")
    check(" 407 " in connect(w, "Bearer " + rs.token(exp=1)), "an expired token is 407")
    check(bool(wait_for("the other key", lambda: " 403 " in connect(w, basic("any", far)), 5)), "a host that the key may not use is 403")
    got = curl(w, "https://api.openai.com/v1/chat/completions", "-x", f"http://any:{key}@127.0.0.1:{w.proxy}",
               *bearer("sk-" + "own"), body=chat("gpt-4o"), tls=w.path("state", "ca", "ca.pem"))
    check(got[0] == 200, "through the tunnel", got)


def test_sdk(w, es):
    try:
        import openai
    except ImportError:
        skip("identity: the openai SDK is not installed for this Python")
        return
    ctx = __import__("ssl").create_default_context(cafile=w.path("up-ca.pem"))
    try:
        import httpx2 as httpx
    except ImportError:
        import httpx
    make = lambda token: openai.OpenAI(api_key=token, base_url=f"https://localhost:{w.port}/v1", max_retries=0,
                                       http_client=httpx.Client(verify=ctx))
    r = make(es.token()).chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hi"}])
    check(bool(r.choices), "the openai SDK with a token as its key")
    try:
        make(es.token(exp=1)).models.list()
        check(False, "the SDK sees that the token expired")
    except openai.AuthenticationError as e:
        check(e.code == "token_expired", "the SDK sees that the token expired", e)


def test_reload(w, rs):
    """What a reload keeps, and what it reads anew."""
    asked = Keys.asked
    ca = ["openssl", "ca", "-config", "ca.cnf", "-keyfile", "clients.key", "-cert", "clients.pem"]
    check(curl(w, "/v1/models", cert="mail")[0] == 200, "a certificate before its revocation")
    for args in (["-revoke", "mail.pem"], ["-gencrl", "-out", "clients.crl"]):
        subprocess.run(ca + args, cwd=w.dir, check=True, capture_output=True)
    w.gateway.send_signal(signal.SIGHUP)
    gone = wait_for("the new revocation list", lambda: curl(w, "/v1/models", cert="mail")[0] == 0, 5, 0.1)
    check(bool(gone), "a reload reads the revocation list anew")
    check(ask_with(w, rs.token())[0] == 200 and Keys.asked == asked, "and keeps the issuers' keys", Keys.asked - asked)


def run():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Keys)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    rs, es, ps, ed = Signer("RS256", "r1"), Signer("ES256", "e1"), Signer("PS256", "p1"), Signer("EdDSA", "file-1")
    Keys.served = [rs, es, ps]
    w = world(server.server_address[1])
    try:
        with open(w.path("jwks.json"), "w") as f:
            json.dump({"keys": [ed.jwk()]}, f)
        if not check(w.start() and w.gateway.poll() is None, "the gateway starts", open(w.path("gateway.log")).read()[-800:]):
            return
        for part, args in ((test_certificates, ()), (test_tokens, (rs, es, ps)), (test_keys, ()), (test_token_file, (ed,)),
                           (test_admin, ()), (test_proxy, (rs,)), (test_sdk, (es,)), (test_rotation, (rs,)), (test_reload, (rs,))):
            try:
                part(w, *args)
            except Exception:
                check(False, part.__name__ + " reached its end", traceback.format_exc())
        log = open(w.path("gateway.log")).read()
        told = re.search(r"(slk_|sla_|eyJ)[0-9A-Za-z]{8}.*", log)
        check(told is None, "no credential in the log", told and told[0][:200])
        check(w.stop() == 0, "the gateway stops", log[-500:])
        for what in ("ERROR: AddressSanitizer", "runtime error:", "WARNING: ThreadSanitizer", "ERROR: LeakSanitizer"):
            log = open(w.path("gateway.log")).read()
            check(what not in log, "no " + what, log[log.find(what):][:1500])
    finally:
        w.end()
        server.shutdown()
        shutil.rmtree(w.dir, ignore_errors=True)


def main():
    if "--quick" in sys.argv:
        if hashes is None:
            skip("identity: this Python has no cryptography to sign tokens with")
        else:
            run()
        return
    from suites import set_up
    r = subprocess.run([set_up()[0], __file__, *sys.argv[1:4]], capture_output=True, text=True)
    print("".join(line + "\n" for line in r.stdout.splitlines() if line.startswith(("FAIL", "SKIP"))), end="")
    m = re.search(r"(\d+) passed, (\d+) failed, (\d+) skipped\n$", r.stdout)
    if check(m is not None, "the identity part ran", r.stdout + r.stderr):
        for name, n in zip(("passed", "failed", "skipped"), m.groups()):
            count[name] += int(n)


if __name__ == "__main__":
    if hashes is None:
        main()
    else:  # also what main() starts, with the SDKs' Python
        run()
    finish()
