/* engine/hf_tokenizer.c - tokenizer.json and tokenizer_config.json as the pairs of a GGUF file.
 *
 * Two kinds: byte-level BPE, whose way of cutting text is recognised by its pattern, and BPE over characters with
 * bytes to fall back to (SentencePiece), whose pieces are merged in the order of their numbers. Anything else is
 * refused: text cut in another way gives wrong answers that nobody notices. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/hf_private.h"

enum { MAX_TOKENS = 1 << 20, NORMAL = 1, CONTROL = 3, USER = 4, UNUSED = 5, BYTE = 6 };

struct tokens {
    struct hf *h;
    struct hf_json file, config;
    struct gw_span *text; /* [n]: by number, ptr NULL: none */
    int32_t *type;
    size_t n;
    const struct gw_json_node *model;
    bool bytes; /* falls back to bytes */
};

static enum gw_status no_memory(const struct tokens *t)
{
    return gw_fail(t->h->err, GW_ENOMEM, "out of memory for the vocabulary");
}

/* <0xAB> */
static bool is_byte(struct gw_span s)
{
    return s.len == 6 && memcmp(s.ptr, "<0x", 3) == 0 && s.ptr[5] == '>';
}

static enum gw_status set_token(struct tokens *t, const struct gw_json_node *id,
                                struct gw_span text, int32_t type)
{
    const uint64_t i = gw_json_uint(id, UINT64_MAX);

    if (i >= t->n)
        return gw_fail(t->h->err, GW_EPARSE,
                       "tokenizer.json: a token's number is not below the model's %zu", t->n);
    if (text.ptr == NULL)
        return no_memory(t);
    t->text[i] = text;
    t->type[i] = type;
    return GW_OK;
}

static enum gw_status read_vocab(struct tokens *t)
{
    const struct gw_json_node *vocab = gw_json_get(t->model, "vocab");
    const struct gw_json_node *added = gw_json_get(t->file.root, "added_tokens");

    if (!gw_json_is(vocab, GW_JSON_OBJECT_BEGIN))
        return gw_fail(t->h->err, GW_EPARSE, "tokenizer.json: model.vocab is missing");
    for (const struct gw_json_node *v = vocab->child; v != NULL; v = v->next) {
        const struct gw_span text = gw_json_name(v, t->file.arena);

        GW_TRY(set_token(t, v, text, t->bytes && is_byte(text) ? BYTE : NORMAL));
    }
    for (const struct gw_json_node *a = gw_json_is(added, GW_JSON_ARRAY_BEGIN) ? added->child
                                                                               : NULL;
         a != NULL; a = a->next)
        GW_TRY(set_token(t, gw_json_get(a, "id"),
                         gw_json_text(gw_json_get(a, "content"), t->file.arena),
                         gw_json_is(gw_json_get(a, "special"), GW_JSON_TRUE) ? CONTROL : USER));
    return GW_OK;
}

static void add_string(struct gw_buf *b, struct gw_span s)
{
    const uint64_t len = s.len;

    gw_buf_add(b, (struct gw_span){(const char *)&len, sizeof(len)});
    gw_buf_add(b, s);
}

static enum gw_status put_vocab(struct tokens *t)
{
    struct gw_buf names = {0}, scores = {0};
    bool ok;

    for (size_t i = 0; i < t->n; i++) {
        const float score = t->type[i] == NORMAL ? -(float)i : 0;

        if (t->text[i].ptr != NULL) {
            add_string(&names, t->text[i]);
        } else { /* rows that no text stands for */
            char pad[32];

            (void)snprintf(pad, sizeof(pad), "[PAD%zu]", i);
            add_string(&names, gw_span_str(pad));
            t->type[i] = UNUSED;
        }
        gw_buf_add(&scores, (struct gw_span){(const char *)&score, sizeof(score)});
    }
    ok = gw_buf_ok(&names) && gw_buf_ok(&scores);
    gguf_write_array(&t->h->w, "tokenizer.ggml.tokens", GGUF_STRING, t->n, gw_buf_span(&names));
    gguf_write_array(&t->h->w, "tokenizer.ggml.token_type", GGUF_I32, t->n,
                     (struct gw_span){(const char *)t->type, t->n * sizeof(*t->type)});
    if (t->bytes)
        gguf_write_array(&t->h->w, "tokenizer.ggml.scores", GGUF_F32, t->n, gw_buf_span(&scores));
    gw_buf_fini(&names);
    gw_buf_fini(&scores);
    return ok ? GW_OK : no_memory(t);
}

/* "left right", or ["left", "right"]. */
static void add_merge(struct tokens *t, struct gw_buf *b, const struct gw_json_node *m)
{
    struct gw_buf both = {0};

    if (m->type == GW_JSON_STRING) {
        add_string(b, gw_json_text(m, t->file.arena));
        return;
    }
    gw_buf_add(&both, gw_json_text(m->child, t->file.arena));
    gw_buf_addc(&both, ' ');
    gw_buf_add(&both, gw_json_text(m->child != NULL ? m->child->next : NULL, t->file.arena));
    add_string(b, gw_buf_span(&both));
    gw_buf_fini(&both);
}

static enum gw_status put_merges(struct tokens *t)
{
    const struct gw_json_node *merges = gw_json_get(t->model, "merges");
    struct gw_buf b = {0};
    bool ok;

    if (!gw_json_is(merges, GW_JSON_ARRAY_BEGIN))
        return gw_fail(t->h->err, GW_EPARSE, "tokenizer.json: model.merges is missing");
    for (const struct gw_json_node *m = merges->child; m != NULL; m = m->next)
        add_merge(t, &b, m);
    ok = gw_buf_ok(&b);
    gguf_write_array(&t->h->w, "tokenizer.ggml.merges", GGUF_STRING, merges->n, gw_buf_span(&b));
    gw_buf_fini(&b);
    return ok ? GW_OK : no_memory(t);
}

static bool contains(const struct gw_json_node *node, const char *word)
{
    return node != NULL && memmem(node->raw.ptr, node->raw.len, word, strlen(word)) != NULL;
}

/* The name of the way in which this pre_tokenizer cuts text; NULL: another way. */
static const char *pre_name(const struct gw_json_node *pre)
{
    if (contains(pre, "\\\\p{L}+|\\\\p{N}{1,3}| ?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*"))
        return "llama-bpe";
    if (contains(pre, "\\\\p{L}+|\\\\p{N}| ?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*"))
        return "qwen2";
    if (contains(pre, "\"pattern\"") || contains(pre, "\"Split\"") ||
        !contains(pre, "\"ByteLevel\""))
        return NULL;
    return contains(pre, "\"Digits\"") ? "smollm" : "gpt-2";
}

static enum gw_status put_kind(struct tokens *t)
{
    const struct gw_json_node *pre = gw_json_get(t->file.root, "pre_tokenizer");
    const char *name = pre_name(pre);

    if (!gw_json_text_is(gw_json_get(t->model, "type"), "BPE"))
        return gw_fail(t->h->err, GW_EUNSUPPORTED,
                       "tokenizer.json: only models of type BPE are built in");
    t->bytes = gw_json_is(gw_json_get(t->model, "byte_fallback"), GW_JSON_TRUE);
    if (t->bytes) {
        gguf_write_str(&t->h->w, "tokenizer.ggml.model", GW_SPAN("llama"));
        gguf_write_bool(&t->h->w, "tokenizer.ggml.add_space_prefix",
                        contains(gw_json_get(t->file.root, "normalizer"), "\"Prepend\""));
        return GW_OK;
    }
    if (name == NULL)
        return gw_fail(t->h->err, GW_EUNSUPPORTED,
                       "tokenizer.json: its pre_tokenizer cuts text in a way that is not built in; "
                       "take the model as a GGUF file");
    gguf_write_str(&t->h->w, "tokenizer.ggml.model", GW_SPAN("gpt2"));
    gguf_write_str(&t->h->w, "tokenizer.ggml.pre", gw_span_str(name));
    return put_merges(t);
}

/* A token's number in config.json: one, or the first of some. */
static void put_id(struct tokens *t, const char *name, const char *key)
{
    const struct gw_json_node *node = gw_json_get(t->h->config.root, name);
    uint64_t id;

    if (gw_json_is(node, GW_JSON_ARRAY_BEGIN))
        node = node->child;
    id = gw_json_uint(node, UINT64_MAX);
    if (id < t->n)
        gguf_write_u32(&t->h->w, key, (uint32_t)id);
}

static void put_settings(struct tokens *t)
{
    const struct gw_json_node *bos = gw_json_get(t->config.root, "add_bos_token");
    const struct gw_json_node *template = gw_json_get(t->config.root, "chat_template");

    put_id(t, "bos_token_id", "tokenizer.ggml.bos_token_id");
    put_id(t, "eos_token_id", "tokenizer.ggml.eos_token_id");
    if (bos != NULL)
        gguf_write_bool(&t->h->w, "tokenizer.ggml.add_bos_token", bos->type == GW_JSON_TRUE);
    if (gw_json_is(template, GW_JSON_STRING))
        gguf_write_str(&t->h->w, "tokenizer.chat_template",
                       gw_json_text(template, t->config.arena));
}

static enum gw_status read_files(struct tokens *t)
{
    enum gw_status st;

    GW_TRY(hf_json_read(t->h->folder, "tokenizer.json", &t->file, t->h->err));
    st = hf_json_read(t->h->folder, "tokenizer_config.json", &t->config, t->h->err);
    return st == GW_ENOENT ? GW_OK : st;
}

static enum gw_status read_all(struct tokens *t)
{
    t->n = t->h->vocab;
    if (t->n > MAX_TOKENS)
        return gw_fail(t->h->err, GW_ELIMIT, "config.json: vocab_size is above %d", MAX_TOKENS);
    GW_TRY(read_files(t));
    t->model = gw_json_get(t->file.root, "model");
    t->text = calloc(t->n, sizeof(*t->text));
    t->type = calloc(t->n, sizeof(*t->type));
    if (t->text == NULL || t->type == NULL)
        return no_memory(t);
    GW_TRY(put_kind(t));
    GW_TRY(read_vocab(t));
    GW_TRY(put_vocab(t));
    put_settings(t);
    return GW_OK;
}

enum gw_status hf_read_tokenizer(struct hf *h)
{
    struct tokens t = {.h = h};
    enum gw_status st = read_all(&t);

    free(t.text);
    free(t.type);
    hf_json_fini(&t.file);
    hf_json_fini(&t.config);
    return st;
}
