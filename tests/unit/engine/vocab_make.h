/* tests/unit/engine/vocab_make.h - small vocabularies as GGUF files in memory. */
#ifndef TESTS_UNIT_ENGINE_VOCAB_MAKE_H
#define TESTS_UNIT_ENGINE_VOCAB_MAKE_H

#include "engine/tokenizer.h"
#include "tests/unit/engine/gguf_make.h"

enum { VOCAB_MAX = 600 };

struct vocab {
    const char *model, *pre, *template; /* pre, template: NULL leaves the key out */
    const char *tokens[VOCAB_MAX];
    int types[VOCAB_MAX];
    float scores[VOCAB_MAX];
    unsigned n;
    const char *merges[VOCAB_MAX];
    unsigned n_merges;
    int bos, eos; /* below 0: the key is left out */
    int add_bos;  /* below 0: the key is left out */
};

static inline unsigned vocab_add(struct vocab *v, const char *text, int type, float score)
{
    v->tokens[v->n] = text;
    v->types[v->n] = type;
    v->scores[v->n] = score;
    return v->n++;
}

static inline void vocab_pair_u32(struct gw_buf *b, const char *key, int value)
{
    make_key(b, key, GGUF_U32);
    make_u32(b, (uint32_t)value);
}

static inline void vocab_strings(struct gw_buf *b, const char *key, const char *const *s,
                                 unsigned n)
{
    make_key(b, key, GGUF_ARRAY);
    make_u32(b, GGUF_STRING);
    make_u64(b, n);
    for (unsigned i = 0; i < n; i++)
        make_str(b, s[i]);
}

/* Writes v into b and opens it; NULL when that fails. b must outlive the result. */
static inline struct gguf *vocab_gguf(const struct vocab *v, struct gw_buf *b)
{
    bool spm = strcmp(v->model, "llama") == 0;
    struct gguf *g = NULL;
    struct gw_buf body = {0};
    unsigned pairs = 4;

    make_key(&body, "general.architecture", GGUF_STRING);
    make_str(&body, "llama");
    make_key(&body, "tokenizer.ggml.model", GGUF_STRING);
    make_str(&body, v->model);
    vocab_strings(&body, "tokenizer.ggml.tokens", v->tokens, v->n);
    make_key(&body, "tokenizer.ggml.token_type", GGUF_ARRAY);
    make_u32(&body, GGUF_I32);
    make_u64(&body, v->n);
    for (unsigned i = 0; i < v->n; i++)
        make_u32(&body, (uint32_t)v->types[i]);
    if (spm) {
        make_key(&body, "tokenizer.ggml.scores", GGUF_ARRAY);
        make_u32(&body, GGUF_F32);
        make_u64(&body, v->n);
        gw_buf_add(&body, (struct gw_span){(const char *)v->scores, v->n * sizeof(float)});
    } else {
        vocab_strings(&body, "tokenizer.ggml.merges", v->merges, v->n_merges);
    }
    pairs++;
    if (v->pre != NULL && ++pairs != 0) {
        make_key(&body, "tokenizer.ggml.pre", GGUF_STRING);
        make_str(&body, v->pre);
    }
    if (v->template != NULL && ++pairs != 0) {
        make_key(&body, "tokenizer.chat_template", GGUF_STRING);
        make_str(&body, v->template);
    }
    if (v->bos >= 0 && ++pairs != 0)
        vocab_pair_u32(&body, "tokenizer.ggml.bos_token_id", v->bos);
    if (v->eos >= 0 && ++pairs != 0)
        vocab_pair_u32(&body, "tokenizer.ggml.eos_token_id", v->eos);
    if (v->add_bos >= 0 && ++pairs != 0) {
        make_key(&body, "tokenizer.ggml.add_bos_token", GGUF_BOOL);
        gw_buf_addc(&body, (char)v->add_bos);
    }
    make_head(b, 3, 0, pairs);
    gw_buf_add(b, gw_buf_span(&body));
    make_pad(b, 32);
    gw_buf_fini(&body);
    return gguf_open_memory(b->ptr, b->len, &g, NULL) == GW_OK ? g : NULL;
}

/* A vocabulary opened and closed in one step; NULL and a message in err when it is refused. */
static inline struct tok *vocab_tok(const struct vocab *v, struct gw_err *err)
{
    struct gw_buf b = {0};
    struct gguf *g = vocab_gguf(v, &b);
    struct tok *t = NULL;

    if (g != NULL)
        (void)tok_open(g, &t, err);
    gguf_close(g);
    gw_buf_fini(&b);
    return t;
}

#endif
