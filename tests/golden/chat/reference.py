"""Chat templates as the makers of models test them: Jinja2 in a sandbox, with what their environment adds.

Written from the documentation of chat templates (trim_blocks, lstrip_blocks, break and continue, tojson without HTML's escapes,
strftime_now, raise_exception, {% generation %}) and that of Jinja2; needs the package jinja2, and shares nothing with the
engine. Dates are UTC and of a moment that the case names."""
import json
import os
import subprocess
import time

os.environ["TZ"] = "UTC"
time.tzset()


class Refused(Exception):
    """What raise_exception() says."""


def environment(now):
    """An environment whose clock stands at `now`, in seconds since 1970."""
    from jinja2 import nodes
    from jinja2.exceptions import TemplateError
    from jinja2.ext import Extension, loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Generation(Extension):
        """{% generation %}: for a prompt, its body."""
        tags = {"generation"}

        def parse(self, parser):
            line = next(parser.stream).lineno
            body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
            return nodes.CallBlock(self.call_method("keep"), [], [], body).set_lineno(line)

        def keep(self, caller):
            return caller()

    def raise_exception(message):
        raise TemplateError(message)

    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols])
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = lambda form: time.strftime(form, time.gmtime(now))
    return env


def render(case):
    """The text that the case's template makes, or None when it fails."""
    try:
        env = environment(case.get("now", 1))
        return env.from_string(case["template"]).render(**({"tools": None, "documents": None, "add_generation_prompt": False, "bos_token": "",
                                                           "eos_token": ""} | case["vars"]))
    except Exception:
        return None


class Engine:
    """The engine's renderer: BUILD/tests/bench/chat_try."""

    def __init__(self, build):
        self.process = subprocess.Popen([build + "/tests/bench/chat_try"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def render(self, case):
        """{"text": ...} or {"error": ...}."""
        self.process.stdin.write(json.dumps(case, ensure_ascii=False).encode() + b"\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())
