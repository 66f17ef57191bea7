#!/usr/bin/env python3
"""Writes the golden cases of chat templates, cases.jsonl: one object a line with the template, its values and what jinja2 makes of
them ("want"; null: it fails). tests/unit/engine/test_chat_golden.c renders the same with the engine.

Usage:  python3 tests/golden/chat/make.py     (needs the package jinja2)"""
import json
import os

from reference import render
from templates import BLANKS, CONVERSATIONS, FAMILIES, SMALL, TOOL, VALUES


def cases():
    for family, template in FAMILIES.items():
        for name, messages in CONVERSATIONS.items():
            for tools in (None, [TOOL]):
                values = {"messages": messages, "tools": tools, "bos_token": "<s>", "eos_token": "</s>", "add_generation_prompt": name != "calls"}
                yield f"{family}, {name}{', tools' if tools else ''}", template, values
    for i, template in enumerate(SMALL):
        yield f"small {i + 1}", template, VALUES
    for i, template in enumerate(BLANKS):
        yield f"blanks {i + 1}", template, {}


with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "cases.jsonl"), "w", encoding="utf-8") as out:
    for name, template, values in cases():
        case = {"name": name, "template": template, "vars": values, "now": 1700000000}
        print(json.dumps(case | {"want": render(case)}, ensure_ascii=False), file=out)
