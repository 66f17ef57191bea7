"""A world for the tests of faults and floods: a mock provider that breaks its answers, further ones with certificates that must be
refused, a gateway with short timeouts and no model of its own, and eyes on what the gateway holds."""
import glob
import os
import re
import subprocess

from wire import ask
from world import BUILD, World, check, free_port, wait_for


class FaultyWorld(World):
    """extra: more top-level YAML; limits, audit: more members of these sections."""

    def __init__(self, work, binary="sluice", env=None):
        self.servers, self.more_env, self.binary = [], env or {}, binary
        super().__init__(work)

    def certs(self):
        super().certs()
        run = lambda *a: subprocess.run(a, cwd=self.dir, check=True, capture_output=True)
        ec = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -sha256".split()
        run("openssl", "req", *ec, "-subj", "/CN=old", "-keyout", "old.key", "-out", "old.csr")
        with open(self.path("ext"), "w") as f:
            f.write("subjectAltName=DNS:localhost")
        run("openssl", "x509", "-req", "-in", "old.csr", "-CA", "up-ca.pem", "-CAkey", "up-ca.key", "-days", "-1", "-extfile", "ext",
            "-out", "old.pem")
        run("openssl", "req", "-x509", *ec, "-days", "3", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
            "-keyout", "self.key", "-out", "self.pem")

    def start_server(self, name):
        """One more provider, with this certificate; returns its TLS port."""
        p = subprocess.Popen([BUILD + "/mock-provider", "--tls-port", "0", "--cert", self.path(name + ".pem"),
                              "--key", self.path(name + ".key")], stdout=subprocess.PIPE, text=True)
        self.servers.append(p)
        return int(re.findall(r"https=(\d+)", p.stdout.readline())[0])

    def target(self, name, kind, url, connect, first_byte):
        return (f"  {name}: {{ kind: {kind}, base_url: '{url}', models: ['{name}-*'], key: file:{self.path('provider.key')}, "
                f"ca: {self.path('up-ca.pem')}, zone: approved, max_idle: 4, retries: 0, breaker: {{ failures: 0, error_rate: 0 }}, "
                f"timeouts: {{ connect: {connect}, first_byte: {first_byte}, idle: {first_byte} }} }}\n")

    def providers(self):
        return (("gpt", "openai", f"https://localhost:{self.mock_tls}/v1"), ("plain", "openai", f"http://127.0.0.1:{self.mock_http}/v1"),
                ("claude", "anthropic", f"https://localhost:{self.mock_tls}"), ("gemini", "gemini", f"http://127.0.0.1:{self.mock_http}"))

    def hasty_targets(self):
        """The same providers once more, which are given up soon when they say nothing."""
        return "".join(self.target("hasty" + n, k, u, "30s", "1500ms") for n, k, u in self.providers())

    def configure(self, limits="", extra="", more_targets="", first_byte="1m", audit="", auth="true", spool="", connect="30s"):
        self.write_secret("provider.key", "sk-" + "provider-key-of-the-test\n")
        targets = "".join(self.target(n, k, u, connect, first_byte) for n, k, u in (
            *self.providers(), *(self.bad_servers if hasattr(self, "bad_servers") else ())))
        routes = "".join(f"  - {{ model: '{n}-*', to: {n} }}\n" for n in re.findall(r"^  (\w+):", targets + more_targets, re.M))
        with open(self.path("sluice.yaml"), "w") as f:
            f.write(f"""
state_dir: {self.path('state')}
core_dumps: true   # the test reads /proc/PID/fd
listen: {{ gateway: 127.0.0.1:{self.port}, proxy: 127.0.0.1:{self.proxy}, admin: 127.0.0.1:{self.admin} }}
workers: 2
auth: {{ required: {auth} }}
targets:
{targets}{more_targets}
routes:
{routes}
policy:
  - {{ name: secrets, when: {{ class: secret }}, then: tokenize }}
intercept:
  upstream_ca: {self.path('up-ca.pem')}
  resolve: {{ api.openai.com: "127.0.0.1:{self.mock_tls}" }}
limits: {{ {limits} }}
audit: {{ spool: {spool or self.path('spool')}{audit} }}
log: {{ access: false }}
drain: 5s
{extra}""")

    def add_bad_servers(self):
        self.bad_servers = [(n, "openai", f"https://localhost:{self.start_server(c)}/v1") for n, c in
                            (("wrongname", "bad"), ("expired", "old"), ("stranger", "self"))] + [
            ("unknown", "openai", "https://nowhere.invalid/v1"), ("closed", "openai", f"http://127.0.0.1:{free_port()}/v1"),
            ("nottls", "openai", f"https://localhost:{self.mock_http}/v1")]

    def start(self):
        self.log = open(self.path("gateway.log"), "a")
        env = {**os.environ, "SSL_CERT_FILE": self.path("up-ca.pem"), **self.more_env}
        self.gateway = subprocess.Popen([f"{BUILD}/{self.binary}", "serve", "-c", self.path("sluice.yaml")], stdout=self.log,
                                        stderr=self.log, env=env)
        return wait_for("ready", lambda: self.admin_get("/readyz")[0] == 200 or self.gateway.poll() is not None, 60)

    # ---- what the gateway holds

    def fds(self):
        return len(os.listdir(f"/proc/{self.gateway.pid}/fd"))

    def rss_kb(self):
        with open(f"/proc/{self.gateway.pid}/status") as f:
            return int(re.search(r"VmRSS:\s+(\d+)", f.read())[1])

    def gauge(self, name):
        m = re.search(rf"^sluice_{name}(?:{{[^}}]*}})? (\d+)", self.admin_get("/metrics")[1], re.M)
        return -1 if m is None else int(m[1])

    def quiet(self, seconds=20):
        """Waits until no request is in flight and every client's connection is closed."""
        return wait_for("the gateway is at rest", lambda: self.gauge("requests_active") == 0 and self.gauge("connections") == 0, seconds)

    def ask(self, dialect, text, stream=False, model=None, timeout=60, headers=None):
        """(status, fields, bytes); status 0 and why when the connection broke before there was an answer."""
        try:
            return ask(self.port, dialect, text, self.key, stream, model=model, timeout=timeout, headers=headers)
        except (OSError, EOFError, ValueError) as e:
            return 0, {}, repr(e).encode()
        except Exception as e:  # http.client's own: the answer was cut in its head
            return 0, {}, repr(e).encode()

    def end(self):
        super().end()
        for p in self.servers:
            p.kill()
            p.wait()


def sanitizer_findings(log_text):
    for what in ("ERROR: AddressSanitizer", "runtime error:", "WARNING: ThreadSanitizer", "ERROR: LeakSanitizer"):
        check(what not in log_text, "no " + what, log_text[max(0, log_text.find(what)):][:2500])


def completed_and_decided(w):
    """{request: [records]} of both kinds, and where each request ended."""
    decided, completed, ends, seen = {}, {}, {}, set()
    for r in w.spool_records():
        m = r["metadata"]
        if m["uid"] in seen:
            continue
        seen.add(m["uid"])
        if m["event_code"] == "ai.request.decided":
            decided[m["correlation_uid"]] = decided.get(m["correlation_uid"], 0) + 1
        elif m["event_code"] == "ai.request.completed":
            completed[m["correlation_uid"]] = completed.get(m["correlation_uid"], 0) + 1
            ends[m["correlation_uid"]] = r["unmapped"]["sluice"]["end"]
    return decided, completed, ends


def core_files(folder):
    return glob.glob(folder + "/core*")
