#!/usr/bin/env python3
"""Whether Medusa heads pay on this machine: one gateway, one model twice, with heads and without; each prompt is asked of both in turn, and
both must answer alike.

usage: tests/bench/medusa.py BUILD-DIR MODEL HEADS [--threads 2] [--tokens 96] [--prompts FILE]
Prints, for greedy answers and for drawn ones (temperature 0.7, a seed each), tokens a second of whole requests with and without, and
of the tokens that were guessed the share that was taken, by who guessed. Prompt lookup guesses in both."""
import argparse
import json
import os
import tempfile
import time
import urllib.request

from peers import Proxy, free_port

PROMPTS = ["How do I prepare for a long walk in the mountains?", "Write a letter to a neighbour about a noisy dog.",
           "What happens when water boils?", "Explain what a budget is and how to make one.", "Tell me about the life of a fisherman.",
           "Compare cats and dogs as pets.", "Why do leaves change their colour in autumn?", "Give me a recipe for vegetable soup."]
GUESSERS = (("all", ""), ("heads", "medusa_"))


def ask(port, target, prompt, tokens, temperature, seed):
    """The answer, its tokens, and the seconds it took."""
    body = {"model": target, "max_tokens": tokens, "temperature": temperature, "seed": seed, "messages": [{"role": "user", "content": prompt}]}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/chat/completions", json.dumps(body).encode(), {"content-type": "application/json"})
    begin = time.perf_counter()
    with urllib.request.urlopen(request) as answer:
        got = json.load(answer)
    return got["choices"][0]["message"]["content"], got["usage"]["completion_tokens"], time.perf_counter() - begin


def counters(port):
    """Guessed and taken by whom, of the target with heads."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        lines = dict(line.rsplit(" ", 1) for line in answer.read().decode().splitlines() if line[:1] != "#")
    return {who: [int(lines[f'sluice_engine_draft_{part}{what}_total{{target="with"}}']) for what in ("tokens", "taken")] for who, part in GUESSERS}


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("build", "model", "heads"):
        args.add_argument(name)
    args.add_argument("--threads", type=int, default=2)
    args.add_argument("--tokens", type=int, default=96)
    args.add_argument("--prompts")
    a = args.parse_args()
    prompts = PROMPTS
    if a.prompts:
        with open(a.prompts, encoding="utf-8") as f:
            prompts = f.read().splitlines()
    port, admin = free_port(), free_port()
    common = f"kind: engine, zone: process, threads: {a.threads}, device: cpu, model: '{os.path.abspath(a.model)}'"
    with tempfile.TemporaryDirectory() as work:
        with open(f"{work}/sluice.yaml", "w", encoding="utf-8") as f:
            f.write(f"""state_dir: {work}/state
listen: {{ gateway: 127.0.0.1:{port}, proxy: off, admin: 127.0.0.1:{admin} }}
targets:
  without: {{ {common}, models: [without] }}
  with: {{ {common}, models: [with], medusa: '{os.path.abspath(a.heads)}' }}
routes: [{{ model: with, to: with }}, {{ model: without, to: without }}]
auth: {{ required: false }}
""")
        gateway = Proxy("sluice", [a.build + "/sluice", "serve", "-c", f"{work}/sluice.yaml"], {"plain": port})
        try:
            for target in ("without", "with"):
                ask(port, target, "Hello", 8, 0, 1)
            for temperature in (0, 0.7):
                total = {"with": [0, 0.0], "without": [0, 0.0]}
                before = counters(admin)
                for i, prompt in enumerate(prompts):
                    texts = set()
                    for target in ("with", "without")[:: 1 if i % 2 else -1]:
                        text, tokens, seconds = ask(port, target, prompt, a.tokens, temperature, i + 1)
                        total[target][0] += tokens
                        total[target][1] += seconds
                        texts.add(text)
                    if len(texts) != 1:
                        raise SystemExit(f"the answers to {prompt!r} differ")
                rate = {target: n / seconds for target, (n, seconds) in total.items()}
                print(f"temperature {temperature}: without {rate['without']:.1f}, with {rate['with']:.1f} tokens/s ({rate['with'] / rate['without']:.2f}x), "
                      f"{total['with'][0]} tokens, answers alike")
                for who, (guessed, taken) in counters(admin).items():
                    guessed, taken = guessed - before[who][0], taken - before[who][1]
                    print(f"  {who}: {guessed} guessed, {taken} taken ({100 * taken / max(guessed, 1):.0f} %)")
        finally:
            gateway.p.kill()
            gateway.p.wait()


main()
