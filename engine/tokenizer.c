/* engine/tokenizer.c - opens a vocabulary and answers questions about its tokens.
 *
 * Owns struct tok, which nothing changes after tok_open(). Thread: see tokenizer.h. */
#include "engine/tokenizer.h"

#include <stdio.h>
#include <stdlib.h>

#include "engine/gguf.h"
#include "engine/tokenizer_private.h"

static const char deepseek_end[] = "<\xEF\xBD\x9C"
                                   "end\xE2\x96\x81of\xE2\x96\x81sentence\xEF\xBD\x9C>";

/* Texts that end an answer wherever they are special tokens. Model files often name only one of them. */
static const char *const end_markers[] = {
    "<|im_end|>",      "<|eot_id|>", "<|eom_id|>", "<end_of_turn>",
    "<|end_of_turn|>", "<turn|>",    "</s>",       "<|endoftext|>",
    "<|end_of_text|>", "<|end|>",    "<|EOT|>",    "<EOT>",
    "<|eot|>",         "<|return|>", "<eos>",      "<end_of_utterance>",
    deepseek_end,
};

/* Markers that some files declare as ordinary text. */
static const char *const always_control[] = {
    "<|im_start|>",        "<|im_end|>",        "<|eot_id|>",        "<|eom_id|>",
    "<|start_header_id|>", "<|end_header_id|>", "<start_of_turn>",   "<end_of_turn>",
    "<|endoftext|>",       "<|end_of_text|>",   "<|begin_of_text|>",
};

static bool is_one_of(struct gw_span text, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (gw_span_is(text, list[i]))
            return true;
    return false;
}

/* ---- opening --------------------------------------------------------------------------------- */

/* An id out of the metadata: TOK_NONE when the key is absent; outside the vocabulary is an error. */
static enum gw_status read_id(const struct tok *t, const struct gguf *g, const char *key,
                              int32_t *out, struct gw_err *err)
{
    uint64_t id;

    if (!gguf_has(g, key))
        return GW_OK;
    GW_TRY(gguf_uint(g, key, UINT32_MAX, &id, err));
    if (id == UINT32_MAX) /* -1, which some writers mean as "none" */
        return GW_OK;
    if (id >= t->n_vocab)
        return gw_fail(err, GW_EPARSE, "%s is %llu, but the vocabulary ends at %u", key,
                       (unsigned long long)id, t->n_vocab - 1);
    *out = (int32_t)id;
    return GW_OK;
}

static void add_end(struct tok *t, int32_t id)
{
    if (id != TOK_NONE && t->n_end < TOK_MAX_END && !tok_is_end(t, id))
        t->end[t->n_end++] = id;
}

static enum gw_status read_ids(struct tok *t, const struct gguf *g, struct gw_err *err)
{
    int32_t eot = TOK_NONE, eom = TOK_NONE;

    t->bos = t->eos = t->unknown = TOK_NONE;
    if (t->score_merge) { /* what the format's reference implementation assumes */
        t->bos = t->n_vocab > 1 ? 1 : TOK_NONE;
        t->eos = t->n_vocab > 2 ? 2 : TOK_NONE;
        t->unknown = 0;
    }
    GW_TRY(read_id(t, g, "tokenizer.ggml.bos_token_id", &t->bos, err));
    GW_TRY(read_id(t, g, "tokenizer.ggml.eos_token_id", &t->eos, err));
    GW_TRY(read_id(t, g, "tokenizer.ggml.unknown_token_id", &t->unknown, err));
    GW_TRY(read_id(t, g, "tokenizer.ggml.eot_token_id", &eot, err));
    GW_TRY(read_id(t, g, "tokenizer.ggml.eom_token_id", &eom, err));
    add_end(t, t->eos);
    add_end(t, eot);
    add_end(t, eom);
    return GW_OK;
}

static bool is_marker(struct gw_span s)
{
    return s.len > 2 && s.ptr[0] == '<' && s.ptr[s.len - 1] == '>';
}

/* Decides which tokens are control tokens and which end an answer, before the look-ups are built. */
static void settle_types(struct tok *t)
{
    for (unsigned i = 0; i < t->n_vocab; i++) {
        struct tok_entry *e = &t->entries[i];
        struct gw_span text = tok_text(t, (int32_t)i);
        bool named = (int32_t)i == t->bos || tok_is_end(t, (int32_t)i);

        if (e->type == TOK_BYTE || !is_marker(text))
            continue;
        if (named || is_one_of(text, always_control, sizeof(always_control) / sizeof(char *)))
            e->type = TOK_CONTROL;
        if (e->type != TOK_NORMAL &&
            is_one_of(text, end_markers, sizeof(end_markers) / sizeof(char *)))
            add_end(t, (int32_t)i);
    }
}

static enum gw_status read_bool(const struct gguf *g, const char *key, bool *out,
                                struct gw_err *err)
{
    return gguf_has(g, key) ? gguf_bool(g, key, out, err) : GW_OK;
}

static enum gw_status read_flags(struct tok *t, const struct gguf *g, struct gw_err *err)
{
    t->add_bos = t->score_merge || tok_pre_add_bos(t->pre);
    t->space_prefix = t->score_merge;
    GW_TRY(read_bool(g, "tokenizer.ggml.add_bos_token", &t->add_bos, err));
    GW_TRY(read_bool(g, "tokenizer.ggml.add_space_prefix", &t->space_prefix, err));
    t->space_prefix = t->space_prefix && t->score_merge;
    t->add_bos = t->add_bos && t->bos != TOK_NONE;
    return GW_OK;
}

static enum gw_status choose_pre(struct tok *t, const struct gguf *g, struct gw_err *err)
{
    struct gw_span name = {NULL, 0};
    bool known;

    if (gguf_has(g, "tokenizer.ggml.pre"))
        GW_TRY(gguf_str(g, "tokenizer.ggml.pre", &name, err));
    t->pre = tok_pre_find(name, &known);
    t->whole_words = tok_pre_whole_words(t->pre);
    if (t->score_merge || known)
        return GW_OK;
    if (name.len == 0)
        (void)snprintf(t->warning, sizeof(t->warning),
                       "the model names no pre-tokenizer: the default is used, answers may suffer");
    else
        (void)snprintf(t->warning, sizeof(t->warning),
                       "unknown pre-tokenizer \"%.*s\": the default is used, answers may suffer",
                       (int)(name.len < 40 ? name.len : 40), name.ptr);
    for (char *p = t->warning; *p != '\0'; p++)
        if (*p < ' ' || *p > '~')
            *p = '?';
    return GW_OK;
}

static enum gw_status load(struct tok *t, const struct gguf *g, struct gw_err *err)
{
    struct gw_span model;

    GW_TRY(gguf_str(g, "tokenizer.ggml.model", &model, err));
    t->score_merge = gw_span_is(model, "llama");
    if (!t->score_merge && !gw_span_is(model, "gpt2"))
        return gw_fail(err, GW_EUNSUPPORTED,
                       "tokenizer.ggml.model is \"%.*s\"; \"llama\" and \"gpt2\" are supported",
                       (int)(model.len < 40 ? model.len : 40), model.ptr);
    GW_TRY(choose_pre(t, g, err));
    GW_TRY(tok_vocab_load(t, g, err));
    GW_TRY(read_ids(t, g, err));
    GW_TRY(read_flags(t, g, err));
    settle_types(t);
    GW_TRY(tok_vocab_index(t, err));
    if (!t->score_merge)
        GW_TRY(tok_vocab_merges(t, g, err));
    return GW_OK;
}

enum gw_status tok_open(const struct gguf *g, struct tok **out, struct gw_err *err)
{
    struct tok *t = calloc(1, sizeof(*t));
    enum gw_status st;

    if (t == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory for the tokenizer");
    st = load(t, g, err);
    if (st != GW_OK) {
        tok_free(t);
        return st;
    }
    *out = t;
    return GW_OK;
}

void tok_free(struct tok *t)
{
    if (t == NULL)
        return;
    free(t->entries);
    free(t->bytes);
    free(t->by_text);
    free(t->merges);
    free(t->specials);
    free(t);
}

/* ---- questions ----------------------------------------------------------------------------------- */

struct gw_span tok_shown(const struct tok *t, int32_t id)
{
    static const char *const shown[] = {
        "<|python_tag|>", "[TOOL_CALLS]", "[ARGS]",       "[CALL_ID]", "<|tool_call|>",
        "<|/tool_call|>", "<tool_call>",  "</tool_call>", "<think>",   "</think>",
    };
    struct gw_span text;

    if (!tok_is_control(t, id))
        return tok_piece(t, id);
    text = tok_text(t, id);
    for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++)
        if (gw_span_is(text, shown[i]))
            return text;
    /* DeepSeek's begin with its bar and "tool". */
    return gw_span_starts(text, GW_SPAN("<\xEF\xBD\x9Ctool\xE2\x96\x81")) ? text : tok_piece(t, id);
}

struct gw_span tok_piece(const struct tok *t, int32_t id)
{
    if (id < 0 || (unsigned)id >= t->n_vocab)
        return (struct gw_span){NULL, 0};
    return (struct gw_span){t->bytes + t->entries[id].piece, t->entries[id].piece_len};
}

struct gw_span tok_text(const struct tok *t, int32_t id)
{
    if (id < 0 || (unsigned)id >= t->n_vocab)
        return (struct gw_span){NULL, 0};
    return (struct gw_span){t->bytes + t->entries[id].text, t->entries[id].text_len};
}

int32_t tok_find(const struct tok *t, struct gw_span text)
{
    int32_t id = tok_vocab_special(t, text, false);

    if (id != TOK_NONE && gw_span_eq(tok_text(t, id), text))
        return id;
    return tok_vocab_find(t, text);
}

bool tok_is_end(const struct tok *t, int32_t id)
{
    for (unsigned i = 0; i < t->n_end; i++)
        if (t->end[i] == id)
            return true;
    return false;
}

bool tok_is_control(const struct tok *t, int32_t id)
{
    return id >= 0 && (unsigned)id < t->n_vocab && t->entries[id].type == TOK_CONTROL;
}

unsigned tok_n_vocab(const struct tok *t)
{
    return t->n_vocab;
}

int32_t tok_bos(const struct tok *t)
{
    return t->bos;
}

int32_t tok_eos(const struct tok *t)
{
    return t->eos;
}

bool tok_add_bos(const struct tok *t)
{
    return t->add_bos;
}

bool tok_space_prefix(const struct tok *t)
{
    return t->space_prefix;
}

const char *tok_warning(const struct tok *t)
{
    return t->warning;
}

/* ---- growing lists of ids ------------------------------------------------------------------------- */

void tok_ids_fini(struct tok_ids *v)
{
    free(v->ids);
    *v = (struct tok_ids){NULL, 0, 0};
}

enum gw_status tok_ids_add(struct tok_ids *v, int32_t id)
{
    if (v->n == v->cap) {
        size_t cap = v->cap == 0 ? 64 : v->cap * 2;
        int32_t *p = realloc(v->ids, cap * sizeof(*p));

        if (p == NULL)
            return GW_ENOMEM;
        v->ids = p;
        v->cap = cap;
    }
    v->ids[v->n++] = id;
    return GW_OK;
}
