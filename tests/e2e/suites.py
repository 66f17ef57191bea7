"""The suites of real clients: installs them into the cache, runs them against the mock itself and through the gateway, and
compares what they saw. The gateway's prompts hold planted values, so equal answers mean that all of them came back."""
import concurrent.futures
import fcntl
import glob
import hashlib
import os
import shutil
import subprocess
import sys

from world import CACHE, MAIL, PHI, ROOT, SECRET, check

HERE = os.path.join(ROOT, "tests", "e2e")
PYTHON = ("openai", "anthropic", "gemini", "langchain")
NODE = ("openai", "anthropic", "gemini", "ai", "langchain")


def made(folder, lock, make):
    """The cached folder for this lock file, made once; older ones are removed."""
    with open(os.path.join(HERE, lock), "rb") as f:
        path = os.path.join(CACHE, f"{folder}-{hashlib.sha256(f.read()).hexdigest()[:12]}")
        fcntl.flock(f, fcntl.LOCK_EX)  # another test may want it at the same time
        make_once(folder, path, make)
    return path


def make_once(folder, path, make):
    if not os.path.exists(path + "/complete"):
        for old in glob.glob(os.path.join(CACHE, folder + "*")):
            shutil.rmtree(old, ignore_errors=True)
        os.makedirs(path)
        make(path)
        open(path + "/complete", "w").close()


def make_venv(path):
    subprocess.run([sys.executable, "-m", "venv", path], check=True)
    subprocess.run([path + "/bin/pip", "install", "-q", "--no-deps", "--disable-pip-version-check",
                    "-r", os.path.join(HERE, "requirements.txt")], check=True)


def make_node(path):
    shutil.copy(os.path.join(HERE, "package.json"), path)
    subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error"], cwd=path, check=True)


def set_up():
    """Returns (python, node, the folder where Node finds its packages)."""
    venv, node = made("venv", "requirements.txt", make_venv), made("node", "package.json", make_node)
    for script in glob.glob(HERE + "/*.mjs"):
        shutil.copy(script, node)
    return venv + "/bin/python", node + "/node_modules/node/bin/node", node


def environment(more):
    clean = {k: v for k, v in os.environ.items() if not k.endswith("_PROXY") and "CA" not in k and "CERT" not in k}
    return {**clean, "E2E_SECRET": SECRET, "E2E_MAIL": MAIL, "E2E_PHI": PHI, "LANGSMITH_TRACING": "false", **more}


def start(argv, env):
    """Runs one script to its end, or to its time limit (returncode None)."""
    try:
        return subprocess.run(argv, capture_output=True, text=True, env=environment(env), timeout=150)
    except subprocess.TimeoutExpired as e:
        return subprocess.CompletedProcess(argv, None, (e.stdout or b"").decode(), (e.stderr or b"").decode())


def judge(what, r):
    """The lines of a script become checks. Returns what it saw, line by line."""
    lines = r.stdout.splitlines()
    told = [line for line in lines if line.startswith(("ok ", "FAIL"))]
    for line in told:
        check(line.startswith("ok"), what + ": " + line[5:])
    check(r.returncode == 0 and len(told) > 5, what + " ran to its end", r.stdout[-300:] + r.stderr[-1500:])
    return [line[5:] for line in lines if line.startswith("same ")]


def run_sdk(what, argv, env):
    return judge(what, start(argv, env))


def scripts(tools):
    py, node, folder = tools
    yield from (("python " + s, [py, f"{HERE}/sdk_{s}.py"]) for s in PYTHON)
    yield from (("node " + s, [node, f"{folder}/sdk_{s}.mjs"]) for s in NODE)
    yield "curl", ["bash", HERE + "/sdk_curl.sh"]


once = 0


def run_all(tools, way, url, key, only=None):
    """All suites against one address. Returns {suite: what it saw}."""
    global once

    seen, jobs = {}, []
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for name, argv in scripts(tools):
            if only is None or name in only:
                once += 20
                jobs.append((name, pool.submit(start, argv, {"E2E_URL": url, "E2E_KEY": key, "E2E_SUITE": name.replace(" ", "-"),
                                                             "E2E_ONCE": str(once)})))
        for name, job in jobs:
            seen[name] = judge(f"{name} ({way})", job.result())
    return seen


# SDK, the model that decides the target, and what of its suite has an equivalent there. Through the gateway only.
ACROSS = [("openai", model, "chat stream tools structured counting errors") for model in
          ("claude-test-1", "gemini-2.5-flash", "azure-gpt", "vertex-gemini", "claude-vertex-1", "anthropic.claude-v1:0")] + \
    [("openai", "claude-test-1", "responses"), ("openai", "gemini-2.5-flash", "responses"), ("openai", "azure-gpt", "responses completions")] + \
    [("anthropic", model, "messages stream tools counting errors") for model in
     ("gpt-4o", "gemini-2.5-flash", "azure-gpt", "vertex-gemini", "claude-vertex-1", "anthropic.claude-v1:0")] + \
    [("gemini", model, "generate stream tools structured counting errors") for model in
     ("gpt-4o", "claude-test-1", "azure-gpt", "vertex-gemini", "claude-vertex-1", "anthropic.claude-v1:0")] + \
    [("node anthropic", model, "messages") for model in ("gpt-4o", "gemini-2.5-flash")]


def run_across(tools, url, key, only=None):
    """Each SDK against the targets of other kinds: its own parser judges what was translated."""
    global once
    jobs = []
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for sdk, model, parts in ACROSS:
            once += 20
            if only is None or sdk in only:
                name = sdk.split()[-1]
                argv = [tools[1], f"{tools[2]}/sdk_{name}.mjs"] if sdk.startswith("node") else [tools[0], f"{HERE}/sdk_{name}.py"]
                jobs.append((f"{sdk} to {model}", pool.submit(start, argv, {
                    "E2E_URL": url, "E2E_KEY": key, "E2E_SUITE": sdk, "E2E_ONCE": str(once), "E2E_MODEL": model, "E2E_ONLY": parts})))
        for name, job in jobs:
            judge(name, job.result())


def compare(direct, through):
    for name, got in through.items():
        check(got == direct[name], f"{name}: the same through the gateway as from the provider",
              [x for x in direct[name] if x not in got][:3] + [x for x in got if x not in direct[name]][:3])
