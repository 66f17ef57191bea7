/* proxy/local/local_rerank.c - POST /v1/rerank answered by a reranker in this process. See local_embed.h. Shapes: the
 * rerank APIs of Cohere and Jina. */
#include <stdio.h>
#include <stdlib.h>

#include "proxy/local/local_embed.h"
#include "proxy/net/worker.h"
#include "proxy/request/request_private.h"

/* ---- the request ------------------------------------------------------------------------ */

/* A document: a text, or an object whose "text" is one. */
static struct gw_span read_document(struct req *req, const struct gw_json_node *d)
{
    if (gw_json_is(d, GW_JSON_OBJECT_BEGIN))
        d = gw_json_get(d, "text");
    return gw_json_text(d, req->arena);
}

/* *texts gets the query and then the documents; *n counts all. */
static enum gw_status read_texts(struct req *req, const struct gw_json_node *root,
                                 struct gw_span **texts, unsigned *n, struct gw_err *err)
{
    const struct gw_json_node *documents = gw_json_get(root, "documents");
    struct gw_span *out;
    unsigned i = 1;

    if (!gw_json_is(documents, GW_JSON_ARRAY_BEGIN) || documents->n == 0 ||
        documents->n >= ENGINE_EMBED_MAX_TEXTS)
        return local_embed_bad(req, "documents", "must be a list of 1 to 2047 texts", err);
    out = gw_arena_array(req->arena, (size_t)documents->n + 1, sizeof(*out));
    if (out == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory");
    out[0] = gw_json_text(gw_json_get(root, "query"), req->arena);
    if (out[0].len == 0)
        return local_embed_bad(req, "query", "must be a text that is not empty", err);
    for (const struct gw_json_node *d = documents->child; d != NULL; d = d->next, i++) {
        out[i] = read_document(req, d);
        if (out[i].len == 0)
            return local_embed_bad(
                req, "documents", "must hold texts, or objects with a \"text\", none of them empty",
                err);
    }
    *texts = out;
    *n = i;
    return GW_OK;
}

/* Absent and null are the same. */
static const struct gw_json_node *given(const struct gw_json_node *root, const char *name)
{
    const struct gw_json_node *node = gw_json_get(root, name);

    return gw_json_is(node, GW_JSON_NULL) ? NULL : node;
}

/* Copies of the documents, which must last as long as the request. */
static enum gw_status keep_documents(struct req *req, const struct gw_span *texts, unsigned n,
                                     const struct gw_span **out, struct gw_err *err)
{
    struct gw_span *copies = gw_arena_array(req->arena, n, sizeof(*copies));

    for (unsigned i = 0; copies != NULL && texts != NULL && i < n; i++) {
        copies[i] = gw_arena_copy(req->arena, texts[i]);
        if (copies[i].ptr == NULL)
            copies = NULL;
    }
    if (copies == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory");
    *out = copies;
    return GW_OK;
}

static enum gw_status read_options(struct req *req, const struct gw_json_node *root,
                                   const struct gw_span *texts, unsigned n, struct local_attempt *a,
                                   struct gw_err *err)
{
    const struct gw_json_node *top = given(root, "top_n");
    const struct gw_json_node *back = given(root, "return_documents");
    const uint64_t top_n = gw_json_uint(top, 0);

    if (given(root, "rank_fields") != NULL) {
        req->error_param = "rank_fields";
        return gw_fail(err, GW_EUNSUPPORTED,
                       "the local model does not support rank_fields: documents are their text");
    }
    if (top != NULL && top_n == 0)
        return local_embed_bad(req, "top_n", "must be a number above 0", err);
    if (back != NULL && back->type != GW_JSON_TRUE && back->type != GW_JSON_FALSE)
        return local_embed_bad(req, "return_documents", "must be true or false", err);
    a->top_n = top_n < n ? (unsigned)top_n : 0;
    if (gw_json_is(back, GW_JSON_TRUE))
        GW_TRY(keep_documents(req, texts + 1, n - 1, &a->documents, err));
    return GW_OK;
}

enum gw_status local_rerank_start(struct req *req, unsigned target, struct gw_err *err)
{
    struct local_attempt a = {.req = NULL};
    struct gw_json_node *root;
    struct gw_span *texts = NULL; /* n of them; at least two when they were read */
    unsigned n = 0;

    GW_TRY(gw_json_tree(req->w->json, req->arena, req_out_body(req), NULL, &root, err));
    GW_TRY(read_texts(req, root, &texts, &n, err));
    GW_TRY(read_options(req, root, texts, n, &a, err));
    return local_embed_begin(req, target, &a, texts, n, true, err);
}

/* ---- the answer ------------------------------------------------------------------------- */

struct ranked {
    float score;
    unsigned index;
};

/* The best first; of equals the earlier. */
static int by_score(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;

    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    return x->index < y->index ? -1 : 1;
}

static void write_result(struct gw_buf *out, const struct local_attempt *a, const struct ranked *r)
{
    gw_buf_printf(out, "{\"index\":%u,\"relevance_score\":%.9g", r->index, (double)r->score);
    if (a->documents != NULL) {
        gw_buf_adds(out, ",\"document\":{\"text\":");
        gw_buf_add_json_str(out, a->documents[r->index]);
        gw_buf_addc(out, '}');
    }
    gw_buf_addc(out, '}');
}

void local_rerank_write(struct gw_buf *out, const struct local_attempt *a,
                        const struct engine_embed_event *ev)
{
    struct ranked *all = calloc(ev->n_texts, sizeof(*all));
    const unsigned n = a->top_n != 0 && a->top_n < ev->n_texts ? a->top_n : ev->n_texts;

    if (all == NULL) {
        out->failed = true;
        return;
    }
    for (unsigned i = 0; i < ev->n_texts; i++)
        all[i] = (struct ranked){ev->vectors[i], i};
    qsort(all, ev->n_texts, sizeof(*all), by_score);
    gw_buf_printf(out, "{\"id\":\"%s\",\"object\":\"list\",\"model\":", a->req->id);
    gw_buf_add_json_str(out, a->req->out_model);
    gw_buf_adds(out, ",\"results\":[");
    for (unsigned i = 0; i < n; i++) {
        gw_buf_adds(out, i == 0 ? "" : ",");
        write_result(out, a, &all[i]);
    }
    gw_buf_printf(out, "],\"usage\":{\"prompt_tokens\":%u,\"total_tokens\":%u}}\n",
                  ev->prompt_tokens, ev->prompt_tokens);
    free(all);
}
