"""Time and processes of tests/bench/gpu/bench.py: a budget, and programs that answer a line with a line."""
import os
import select
import subprocess
import tempfile
import time


class Budget:
    """Seconds that are left of a run, from when it began (the build before it counts too)."""

    def __init__(self, seconds, started=None, now=time.time):
        self.now, self.end = now, (started if started else now()) + seconds

    def left(self):
        return self.end - self.now()

    def lacks(self, seconds):
        """Why a part that takes so long has no time; None: it has."""
        left = self.left()
        return None if left >= seconds else f"it takes about {seconds:.0f} s, and {max(left, 0):.0f} s are left"


class Failed(Exception):
    """What a program said, or that it said nothing in time."""


class Runner:
    """A process that answers a line with a line of numbers or words; "error ..." raises Failed, and so does silence, which ends it."""

    def __init__(self, name, argv, budget, env=None):
        self.name, self.budget, self.rest, self.dead = name, budget, b"", None
        self.err = tempfile.TemporaryFile()
        try:
            self.p = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.err, env=env, bufsize=0)
        except OSError as e:
            raise Failed(f"{name}: {e}") from e

    def line(self, limit, meanwhile=None):
        end = self.budget.now() + max(1, min(limit, self.budget.left()))
        fd = self.p.stdout.fileno()
        while b"\n" not in self.rest:
            wait = end - self.budget.now()
            if wait <= 0:
                raise self.fail("no answer in time")
            if not select.select([fd], [], [], min(wait, 0.2) if meanwhile else wait)[0]:
                if meanwhile:
                    meanwhile()
                continue
            got = os.read(fd, 65536)
            if not got:
                self.err.seek(0)
                said = self.err.read().decode(errors="replace").strip().splitlines()
                raise self.fail(said[-1] if said else "it ended")
            self.rest += got
        text, self.rest = self.rest.split(b"\n", 1)
        return text.decode(errors="replace")

    def ask(self, words, limit=60, meanwhile=None):
        """meanwhile: is called five times a second until the answer comes."""
        if self.dead:
            raise Failed(self.dead)
        try:
            self.p.stdin.write((words + "\n").encode())
        except OSError:
            pass  # reading says why
        text = self.line(limit, meanwhile)
        if text.startswith("error"):
            raise Failed(f"{self.name}: {text[6:]}")
        return text

    def numbers(self, words, limit=60, meanwhile=None):
        text = self.ask(words, limit, meanwhile)
        try:
            return [float(x) for x in text.split()]
        except ValueError as e:
            raise Failed(f"{self.name}: {text}") from e

    def fail(self, why):
        self.dead = f"{self.name}: {why}"
        self.p.kill()
        return Failed(self.dead)

    def close(self):
        self.p.kill()
        self.p.wait()
        self.p.stdin.close()
        self.p.stdout.close()
        self.err.close()
