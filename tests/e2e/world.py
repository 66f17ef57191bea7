"""What the end-to-end tests stand on: counting, waiting, ending, and a world of mock provider and gateway."""
import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import traceback

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD, CACHE, MODEL = (os.path.abspath(p) for p in sys.argv[1:4])

# Limits that only end what hangs are wide: the machine may be busy, and sanitizers make everything several times slower. What is
# judged by the clock is told in seconds of an ordinary build.
PATIENCE = 4 if os.path.basename(BUILD).endswith(("-address-undefined", "-thread")) else 1
LEAST_S = 15

# Planted values, made up here and put together so that no scanner of repositories takes them for live ones.
SECRET = "AKIA" + "QYLPMN5HFIQR7XYA"
MAIL = "anna.berger@" + "kanzlei-berger-muster.de"
PHI = "The patient John was diagnosed with HIV and hepatitis C; his medical record number is MRN 84736251. Summarise."

count = {"passed": 0, "failed": 0, "skipped": 0}


def check(ok, what, detail=""):
    if ok:
        count["passed"] += 1
    else:
        count["failed"] += 1
        print("FAIL", what, str(detail)[:1500], flush=True)
    return ok


def skip(why):
    count["skipped"] += 1
    print("SKIP ", why, flush=True)


def finish():
    """Prints the counts, which is a test's last line, and ends the process."""
    print("{passed} passed, {failed} failed, {skipped} skipped".format(**count))
    sys.exit(count["failed"] != 0)


def leave(folder, failed=0):
    """Removes a test's folder, unless more has failed than that."""
    if count["failed"] == failed:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        print("left for inspection:", folder)


@contextlib.contextmanager
def whole_test(w, *also):
    """A test in its world. However the block ends, the world ends with it, then what also does, and the process with the counts: a
    test that breaks off is a failure."""
    try:
        yield w
    except Exception:
        check(False, "the run reached its end", traceback.format_exc())
        if w.gateway is not None and w.gateway.poll() is not None:
            print(open(w.path("gateway.log")).read()[-6000:])
    finally:
        w.end()
        for fn in also:
            fn()
        leave(w.dir)
        finish()


held = []


def free_port():
    """A port that is kept for whoever the test starts there: it is bound until the test ends, nobody listens, and a server that
    sets SO_REUSEADDR may."""
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    s.bind(("127.0.0.1", 0))
    held.append(s)
    return s.getsockname()[1]


def wait_for(what, fn, seconds=30, pause=0.02):
    """What fn gives once it is true. The time limit only ends what hangs: who wants to know how long it took looks at the clock."""
    seconds = max(seconds, LEAST_S) * PATIENCE
    end = time.time() + seconds
    while time.time() < end:
        got = fn()
        if got:
            return got
        time.sleep(pause)
    return check(False, f"{what} within {seconds} s")


class World:
    """One mock provider, one gateway configuration, perhaps one broker."""

    def __init__(self, work):
        self.dir = work
        self.gateway = self.mock = None
        self.brokers = ""
        self.port, self.proxy, self.admin = free_port(), free_port(), free_port()
        self.certs()

    def path(self, *names):
        return os.path.join(self.dir, *names)

    def certs(self):
        ec = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -sha256".split()
        run = lambda *a: subprocess.run(a, cwd=self.dir, check=True, capture_output=True)
        run("openssl", "req", "-x509", *ec, "-days", "3", "-subj", "/CN=test CA", "-keyout", "up-ca.key", "-out", "up-ca.pem")
        run("openssl", "genrsa", "-out", "account.key", "2048")
        run("openssl", "rsa", "-in", "account.key", "-pubout", "-out", "account.pub")
        for name, san in (("up", "DNS:api.openai.com,DNS:localhost,DNS:other.test"), ("bad", "DNS:elsewhere.test")):
            run("openssl", "req", *ec, "-subj", "/CN=" + name, "-keyout", name + ".key", "-out", name + ".csr")
            with open(self.path("ext"), "w") as f:
                f.write("subjectAltName=" + san)
            run("openssl", "x509", "-req", "-in", name + ".csr", "-CA", "up-ca.pem", "-CAkey", "up-ca.key", "-CAcreateserial",
                "-days", "3", "-extfile", "ext", "-out", name + ".pem")

    def start_mock(self):
        self.mock_log = self.path("mock.log")
        self.mock = subprocess.Popen(
            [BUILD + "/mock-provider", "--tls-port", "0", "--cert", self.path("up.pem"), "--key", self.path("up.key"),
             "--log", self.mock_log, "--token-pub", self.path("account.pub")], stdout=subprocess.PIPE, text=True)
        line = self.mock.stdout.readline()
        self.mock_http, self.mock_tls = (int(n) for n in re.findall(r"=(\d+)", line))

    def write_secret(self, name, text):
        with open(self.path(name), "w") as f:
            f.write(text)
        os.chmod(self.path(name), 0o600)

    def write_provider_keys(self):
        """The provider's key, an AWS key pair, a service account whose tokens the mock gives."""
        self.write_secret("provider.key", "sk-" + "provider-key-of-the-test\n")
        self.write_secret("aws.id", "MOCKACCESS\n")
        self.write_secret("aws.secret", "mock-secret-of-the-tests\n")
        with open(self.path("account.key")) as f:
            self.write_secret("account.json", json.dumps({
                "type": "service_account", "project_id": "mock-project", "private_key_id": "1", "private_key": f.read(),
                "client_email": "gateway@mock-project.iam.gserviceaccount.com", "client_id": "1",
                "token_uri": f"https://localhost:{self.mock_tls}/token"}))

    def server_targets(self):
        """One target of each kind, all of them at the mock, in YAML."""
        # What the mock is told to do wrong is what a test wants to see: no second attempt, nobody is left alone.
        there = f"ca: {self.path('up-ca.pem')}, zone: approved, retries: 0, breaker: {{ failures: 0, error_rate: 0 }}"
        key = f"key: file:{self.path('provider.key')}"
        base = f"https://localhost:{self.mock_tls}"
        return f"""
  openai: {{ kind: openai, base_url: {base}/v1, {key}, {there},
            models: ["gpt-4o", "gpt-*", "text-embedding-*", "omni-*", "whisper-*"],
            default_model: gpt-4o-mini }}
  claude: {{ kind: anthropic, base_url: {base}, {key}, {there}, models: ["claude-test-1", "claude-*"] }}
  gemini: {{ kind: gemini, base_url: {base}, {key}, {there}, models: ["gemini-2.5-flash", "gemini-*"] }}
  azure: {{ kind: azure, base_url: {base}, {key}, {there}, models: ["azure-*"] }}
  vertex: {{ kind: vertex, base_url: {base}, credentials: file:{self.path('account.json')}, location: europe-west4, {there},
            models: ["vertex-*", "claude-vertex-*"] }}
  bedrock: {{ kind: bedrock, base_url: {base}, region: eu-central-1, access_key: file:{self.path('aws.id')},
             secret_key: file:{self.path('aws.secret')}, {there}, models: ["anthropic.*"] }}"""

    def write_config(self, extra="", audit=""):
        self.write_provider_keys()
        kafka = f", kafka: {{ brokers: '{self.brokers}', topic: ai.audit.v1 }}" if self.brokers else ""
        with open(self.path("sluice.yaml"), "w") as f:
            f.write(f"""
state_dir: {self.path('state')}
listen: {{ gateway: 127.0.0.1:{self.port}, proxy: 127.0.0.1:{self.proxy}, admin: 127.0.0.1:{self.admin} }}
workers: 2
targets:
  local:  {{ kind: engine, model: {MODEL}, zone: process }}
{self.server_targets()}
routes:
  - {{ model: auto, simple: local, moderate: local, complex: openai }}
  - {{ model: ["gpt-*", "text-embedding-*", "omni-*", "whisper-*"], to: openai }}
  - {{ model: ["vertex-*", "claude-vertex-*"], to: vertex }}
  - {{ model: "anthropic.*", to: bedrock }}
  - {{ model: "claude-*", to: claude }}
  - {{ model: "gemini-*", to: gemini }}
  - {{ model: "azure-*", to: azure }}
  - {{ model: "*", to: local }}
policy:
  - {{ name: secrets,  when: {{ class: secret }}, then: tokenize }}
  - {{ name: health,   when: {{ class: phi }}, then: {{ zone: [process, private], else: block }} }}
  - {{ name: personal, when: {{ class: [pii, financial], confidence: ">=60" }}, then: tokenize }}
intercept:
  upstream_ca: {self.path('up-ca.pem')}
  hosts: {{ splice: [other.test] }}
  resolve: {{ api.openai.com: "127.0.0.1:{self.mock_tls}", other.test: "127.0.0.1:{self.mock_tls}" }}
audit: {{ spool: {self.path('spool')}{kafka}{audit} }}
drain: 20s
{extra}""")

    def sluice(self, *args, check_status=True):
        r = subprocess.run([BUILD + "/sluice", *args], capture_output=True, text=True, timeout=120 * PATIENCE)
        if check_status and r.returncode != 0:
            check(False, "sluice " + " ".join(args), r.stdout + r.stderr)
        return r.stdout

    def new_key(self, name):
        return re.search(r"slk_[0-9A-Za-z]{43}", self.sluice("keys", "create", "-c", self.path("sluice.yaml"), "--name", name))[0]

    def start(self):
        self.log = open(self.path("gateway.log"), "a")
        # The token server's certificate is judged by the system's store, which a test cannot add to.
        env = dict(os.environ, SSL_CERT_FILE=self.path("up-ca.pem"))
        self.gateway = subprocess.Popen([BUILD + "/sluice", "serve", "-c", self.path("sluice.yaml")],
                                        stdout=self.log, stderr=self.log, env=env)
        return wait_for("ready", lambda: self.admin_get("/readyz")[0] == 200 or self.gateway.poll() is not None, 60)

    def stop(self, sig=signal.SIGTERM, seconds=30):
        self.gateway.send_signal(sig)
        try:
            return self.gateway.wait(seconds * PATIENCE)
        except subprocess.TimeoutExpired:
            self.gateway.kill()
            self.gateway.wait()
            return "did not stop"

    def admin_get(self, path):
        try:
            c = http.client.HTTPConnection("127.0.0.1", self.admin, timeout=30 * PATIENCE)
            c.request("GET", path)
            r = c.getresponse()
            return r.status, r.read().decode()
        except OSError:
            return 0, ""

    def post(self, text, key, model="gpt-4o", stream=False, timeout=60, headers=None):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout * PATIENCE)
        body = text if isinstance(text, bytes) else json.dumps(
            {"model": model, "stream": stream, "messages": [{"role": "user", "content": text}]}).encode()
        c.request("POST", "/v1/chat/completions", body,
                  {"Authorization": "Bearer " + key, "Content-Type": "application/json", **(headers or {})})
        r = c.getresponse()
        return r.status, dict((k.lower(), v) for k, v in r.getheaders()), r.read()

    def received(self):
        with open(self.mock_log, "rb") as f:
            return f.read()

    def spool_records(self, *which):
        out = self.sluice("audit", "tail", "--spool", self.path("spool"), "--json", "-n", "0", *which)
        return [json.loads(line) for line in out.splitlines() if line.startswith("{")]

    def end(self):
        for p in (self.gateway, self.mock):
            if p is not None and p.poll() is None:
                p.kill()
                p.wait()
