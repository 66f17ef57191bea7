#!/usr/bin/env python3
"""Random chat templates: what the engine renders is what jinja2 renders.

usage: tests/golden/chat/compare.py BUILD-DIR [CASES [SEED]]     needs the package jinja2, and BUILD-DIR/tests/bench/chat_try
A template is drawn from the subset that docs/models.md names, with values beside it: names that it sets are not those of values (jinja2 decides
that when it compiles), and only ASCII changes its case. Where jinja2 fails, the engine must not crash; where
jinja2 renders, the engine renders the same bytes. Prints the first differences and ends with "N passed, N failed, N skipped"."""
import json
import random
import sys

import reference

CASES = int(sys.argv[2]) if len(sys.argv) > 2 else 3000
SEED = int(sys.argv[3]) if len(sys.argv) > 3 else 1
NOW = 1700000000

rng = random.Random(SEED)
STRINGS = ["", "a", "B c", " x\n", "é😀", "\"q'\\", "one two  three", "<b>", "12", "-3", "x_y-z", "line\nnext\n\nend", "\t", "None", "aXbXc"]
NUMBERS = [0, 1, 2, 3, -1, -7, 10, 100, 0.5, -2.25, 1e16, 3.0]
KEYS = ["a", "b", "name", "items", "key one"]
NAMES = ["s", "t", "n", "m", "l", "d", "flag", "none_", "missing", "messages", "x"]


def value(depth=0):
    kind = rng.randrange(9 if depth < 3 else 6)
    if kind == 0:
        return None
    if kind == 1:
        return rng.random() < 0.5
    if kind == 2:
        return rng.choice(NUMBERS)
    if kind < 6:
        return rng.choice(STRINGS)
    if kind == 6:
        return {k: value(depth + 1) for k in rng.sample(KEYS, rng.randrange(4))}
    return [value(depth + 1) for _ in range(rng.randrange(4))]


def values():
    words = {"s": rng.choice(STRINGS), "t": rng.choice(STRINGS), "n": rng.choice([0, 1, 2, 3, 5]), "m": rng.choice(NUMBERS), "l": [value(1) for _ in range(rng.randrange(5))],
             "d": {k: value(1) for k in rng.sample(KEYS, rng.randrange(1, 5))}, "flag": rng.random() < 0.5, "none_": None}
    roles = ["system", "user", "assistant", "tool"]
    words["messages"] = [{"role": rng.choice(roles), "content": rng.choice(STRINGS)} | ({"tool_calls": [value(1)]} if rng.random() < 0.2 else {}) for _ in range(rng.randrange(1, 5))]
    return words


def literal():
    kind = rng.randrange(6)
    if kind == 0:
        return str(rng.choice([0, 1, 2, 7, 1.5, 12]))
    if kind == 1:
        return rng.choice(["true", "false", "none", "True", "None"])
    if kind == 2:
        return "[" + ", ".join(str(rng.randrange(5)) for _ in range(rng.randrange(4))) + "]"
    if kind == 3:
        return "{" + ", ".join(f"'{k}': {rng.randrange(9)}" for k in rng.sample(["a", "b", "c"], rng.randrange(3))) + "}"
    return rng.choice(["'a'", "\"b\"", "''", "'x\\ny'", "' '", "'X'", "'-'", "'a' 'b'"])


def string(depth):
    if depth <= 0:
        return rng.choice(["s", "t", "'ab'", "'x y'", "messages[0].content", "messages[-1]['role']"])
    inner = string(depth - 1)
    kind = rng.randrange(14)
    if kind == 0:
        return f"({inner} ~ {expression(depth - 1)})"
    if kind == 1:
        return f"({inner} + {string(depth - 1)})"
    if kind == 2:
        return f"{inner}.{rng.choice(['strip', 'lstrip', 'rstrip'])}({rng.choice(['', '', repr(chr(10)), repr('ax')])})"
    if kind == 3:
        return f"({inner} | {rng.choice(['trim', 'string', 'indent', 'indent(2, true)', 'indent(1, blank=true)', 'reverse'])})"
    if kind == 4:
        return f"{inner}[{rng.choice(['', '1', '-2', '0'])}:{rng.choice(['', '3', '-1', '100'])}{rng.choice(['', '', ':2', ':-1'])}]"
    if kind == 5:
        return f"({inner} | replace({rng.choice(['X', 'a', ' '])!r}, {rng.choice(['', '<>', 'aa'])!r}))"
    if kind == 6:
        return f"{inner}.split({rng.choice(['', repr(' '), repr('X'), repr(chr(10))])})[{rng.choice(['0', '-1'])}]"
    if kind == 7:
        return f"({expression(depth - 1)} | tojson{rng.choice(['', '', '(indent=2)', '(ensure_ascii=true)', '(sort_keys=true)'])})"
    if kind == 8:
        return f"({sequence(depth - 1)} | join({rng.choice(['', repr(', '), repr('-')])}))"
    if kind == 9:
        return f"({inner} if {expression(depth - 1)} else {string(depth - 1)})"
    if kind == 10:
        return f"({rng.choice([repr('aXbXc'), repr('hello wORLD'), repr('x-y_z')])} | {rng.choice(['upper', 'lower', 'capitalize', 'title'])})"
    if kind == 11:
        return f"({inner} * {rng.choice(['2', 'n', '0'])})"
    if kind == 12:
        return f"mac({expression(depth - 1)}{rng.choice(['', ', 2', ', b=s'])})"
    return f"({inner} | default({literal()}))"


def sequence(depth):
    if depth <= 0:
        return rng.choice(["l", "messages", "[1, 2, 3]", "'abc'", "(range(3) | list)", "[]"])
    inner = sequence(depth - 1)
    kind = rng.randrange(10)
    if kind == 0:
        return f"({inner} | list)"
    if kind == 1:
        return f"{inner}[{rng.choice(['', '1', '-1'])}:{rng.choice(['', '2', '-1'])}]"
    if kind == 2:
        return f"({inner} | {rng.choice(['select', 'reject'])}({rng.choice([repr('string'), repr('none'), repr('defined'), repr('number')])}) | list)"
    if kind == 3:
        return f"(messages | {rng.choice(['selectattr', 'rejectattr'])}('role', {rng.choice(['equalto', 'ne', 'in'])!r}, {rng.choice([repr('user'), '[' + repr('user') + ']'])}) | list)"
    if kind == 4:
        return f"(messages | map(attribute={rng.choice(['role', 'content', 'x'])!r}{rng.choice(['', ', default=0'])}) | list)"
    if kind == 5:
        return "(d.items() | list)"
    if kind == 6:
        return "(d | dictsort)"
    if kind == 7:
        return f"({inner} | map('string') | {rng.choice(['list', 'unique | list', 'sort', 'sort(reverse=true)'])})"
    if kind == 8:
        return f"([{expression(depth - 1)}, {expression(depth - 1)}] + l)"
    return f"({inner} | list | reverse | list)"


def number(depth):
    if depth <= 0:
        return rng.choice(["n", "m", "1", "2", "7", "loopless"])
    kind = rng.randrange(6)
    if kind < 3:
        return f"({number(depth - 1)} {rng.choice(['+', '-', '*', '//', '%', '/'])} {number(depth - 1)})"
    if kind == 3:
        return f"({rng.choice([sequence, string])(depth - 1)} | length)"
    if kind == 4:
        return f"(-{number(depth - 1)} | {rng.choice(['abs', 'int', 'float', 'round', 'round(1)'])})"
    return f"({string(depth - 1)} | int({rng.choice(['', '4'])}))"


TESTS = ["defined", "undefined", "none", "string", "number", "integer", "float", "boolean", "true", "false", "mapping", "sequence", "iterable", "odd", "even",
         "divisibleby 2", "eq 1", "in [1, 'a']"]


def truth(depth):
    kind = rng.randrange(6)
    if kind == 0:
        return f"({expression(depth - 1)} is {rng.choice(['', 'not '])}{rng.choice(TESTS)})"
    if kind == 1:
        return f"({expression(depth - 1)} {rng.choice(['==', '!='])} {expression(depth - 1)})"
    if kind == 2:
        return f"({number(depth - 1)} {rng.choice(['<', '<=', '>', '>='])} {number(depth - 1)})"
    if kind == 3:
        return f"({expression(depth - 1)} {rng.choice(['in', 'not in'])} {sequence(depth - 1)})"
    if kind == 4:
        return f"(not {expression(depth - 1)} {rng.choice(['and', 'or'])} {expression(depth - 1)})"
    return f"{string(depth - 1)}.{rng.choice(['startswith', 'endswith'])}({rng.choice(['a', 'x', ''])!r})"


def expression(depth):
    if depth <= 0:
        return rng.choice([*NAMES, literal(), literal()])
    kind = rng.randrange(9)
    if kind < 2:
        return string(depth)
    if kind == 2:
        return number(depth)
    if kind == 3:
        return sequence(depth)
    if kind == 4:
        return truth(depth)
    if kind == 5:
        return f"d{rng.choice(['.a', '.name', '[' + repr('b') + ']', '.get(' + repr('a') + ')', '.get(' + repr('q') + ', 1)'])}"
    if kind == 6:
        return f"({expression(depth - 1)} {rng.choice(['and', 'or'])} {expression(depth - 1)})"
    if kind == 7:
        return f"({expression(depth - 1)} if {truth(depth - 1)}{rng.choice(['', ' else ' + expression(depth - 1)])})"
    return rng.choice(NAMES)


def blanks():
    return rng.choice(["", "", " ", "\n", "  ", "\n  ", " \n", "x", "text \n", "\n\n"])


def tag(inside):
    return "{%" + rng.choice(["", "", "-", "-", "+"]) + " " + inside + " " + rng.choice(["", "", "-", "-", "+"]) + "%}"


def output(inside):
    return "{{" + rng.choice(["", "-"]) + " " + inside + " " + rng.choice(["", "-"]) + "}}"


def statements(depth, loop=False):
    return blanks().join([blanks(), *(statement(depth, loop) for _ in range(rng.randrange(1, 4))), blanks()])


def statement(depth, loop):
    kind = rng.randrange(12 if depth > 0 else 4)
    if kind < 3:
        return output(expression(rng.randrange(4)))
    if kind == 3:
        return tag(f"set {rng.choice(['x', 'y'])} = {expression(2)}") if rng.random() < 0.7 else "{#" + rng.choice(["", "-"]) + " note " + rng.choice(["", "-"]) + "#}"
    if kind < 6:
        return tag(f"if {truth(2)}") + statements(depth - 1, loop) + (tag(f"elif {truth(1)}") + statements(depth - 1, loop) if rng.random() < 0.3 else "") \
            + (tag("else") + statements(depth - 1, loop) if rng.random() < 0.5 else "") + tag("endif")
    if kind < 8:
        body = output(rng.choice(["loop.index", "loop.index0", "loop.first", "loop.last", "loop.length", "loop.revindex", "loop.previtem", "loop.nextitem", "i"]))
        condition = rng.choice(["", "", f" if {truth(1)}"])
        return tag(f"for i in {sequence(2)}{condition}") + body + statements(depth - 1, True) + tag("endfor")
    if kind == 8:
        return tag(f"for k, w in {rng.choice(['d.items()', 'd | dictsort', 'd | items'])}") + output("k ~ w") + tag("else") + "none" + tag("endfor")
    if kind == 9:
        return tag(f"set {rng.choice(['ns.x', 'y', 'y | trim'])}") + statements(depth - 1, loop) + tag("endset") + output(rng.choice(["ns.x", "y"]))
    if kind == 10:
        return tag(rng.choice(["filter trim", "filter indent(2)", "filter replace('a', 'b') | trim", "with x = 1, y = s", "generation", "call mac(1)"])) + statements(depth - 1) + "{% END %}"
    return tag(f"if {truth(1)}") + tag(rng.choice(["break", "continue"])) + tag("endif") if loop else output("ns.x")


def template():
    head = "{% set ns = namespace(x=0) %}{% macro mac(a, b='B') %}<{{ a }}|{{ b }}{% if caller %}{{ caller() }}{% endif %}>{% endmacro %}"
    text = head + statements(3)
    while "{% END %}" in text:  # the innermost block that is open there
        before, after = text.split("{% END %}", 1)
        depth = 0
        for piece in reversed(before.split("{%")[1:]):
            word = piece.lstrip("+- ").split(" ")[0].split("(")[0]
            if word in ("endfilter", "endwith", "endgeneration", "endcall"):
                depth += 1
            elif word in ("filter", "with", "generation", "call"):
                if depth == 0:
                    break
                depth -= 1
        text = before + "{% end" + word + " %}" + after
    return text


def main():
    try:
        reference.environment(NOW)
    except ImportError:
        print("SKIP  jinja2 is not installed")
        print("0 passed, 0 failed, 1 skipped")
        return 0
    engine = reference.Engine(sys.argv[1])
    rendered = refused = failed = 0
    for i in range(CASES):
        case = {"template": template(), "vars": values(), "now": NOW}
        want, got = reference.render(case), engine.render(case)
        if want is None or "generator object" in want or "built-in method" in want or " at 0x" in want or "range(" in want or "iterator" in want:
            refused += 1  # Python's own words for what has no text
        elif got.get("text") == want:
            rendered += 1
        else:
            failed += 1
            if failed <= 5:
                print(f"FAIL  case {i} of seed {SEED}\n{json.dumps(case, ensure_ascii=False)}\nwant {want!r}\ngot  {got}")
    print(f"{rendered} templates render the same, {refused} have no text in jinja2")
    print(f"{rendered} passed, {failed} failed, 0 skipped")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
