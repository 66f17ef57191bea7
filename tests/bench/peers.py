"""The proxies that tests/bench/gateway.py compares: certificates, configurations, starting, stopping, and what they use.

Every proxy runs alone on core 0 with one worker; all get the same certificate, TLS 1.3 with OpenSSL's ciphers, a verified
upstream, keep-alive on both sides and room for 256 idle upstream connections, so that none has to connect while it is measured."""
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

GATEWAY_CORE, LOAD_CORE = 0, 1
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LITELLM = "litellm[proxy]==1.90.7"  # never 1.82.7 or 1.82.8, which were malicious; newer ones than this need a certifi that is not published
# What an organisation would run; `on: both` of the row that scans answers too is put in for the blank.
POLICY = ("[{ name: secrets, when: { class: secret }, then: redact%s }, { name: health, when: { class: phi }, then: { zone: [process, private], "
          "else: block } }, { name: pii, when: { class: [pii, financial], confidence: '>=60' }, then: tokenize%s }]")


def program(name):
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def tree(pid):
    """The process and all below it."""
    out = [pid]
    for task in os.listdir(f"/proc/{pid}/task"):
        for child in open(f"/proc/{pid}/task/{task}/children").read().split():
            out += tree(int(child))
    return out


def cpu(pids):
    """Time on a CPU of all threads of the processes, seconds: the scheduler's nanoseconds, not the clock's ticks."""
    total = 0
    for p in pids:
        for task in os.listdir(f"/proc/{p}/task"):
            total += int(open(f"/proc/{p}/task/{task}/schedstat").read().split()[0])
    return total / 1e9


def memory_mb(pids):
    total = 0
    for p in pids:
        try:
            total += int(re.search(r"^Pss:\s+(\d+)", open(f"/proc/{p}/smaps_rollup").read(), re.M)[1])
        except ProcessLookupError:  # a child that only started something
            pass
    return total / 1024


def spawn(argv, core, **more):
    return subprocess.Popen(["taskset", "-c", str(core), *argv], **more)


class Proxy:
    """One proxy. ports: by transport (plain, tls); a transport that is not there is not measured."""

    def __init__(self, name, argv, ports, headers=(), env=None, wait=20):
        self.name, self.ports, self.headers = name, ports, list(headers)
        start = time.time()
        self.p = spawn(argv, GATEWAY_CORE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, **(env or {})})
        for port in ports.values():
            self.await_port(port, start, wait, argv)
        self.cold_ms = (time.time() - start) * 1000
        time.sleep(0.3)
        self.idle_mb = memory_mb(tree(self.p.pid))

    def await_port(self, port, start, wait, argv):
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return
            except OSError:
                if self.p.poll() is not None or time.time() - start > wait:
                    self.p.kill()
                    sys.exit(f"{self.name} did not start: {argv}")
                time.sleep(0.002)

    def pids(self):
        return tree(self.p.pid)

    def move(self, core):
        for p in self.pids():
            for task in os.listdir(f"/proc/{p}/task"):
                os.sched_setaffinity(int(task), {core})

    def stop(self):
        self.p.send_signal(signal.SIGTERM)
        try:
            self.p.wait(20)
        except subprocess.TimeoutExpired:
            self.p.kill()
            self.p.wait()


def certificates(work):
    """ca.pem, and up.pem with up.key for localhost, in the folder."""
    run = lambda *a: subprocess.run(["openssl", *a], cwd=work, check=True, capture_output=True)
    ec = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -sha256".split()
    run("req", "-x509", *ec, "-days", "3", "-subj", "/CN=bench CA", "-keyout", "ca.key", "-out", "ca.pem")
    run("req", *ec, "-subj", "/CN=localhost", "-keyout", "up.key", "-out", "up.csr")
    with open(f"{work}/ext", "w") as f:
        f.write("subjectAltName=DNS:localhost,IP:127.0.0.1")
    run("x509", "-req", "-in", "up.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "3", "-extfile", "ext", "-out", "up.pem")
    with open(f"{work}/both.pem", "w") as f:
        f.write(open(f"{work}/up.pem").read() + open(f"{work}/up.key").read())


class Mock:
    """The provider, on the core of the load. bench: fixed answers, nothing parsed; else it reads JSON and knows all APIs."""

    def __init__(self, build, work, bench):
        argv = [build + "/mock-provider", "--cert", f"{work}/up.pem", "--key", f"{work}/up.key"] + (["--bench"] if bench else [])
        self.p = spawn(argv, LOAD_CORE, stdout=subprocess.PIPE, text=True)
        ports = re.search(r"http=(\d+) https=(\d+)", self.p.stdout.readline())
        self.ports = {"plain": int(ports[1]), "tls": int(ports[2])}

    def stop(self):
        self.p.kill()
        self.p.wait()


def nginx(work, mock):
    ports = {"plain": free_port(), "tls": free_port()}
    with open(f"{work}/nginx.conf", "w") as f:
        f.write(f"""daemon off; worker_processes 1; pid {work}/nginx.pid; error_log {work}/nginx.err;
events {{ worker_connections 4096; }}
http {{ access_log off; client_body_buffer_size 256k; client_body_temp_path {work}; proxy_temp_path {work};
  fastcgi_temp_path {work}; uwsgi_temp_path {work}; scgi_temp_path {work};
  keepalive_requests 100000000; keepalive_timeout 300s; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off;
  upstream plain {{ server 127.0.0.1:{mock.ports["plain"]}; keepalive 256; keepalive_requests 100000000; }}
  upstream tls {{ server 127.0.0.1:{mock.ports["tls"]}; keepalive 256; keepalive_requests 100000000; }}
  server {{ listen 127.0.0.1:{ports["plain"]}; location / {{ proxy_pass http://plain; }} }}
  server {{ listen 127.0.0.1:{ports["tls"]} ssl; ssl_certificate {work}/up.pem; ssl_certificate_key {work}/up.key;
    ssl_protocols TLSv1.2 TLSv1.3; location / {{ proxy_pass https://tls; proxy_ssl_protocols TLSv1.2 TLSv1.3; proxy_ssl_verify on;
    proxy_ssl_trusted_certificate {work}/ca.pem; proxy_ssl_name localhost; proxy_ssl_server_name on; }} }} }}""")
    return Proxy("nginx", [program("nginx"), "-c", f"{work}/nginx.conf"], ports)


def haproxy(work, mock):
    ports = {"plain": free_port(), "tls": free_port()}
    with open(f"{work}/haproxy.cfg", "w") as f:
        f.write(f"""global
  nbthread 1
  maxconn 4096
  tune.bufsize 32768
defaults
  mode http
  timeout connect 5s
  timeout client 300s
  timeout server 120s
  http-reuse always
  option http-no-delay
frontend plain
  bind 127.0.0.1:{ports["plain"]}
  default_backend plain
backend plain
  server up 127.0.0.1:{mock.ports["plain"]} pool-max-conn 256 pool-purge-delay 300s
frontend tls
  bind 127.0.0.1:{ports["tls"]} ssl crt {work}/both.pem alpn http/1.1
  default_backend tls
backend tls
  server up 127.0.0.1:{mock.ports["tls"]} ssl verify required ca-file {work}/ca.pem sni str(localhost) verifyhost localhost pool-max-conn 256 pool-purge-delay 300s
""")
    return Proxy("haproxy", [program("haproxy"), "-db", "-f", f"{work}/haproxy.cfg"], ports)


ACCOUNTS = """prices: { currency: EUR, table: [{ model: "*", from: 2026-01-01, input: 2.00, cached_input: 0.50, output: 8.00 }] }
budgets:
  - { name: house, cost: 1000000.00 / month }
  - { name: people, per: user, requests: 100M / minute, tokens: 100000M / day, concurrency: 10000 }
  - { name: boxes, per: target, concurrency: 10000 }
"""


def sluice(build, work, name, mock, transport, on, durability="process", answers=False, claude=None, model=None, wait=20, accounts=False):
    """on: keys, all rules, policy, access log; else none of these but one rule that never matches, since a gateway without rules
    and one without records cannot be configured. accounts: keys, budgets of every kind and prices, with or without the rest. claude: a mock that has Anthropic's API; model: an embedding model's folder."""
    port, path = free_port(), f"{work}/{name}-{transport}.yaml"
    with open(os.open(f"{work}/key", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as f:
        f.write("sk-bench\n")
    with open(f"{work}/one.yaml", "w") as f:
        f.write("- { id: none, title: Nothing, class: secret, severity: low, confidence: 50,\n    pattern: 'zqxjkvbzqxjkvb[0-9]+', "
                "match: ['zqxjkvbzqxjkvb1'], no_match: ['x'] }\n")
    url = f"https://localhost:{mock.ports['tls']}" if transport == "tls" else f"http://localhost:{mock.ports['plain']}"
    up = f"base_url: '{url}/v1', key: 'file:{work}/key', zone: approved, max_idle: 256, resolve: {{ localhost: 127.0.0.1 }}, ca: '{work}/ca.pem'"
    targets, routes = [f"up: {{ kind: openai, {up} }}"], ['{ model: "*", to: up }']
    if claude:
        targets.append(f"claude: {{ kind: anthropic, base_url: 'http://127.0.0.1:{claude.ports['plain']}', key: 'file:{work}/key', zone: approved, max_idle: 256 }}")
        routes.insert(0, '{ model: "claude-*", to: claude }')
    if model:
        targets.append(f"vectors: {{ kind: engine, model: '{model}', zone: process, threads: 1 }}")
        routes.insert(0, '{ model: "all-minilm*", to: vectors }')
    both = ", on: both" if answers else ""
    policy = POLICY % (both, both) if on else "[]"
    tls = f", tls: {{ cert: '{work}/up.pem', key: '{work}/up.key' }}" if transport == "tls" else ""
    flag = "true" if on else "false"
    keys = on or accounts
    money = ACCOUNTS if accounts else ""
    dlp = "" if on else f"dlp: {{ rules: ['{work}/one.yaml'] }}\n"
    with open(path, "w") as f:
        f.write(f"""state_dir: {work}/{name}-{transport}
core_dumps: true
listen: {{ gateway: 127.0.0.1:{port}, proxy: off, admin: off{tls} }}
workers: 1
targets: {{ {', '.join(targets)} }}
routes: [{', '.join(routes)}]
policy: {policy}
auth: {{ required: {'true' if keys else 'false'} }}
audit: {{ durability: {durability} }}
log: {{ access: {flag} }}
{dlp}{money}""")
    headers = []
    if keys:
        out = subprocess.run([build + "/sluice", "keys", "create", "-c", path, "--name", "bench"], capture_output=True, text=True).stdout
        headers = ["Authorization: Bearer " + re.search(r"slk_\w+", out)[0]]
    return Proxy(name, [build + "/sluice", "serve", "-c", path], {transport: port}, headers, wait=wait)


def litellm(work, mock, cache):
    """LiteLLM, one worker, no data base, no callbacks: it has nothing of governance on. Plain HTTP only."""
    venv, port = f"{cache}/bench-litellm", free_port()
    if not os.path.exists(f"{venv}/done"):
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
        subprocess.run([f"{venv}/bin/pip", "install", "-q", "--disable-pip-version-check", LITELLM], check=True)
        open(f"{venv}/done", "w").close()
    with open(f"{work}/litellm.yaml", "w") as f:
        f.write(f"""model_list:
  - {{ model_name: gpt-4o, litellm_params: {{ model: openai/gpt-4o, api_base: "http://127.0.0.1:{mock.ports["plain"]}/v1", api_key: sk-bench }} }}
general_settings: {{ disable_spend_logs: true, master_key: sk-bench }}
litellm_settings: {{ num_retries: 0, request_timeout: 60 }}
router_settings: {{ disable_cooldowns: true }}
""")
    env = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_MODE": "PRODUCTION", "LITELLM_LOG": "ERROR", "NO_DOCS": "True", "NO_REDOC": "True",
           "DISABLE_ADMIN_UI": "True", "OTEL_SDK_DISABLED": "true", "DO_NOT_TRACK": "1"}
    argv = [f"{venv}/bin/litellm", "--config", f"{work}/litellm.yaml", "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"]
    return Proxy("litellm", argv, {"plain": port}, ["Authorization: Bearer sk-bench"], env, wait=120)
