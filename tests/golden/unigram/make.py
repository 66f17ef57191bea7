#!/usr/bin/env python3
"""Writes tests/golden/unigram: a small unigram vocabulary with rules of its own for rewriting, and what SentencePiece makes of texts with it.

usage: make.py TEXT-FILE...     (needs: pip install sentencepiece tokenizers)
The vocabulary is numbered as XLM-RoBERTa's: <s> <pad> </s> <unk>. tokenizer.json is as transformers' converter writes it. A line of
texts.txt is a text in hexadecimal and its tokens without the special ones; texts for which the package tokenizers says something else
are named on standard error (it rewrites by graphemes and decides some spaces in another way: SentencePiece is the reference)."""
import base64
import json
import os
import random
import sys
import tempfile

import sentencepiece as spm
import tokenizers
from sentencepiece import sentencepiece_model_pb2 as pb

HERE = os.path.dirname(os.path.abspath(__file__))
# From, to: full-width letters and signs, ligatures, a word for a letter, spaces, what vanishes, what is put together.
RULES = [(chr(0xFF21 + i), chr(ord("A") + i)) for i in range(26)] + [(chr(0xFF41 + i), chr(ord("a") + i)) for i in range(26)] + [
    ("ﬁ", "fi"), ("ﬂ", "fl"), ("½", "1⁄2"), ("ﷺ", "صلى الله عليه وسلم"), ("…", "..."), ("№", "No"), ("\u00a0", " "), ("\u3000", " "), ("\t", " "), ("\n", " "),
    ("\r", " "), ("\u200b", ""), ("\u00ad", ""), ("e\u0301", "é"), ("a\u0308", "ä"), ("\u304b\u3099", "\u304c"), ("´", " \u0301")]
MORE = ["Der schnelle braune Fuchs springt über den faulen Hund.", "Le renard brun saute par-dessus le chien paresseux.",
        "El zorro marrón salta sobre el perro perezoso.", "Быстрая лиса прыгает через ленивую собаку.", "敏捷的棕色狐狸跳过了懒狗。",
        "素早い茶色の狐がのろまな犬を飛び越える。", "재빠른 갈색 여우가 게으른 개를 뛰어넘는다.", "الثعلب البني السريع يقفز فوق الكلب الكسول."]


def train(files, work):
    with open(f"{work}/text", "w", encoding="utf-8") as f:
        for name in files:
            f.write(open(name, encoding="utf-8").read())
        f.write("\n".join(MORE * 20))
    with open(f"{work}/rules.tsv", "w", encoding="utf-8") as f:
        for a, b in RULES:
            f.write(" ".join(f"{ord(c):X}" for c in a) + "\t" + " ".join(f"{ord(c):X}" for c in b) + "\n")
    spm.SentencePieceTrainer.train(input=f"{work}/text", model_prefix=f"{work}/m", vocab_size=700, model_type="unigram", character_coverage=0.9995,
                                   normalization_rule_tsv=f"{work}/rules.tsv", bos_id=0, pad_id=1, eos_id=2, unk_id=3, minloglevel=2,
                                   num_threads=1, max_sentence_length=20000)
    model = pb.ModelProto()
    model.ParseFromString(open(f"{work}/m.model", "rb").read())
    return spm.SentencePieceProcessor(model_file=f"{work}/m.model"), model


def tokenizer_json(model):
    special = [(i, p.piece) for i, p in enumerate(model.pieces) if p.type != 1]
    return {"version": "1.0", "truncation": None, "padding": None,
            "added_tokens": [{"id": i, "content": p, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
                             for i, p in special],
            "normalizer": {"type": "Sequence", "normalizers": [
                {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(model.normalizer_spec.precompiled_charsmap).decode()},
                {"type": "Strip", "strip_left": False, "strip_right": True},
                {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": "▁"}]},
            "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True},
            "post_processor": None, "decoder": None,
            "model": {"type": "Unigram", "unk_id": 3, "vocab": [[p.piece, round(p.score, 6)] for p in model.pieces], "byte_fallback": False}}


def texts():
    rng = random.Random(20261122)
    yield from MORE
    yield from ["", " ", "   ", "a", " a", "a ", "  a  b  ", "a\u00a0b", "a\t\n b", "<s>", "</s> <unk>", "▁", "▁▁a", "a▁b", "\u2603\u2603 \u2603a\u2603", "ﬁﬂ…", "½ cup", "ﷺ",
                "ＡＢＣ ａｂｃ", "cafe\u0301", "cafe\u0300", "\u200b", "a\u200bb", "\u200b a", "´", "a´´b", "\u304b\u3099", "\U0001F600 ok \U0001F600\U0001F601", "the the the", "gateway" * 20, "0123456789"]
    words = " ".join(MORE).split() + ["gateway", "policy", "the", "of", "request", "model", "stream"]
    odd = [a for a, _ in RULES] + list("abcde .,-<>/[]{}'\"") + ["▁", "\u2603", " ", "  ", "\U0001F600", "ß"]
    for _ in range(60):
        yield " ".join(rng.choice(words) for _ in range(rng.randint(1, 9)))
        yield "".join(rng.choice(rng.choice([odd, words])) for _ in range(rng.randint(1, 25)))


def main():
    with tempfile.TemporaryDirectory() as work:
        sp, model = train(sys.argv[1:], work)
        with open(f"{HERE}/tokenizer.json", "w", encoding="utf-8") as f:
            json.dump(tokenizer_json(model), f, ensure_ascii=False, separators=(",", ":"))
        # Scores as they were rounded.
        for p in model.pieces:
            p.score = round(p.score, 6)
        sp.LoadFromSerializedProto(model.SerializeToString())
        other, n, n_other = tokenizers.Tokenizer.from_file(f"{HERE}/tokenizer.json"), 0, 0
        with open(f"{HERE}/texts.txt", "w", encoding="ascii") as f:
            for text in texts():
                ids = sp.encode(text)
                f.write((text.encode().hex() or "-") + "".join(f" {i}" for i in ids) + "\n")
                n += 1
                if other.encode(text, add_special_tokens=False).ids != ids:
                    n_other += 1
                    print("tokenizers differs:", repr(text), other.encode(text, add_special_tokens=False).tokens, sp.encode(text, out_type=str), file=sys.stderr)
        print(f"{n} texts, {n_other} of which tokenizers reads in another way")


main()
