/* engine/bert_config.c - what the small files of a model's folder say, bounded and checked. See bert.h. */
#include <stdlib.h>
#include <string.h>

#include "base/json_tree.h"
#include "engine/bert_private.h"
#include "engine/folder.h"

enum { MAX_FILE_BYTES = 1 << 20, MAX_TREE_BYTES = 8 << 20 };

/* One file while it is read. */
struct reader {
    struct bert *b;
    struct bert_folder *f;
    const char *folder, *name;
    struct gw_json *json;
    struct gw_arena *arena;
    struct gw_buf text;
    struct gw_json_node *root;
    struct gw_err *err;
};

static void reader_fini(struct reader *r)
{
    gw_json_free(r->json);
    gw_arena_free(r->arena);
    gw_buf_fini(&r->text);
}

static enum gw_status read_json(struct reader *r)
{
    GW_TRY(folder_read(r->folder, r->name, MAX_FILE_BYTES, &r->text, r->err));
    r->json = gw_json_new();
    r->arena = gw_arena_new(MAX_TREE_BYTES);
    if (r->json == NULL || r->arena == NULL)
        return gw_fail(r->err, GW_ENOMEM, "out of memory for %s", r->name);
    if (gw_json_tree(r->json, r->arena, gw_buf_span(&r->text), NULL, &r->root, r->err) != GW_OK)
        return gw_fail_prefix(r->err, "%s", r->name);
    return GW_OK;
}

/* A required number from 1 to max. */
static enum gw_status need(struct reader *r, const char *name, unsigned max, unsigned *out)
{
    uint64_t v = gw_json_uint(gw_json_get(r->root, name), 0);

    if (v == 0 || v > max)
        return gw_fail(r->err, GW_EPARSE, "%s: %s is not a number from 1 to %u", r->name, name,
                       max);
    *out = (unsigned)v;
    return GW_OK;
}

static enum gw_status unsupported(struct reader *r, const char *name, const char *built_in)
{
    return gw_fail(r->err, GW_EUNSUPPORTED, "%s: %s is not built in; %s", r->name, name, built_in);
}

/* The spelling of JSON's numbers is a part of strtod's; a copy ends it. */
static enum gw_status read_eps(struct reader *r)
{
    const struct gw_json_node *node = gw_json_get(r->root, "layer_norm_eps");
    char text[32] = "1e-12";
    double eps;

    if (gw_json_is(node, GW_JSON_NUMBER) && node->raw.len < sizeof(text)) {
        memcpy(text, node->raw.ptr, node->raw.len);
        text[node->raw.len] = '\0';
    } else if (node != NULL) {
        text[0] = '\0';
    }
    eps = text[0] == '\0' ? -1 : strtod(text, NULL);
    if (!(eps >= 0 && eps < 1))
        return gw_fail(r->err, GW_EPARSE, "%s: layer_norm_eps is not a number from 0 to 1",
                       r->name);
    r->b->eps = (float)eps;
    return GW_OK;
}

/* Is it a model that classifies? Then it must be one that gives a number. */
static bool classifies(const struct gw_json_node *root)
{
    const struct gw_json_node *list = gw_json_get(root, "architectures");

    for (const struct gw_json_node *m = gw_json_is(list, GW_JSON_ARRAY_BEGIN) ? list->child : NULL;
         m != NULL; m = m->next)
        if (gw_json_text_is(m, "BertForSequenceClassification") ||
            gw_json_text_is(m, "XLMRobertaForSequenceClassification"))
            return true;
    return false;
}

static enum gw_status check_kind(struct reader *r)
{
    const struct gw_json_node *position = gw_json_get(r->root, "position_embedding_type");

    r->f->head = classifies(r->root);
    r->f->roberta = gw_json_text_is(gw_json_get(r->root, "model_type"), "xlm-roberta");
    if (!r->f->roberta && !gw_json_text_is(gw_json_get(r->root, "model_type"), "bert"))
        return unsupported(r, "this model_type", "bert and xlm-roberta are");
    if (!gw_json_text_is(gw_json_get(r->root, "hidden_act"), "gelu"))
        return unsupported(r, "this hidden_act", "gelu is");
    if (position != NULL && !gw_json_text_is(position, "absolute"))
        return unsupported(r, "this position_embedding_type", "absolute is");
    return GW_OK;
}

/* A text's positions begin behind the number of the padding token. */
static enum gw_status read_unused(struct reader *r)
{
    const uint64_t padding = gw_json_uint(gw_json_get(r->root, "pad_token_id"), 1);

    if (padding >= BERT_MAX_PADDING)
        return gw_fail(r->err, GW_EPARSE, "%s: pad_token_id is not a number below %d", r->name,
                       BERT_MAX_PADDING);
    r->f->n_unused = (unsigned)padding + 1;
    return GW_OK;
}

static enum gw_status read_positions(struct reader *r)
{
    struct bert *b = r->b;

    if (r->f->roberta)
        GW_TRY(read_unused(r));
    GW_TRY(
        need(r, "max_position_embeddings", BERT_MAX_POSITIONS + r->f->n_unused, &b->n_positions));
    if (b->n_positions < r->f->n_unused + BERT_MIN_TOKENS)
        return gw_fail(r->err, GW_EPARSE, "%s: there are no positions for a text", r->name);
    b->n_positions -= r->f->n_unused;
    b->max_tokens = b->n_positions;
    return GW_OK;
}

static enum gw_status read_sizes(struct reader *r)
{
    struct bert *b = r->b;

    GW_TRY(check_kind(r));
    GW_TRY(need(r, "vocab_size", BERT_MAX_VOCAB, &b->n_vocab));
    GW_TRY(need(r, "hidden_size", BERT_MAX_EMBD, &b->n_embd));
    GW_TRY(need(r, "num_hidden_layers", BERT_MAX_LAYERS, &b->n_layers));
    GW_TRY(need(r, "num_attention_heads", BERT_MAX_EMBD, &b->n_heads));
    GW_TRY(need(r, "intermediate_size", BERT_MAX_FF, &b->n_ff));
    GW_TRY(read_positions(r));
    if (b->n_embd % b->n_heads != 0 || b->n_embd / b->n_heads > BERT_MAX_HEAD_DIM)
        return gw_fail(r->err, GW_EPARSE, "%s: %u numbers cannot be %u heads of at most %d",
                       r->name, b->n_embd, b->n_heads, BERT_MAX_HEAD_DIM);
    b->head_dim = b->n_embd / b->n_heads;
    return read_eps(r);
}

/* One pooling mode must be on: the mean of the tokens, or the first one. */
static enum gw_status read_pooling(struct reader *r)
{
    unsigned n = 0, known = 0;

    for (const struct gw_json_node *m = r->root == NULL ? NULL : r->root->child; m != NULL;
         m = m->next) {
        if (m->type != GW_JSON_TRUE || !gw_span_starts(m->key, GW_SPAN("pooling_mode_")))
            continue;
        n++;
        known += gw_json_key_is(m, "pooling_mode_mean_tokens");
        if (gw_json_key_is(m, "pooling_mode_cls_token")) {
            r->b->pool = BERT_POOL_CLS;
            known++;
        }
    }
    if (n != 1 || known != 1)
        return unsupported(r, "this way of pooling",
                           "the mean over the tokens or the first one is");
    return GW_OK;
}

static enum gw_status read_length(struct reader *r)
{
    uint64_t max = gw_json_uint(gw_json_get(r->root, "max_seq_length"), r->b->n_positions);

    if (max < BERT_MIN_TOKENS)
        return gw_fail(r->err, GW_EPARSE, "%s: max_seq_length leaves no room for a text", r->name);
    if (max < r->b->max_tokens)
        r->b->max_tokens = (unsigned)max;
    return GW_OK;
}

static enum gw_status read_file(struct bert *b, const char *folder, const char *name, bool optional,
                                enum gw_status (*use)(struct reader *r), struct bert_folder *f,
                                struct gw_err *err)
{
    struct reader r = {.b = b, .f = f, .folder = folder, .name = name, .err = err};
    enum gw_status st = read_json(&r);

    if (st == GW_OK)
        st = use(&r);
    else if (st == GW_ENOENT && optional)
        st = GW_OK;
    reader_fini(&r);
    return st;
}

enum gw_status bert_read_config(struct bert *b, const char *folder, struct bert_folder *f,
                                struct gw_err *err)
{
    struct gw_err local = {0};

    err = err != NULL ? err : &local;
    *f = (struct bert_folder){.head = false};
    GW_TRY(read_file(b, folder, "config.json", false, read_sizes, f, err));
    if (f->head)
        return GW_OK;
    GW_TRY(read_file(b, folder, "1_Pooling/config.json", true, read_pooling, f, err));
    return read_file(b, folder, "sentence_bert_config.json", true, read_length, f, err);
}
