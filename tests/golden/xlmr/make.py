#!/usr/bin/env python3
"""Writes tests/golden/xlmr: a random XLM-RoBERTa with a head that scores, as transformers saves it and as a GGUF file with llama.cpp's names, and
what transformers computes with it. Its vocabulary is that of tests/golden/unigram.

usage: make.py     (needs: pip install torch transformers sentencepiece gguf)
A line of vectors.txt is a text in hexadecimal and the vector of its first token, of length 1; one of scores.txt a query, a document and the
sigmoid of the score. 7.25 stands for weights that no text may touch: the positions up to the padding's."""
import base64
import json
import os

import gguf
import torch
from tokenizers import Tokenizer
from transformers import XLMRobertaConfig, XLMRobertaForSequenceClassification

HERE = os.path.dirname(os.path.abspath(__file__))
TEXTS = ["the gateway scans a request", "Der schnelle braune Fuchs", "敏捷的棕色狐狸", "Быстрая лиса", "a", "policy of the model, and what leaves: nothing that was not scanned"]
LAYER = {"attention.self.query": "attn_q", "attention.self.key": "attn_k", "attention.self.value": "attn_v", "attention.output.dense": "attn_output",
         "attention.output.LayerNorm": "attn_output_norm", "intermediate.dense": "ffn_up", "output.dense": "ffn_down", "output.LayerNorm": "layer_output_norm"}
REST = {"roberta.embeddings.word_embeddings": "token_embd", "roberta.embeddings.position_embeddings": "position_embd",
        "roberta.embeddings.token_type_embeddings": "token_types", "roberta.embeddings.LayerNorm": "token_embd_norm", "classifier.dense": "cls",
        "classifier.out_proj": "cls.output"}


def make_model():
    torch.manual_seed(20261122)
    config = XLMRobertaConfig(vocab_size=700, hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=40, max_position_embeddings=66,
                              type_vocab_size=1, pad_token_id=1, bos_token_id=0, eos_token_id=2, layer_norm_eps=1e-5, num_labels=1)
    model = XLMRobertaForSequenceClassification(config).eval()
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.normal_(1.0 if "LayerNorm.weight" in name else 0.0, 0.25)
            p.copy_(p.half().float())
        model.roberta.embeddings.position_embeddings.weight[:2] = 7.25
    return model


def gguf_name(name):
    stem, what = name.rsplit(".", 1)
    if stem in REST:
        return f"{REST[stem]}.{what}"
    _, _, _, layer, part = stem.split(".", 4)
    return f"blk.{layer}.{LAYER[part]}.{what}"


def write_gguf(model, tokenizer):
    w, c = gguf.GGUFWriter(f"{HERE}/model.gguf", "bert"), model.config
    w.add_context_length(c.max_position_embeddings - 2)
    w.add_embedding_length(c.hidden_size)
    w.add_feed_forward_length(c.intermediate_size)
    w.add_block_count(c.num_hidden_layers)
    w.add_head_count(c.num_attention_heads)
    w.add_layer_norm_eps(c.layer_norm_eps)
    w.add_causal_attention(False)
    w.add_pooling_type(gguf.PoolingType.RANK)
    w.add_tokenizer_model("t5")
    w.add_tokenizer_pre("default")
    vocab = tokenizer["model"]["vocab"]
    special = {t["id"] for t in tokenizer["added_tokens"]}
    w.add_token_list([p for p, _ in vocab])
    w.add_token_scores([s for _, s in vocab])
    w.add_token_types([2 if i == 3 else 3 if i in special else 1 for i in range(len(vocab))])
    w.add_add_space_prefix(True)
    w.add_remove_extra_whitespaces(True)
    w.add_precompiled_charsmap(base64.b64decode(tokenizer["normalizer"]["normalizers"][0]["precompiled_charsmap"]))
    w.add_bos_token_id(0)
    w.add_eos_token_id(2)
    w.add_unk_token_id(3)
    w.add_sep_token_id(2)
    w.add_pad_token_id(1)
    for name, p in model.named_parameters():
        data = p.detach()
        if "position_embeddings" in name:
            data = data[2:]
        keep = data.dim() == 2 and "token_type" not in name
        w.add_tensor(gguf_name(name), (data.half() if keep else data).numpy())
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def main():
    model = make_model()
    with open(f"{HERE}/../unigram/tokenizer.json", encoding="utf-8") as f:
        tokenizer = json.load(f)
    pieces = Tokenizer.from_str(json.dumps(tokenizer))
    cut = lambda text: pieces.encode(text, add_special_tokens=False).ids
    hexed = lambda text: text.encode().hex() or "-"
    with torch.no_grad():
        with open(f"{HERE}/vectors.txt", "w", encoding="ascii") as f:
            for text in TEXTS:
                ids = torch.tensor([[0] + cut(text) + [2]])
                v = model.roberta(ids, attention_mask=torch.ones_like(ids)).last_hidden_state[0, 0].double()
                f.write(hexed(text) + "".join(f" {x:.7f}" for x in v / v.norm()) + "\n")
        with open(f"{HERE}/scores.txt", "w", encoding="ascii") as f:
            for query in TEXTS[:2]:
                for text in TEXTS[1:]:
                    ids = torch.tensor([[0] + cut(query) + [2, 2] + cut(text) + [2]])
                    f.write(f"{hexed(query)} {hexed(text)} {torch.sigmoid(model(ids, attention_mask=torch.ones_like(ids)).logits)[0, 0]:.7f}\n")
    write_gguf(model, tokenizer)
    model.half().save_pretrained(HERE)


main()
