/* proxy/request/request_body.c - the bytes for a target: edited for its zone, in its dialect, under its name for the model.
 * Worker's thread. */
#include <stdio.h>
#include <string.h>

#include "proxy/limits/limits.h"
#include "proxy/net/upstream_head.h"
#include "proxy/net/worker.h"
#include "proxy/provider/provider.h"
#include "proxy/request/conversation.h"
#include "proxy/request/count_tokens.h"
#include "proxy/request/request_private.h"

struct gw_span req_out_body(const struct req *req)
{
    return gw_buf_span(req->out_body.ptr != NULL ? &req->out_body : &req->body);
}

/* ---- edits ------------------------------------------------------------------------------ */

static bool is_edit(enum gw_action a)
{
    return a == GW_ACTION_MASK || a == GW_ACTION_TOKENIZE || a == GW_ACTION_REDACT;
}

/* What happens to finding i when the text goes to the request's zone. */
static enum gw_action action_for_zone(const struct req *req, unsigned i)
{
    enum gw_action a = (enum gw_action)req->d.actions[i];

    return is_edit(a) && req->zone == GW_ZONE_PROCESS && !req->d.always[i] ? GW_ACTION_ALLOW : a;
}

/* Placeholders are the same in every turn of a conversation, so the model sees one person as one person and history that the
 * client sends again is hidden the same way; never for two principals. */
static struct dlp_vault *new_vault(const struct req *req)
{
    unsigned char key[GW_SHA256_BYTES];
    struct gw_buf who = {0};
    struct dlp_vault *v = NULL;

    gw_buf_adds(&who, "placeholders|");
    gw_buf_add(&who, req->who.owner);
    gw_buf_addc(&who, '|');
    gw_buf_add(&who, req->who.name);
    if (req->setup->cfg->dlp.placeholders == 0) {
        gw_buf_addc(&who, '|');
        gw_buf_add(&who, conversation_first(req));
    }
    if (gw_buf_ok(&who)) {
        gw_hmac_sha256(req_hmac_key(req), gw_buf_span(&who), key);
        v = dlp_vault_new((struct gw_span){(const char *)key, sizeof(key)});
        explicit_bzero(key, sizeof(key));
    }
    gw_buf_fini(&who);
    return v;
}

/* What becomes of the findings of one piece. */
struct piece_edits {
    enum gw_action *actions;
    uint8_t *styles; /* enum dlp_style */
    bool any;        /* else nothing of it changes */
};

/* What the line says of the placeholder; without a line: a name. */
static uint8_t style_of(const struct req *req, unsigned i)
{
    unsigned line = req->d.lines[i];

    return line < req->setup->cfg->n_lines ? (uint8_t)req->setup->cfg->lines[line].style
                                           : (uint8_t)DLP_STYLE_NAME;
}

/* What policy says about the findings of one piece. */
static enum gw_status piece_edits(struct req *req, const struct req_piece *p, unsigned first,
                                  struct piece_edits *out, struct gw_err *err)
{
    *out = (struct piece_edits){
        .actions = gw_arena_array(req->arena, p->report.n_findings + 1, sizeof(*out->actions)),
        .styles = gw_arena_alloc(req->arena, p->report.n_findings + 1)};
    if (out->actions == NULL || out->styles == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory");
    for (unsigned i = 0; i < p->report.n_findings; i++) {
        out->actions[i] = action_for_zone(req, first + i);
        out->styles[i] = style_of(req, first + i);
        if (!is_edit(out->actions[i]))
            continue;
        if (p->fixed != NULL)
            return gw_fail(err, GW_EDENIED, "the %s holds %.*s, which cannot be hidden there",
                           p->fixed, (int)req->findings[first + i].rule.len,
                           req->findings[first + i].rule.ptr);
        out->any = true;
    }
    return GW_OK;
}

/* Does a line say that values keep their shape? */
static bool keeps_shapes(const struct req *req)
{
    for (unsigned i = 0; i < req->n_findings; i++)
        if (style_of(req, i) == DLP_STYLE_SHAPE)
            return true;
    return false;
}

/* Makes the vault; where shapes are kept, with all texts of the request to avoid. */
static enum gw_status open_vault(struct req *req, struct gw_err *err)
{
    const struct dlp_doc **docs =
        gw_arena_array(req->arena, req->n_pieces + 1, sizeof(const struct dlp_doc *));

    req->vault = docs == NULL ? NULL : new_vault(req);
    if (req->vault == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory");
    if (!keeps_shapes(req))
        return GW_OK;
    for (unsigned i = 0; i < req->n_pieces; i++)
        docs[i] = req->pieces[i].doc;
    return dlp_vault_avoid(req->vault, docs, req->n_pieces);
}

static enum gw_status edit_piece(struct req *req, const struct req_piece *p,
                                 const struct piece_edits *edits, size_t *from, struct gw_err *err)
{
    size_t start = (size_t)(p->bytes.ptr - req->body.ptr);

    if (req->vault == NULL)
        GW_TRY(open_vault(req, err));
    req->edited = true;
    gw_buf_add(&req->out_body, (struct gw_span){req->body.ptr + *from, start - *from});
    *from = start + p->bytes.len;
    return dlp_doc_edit_styled(p->doc, req->setup->rules, &p->report, edits->actions, edits->styles,
                               req->vault, &req->out_body);
}

/* Bytes between the pieces that change stay as they came. */
static enum gw_status edit_body(struct req *req, struct gw_err *err)
{
    unsigned first = 0;
    size_t from = 0;

    for (unsigned i = 0; i < req->n_pieces; i++) {
        const struct req_piece *p = &req->pieces[i];
        struct piece_edits edits;

        GW_TRY(piece_edits(req, p, first, &edits, err));
        first += p->report.n_findings;
        if (edits.any)
            GW_TRY(edit_piece(req, p, &edits, &from, err));
    }
    if (req->edited)
        gw_buf_add(&req->out_body, gw_span_from(gw_buf_span(&req->body), from));
    return gw_buf_ok(&req->out_body) ? GW_OK : gw_fail(err, GW_ENOMEM, "out of memory");
}

/* out_body becomes bytes, which are the caller's no more. */
static void replace_body(struct req *req, struct gw_buf *bytes)
{
    gw_buf_fini(&req->out_body);
    req->out_body = *bytes;
}

static enum gw_status name_model(struct req *req, struct gw_err *err)
{
    struct gw_buf renamed = {0};
    enum gw_status st;

    if (req->ep.dialect == API_GEMINI || req->ep.kind == ENDPOINT_PASS ||
        gw_span_eq(req->out_model, req->model))
        return GW_OK; /* in the path, or nobody's but the provider's */
    st = api_replace_model(req->w->json, req_out_body(req), req->out_model, &renamed);
    if (st != GW_OK) {
        gw_buf_fini(&renamed);
        return gw_fail(err, st, "the model name could not be set");
    }
    replace_body(req, &renamed);
    return GW_OK;
}

/* A conversation that another provider answered in part comes with reasoning that this one has not signed. */
static enum gw_status drop_foreign(struct req *req, struct gw_err *err)
{
    struct gw_buf cleaned = {0};
    bool changed = false;
    enum gw_status st;

    if (req->ep.kind != ENDPOINT_CHAT && req->ep.kind != ENDPOINT_COUNT_TOKENS)
        return GW_OK;
    st = api_drop_foreign(req->ep.dialect, req->w->json, req->arena, req_out_body(req), &cleaned,
                          &changed);
    if (st != GW_OK || !changed) {
        gw_buf_fini(&cleaned);
        return st == GW_OK ? GW_OK : gw_fail(err, st, "reasoning of others could not be left out");
    }
    replace_body(req, &cleaned);
    gw_buf_adds(&req->dropped, "reasoning of other models");
    return GW_OK;
}

static struct gw_span number_text(struct req *req, uint64_t n)
{
    char text[24];

    (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)n);
    return gw_arena_copy(req->arena, gw_span_str(text));
}

/* An answer without an end of its own gets one where a budget counts its tokens, and its operators want that. */
static enum gw_status cap_answer(struct req *req, struct gw_err *err)
{
    struct gw_buf capped = {0};
    uint64_t cap = limits_cap(req);
    enum gw_status st;

    if (cap == 0)
        return GW_OK;
    st = api_cap_answer(req->ep.dialect, req->w->json, req->arena, req_out_body(req),
                        req->out_model, cap, &capped);
    if (st == GW_OK)
        replace_body(req, &capped);
    else
        gw_buf_fini(&capped);
    return st == GW_OK ? GW_OK
                       : gw_fail(err, st == GW_EPARSE ? GW_EINVAL : st,
                                 "the limit of the answer's length is not a number");
}

/* Reads the edited body anew, so that what is written can only hold what may leave. */
static enum gw_status translate_body(struct req *req, struct gw_err *err)
{
    struct api_request edited = {
        .dialect = req->ep.dialect, .model = req->asked.model, .stream = req->asked.stream};
    struct gw_buf written = {0};
    const struct gw_json_node *root;
    struct gw_json_node *tree;
    uint64_t cap = limits_cap(req);
    enum gw_status st;

    GW_TRY(gw_json_tree(req->w->json, req->arena, req_out_body(req), NULL, &tree, err));
    root = tree;
    if (req->asked.counting)
        root = count_tokens_request(req->ep.dialect, root);
    GW_TRY(api_read_request(req->ep.dialect, root, req->arena, &edited, &req->error_param, err));
    edited.counting = req->asked.counting;
    if (cap != 0)
        edited.max_tokens = number_text(req, cap);
    edited.no_usage = req->setup->cfg->targets[req->target].usage == 1;
    st = api_write_request(req->spoken, &edited, req->out_model, req->arena, &written,
                           &req->dropped, &req->error_param, err);
    if (st != GW_OK || !gw_buf_ok(&written)) {
        gw_buf_fini(&written);
        return st != GW_OK ? st : gw_fail(err, GW_ENOMEM, "out of memory");
    }
    replace_body(req, &written);
    return GW_OK;
}

/* For the record and the bill: what came only because of it is taken out again (respond_usage.c). */
static enum gw_status ask_usage(struct req *req, struct gw_err *err)
{
    const struct proxy_config_target *t = &req->setup->cfg->targets[req->target];
    struct gw_buf asking = {0};
    enum gw_status st;

    if (req->ep.kind != ENDPOINT_CHAT || !req->asked.stream || req->asked.include_usage ||
        req->translated || !provider_hides_usage(t, req->ep.dialect))
        return GW_OK;
    st = provider_ask_usage(req->w->json, req_out_body(req), &asking, &req->usage_asked);
    if (st == GW_OK && req->usage_asked)
        replace_body(req, &asking);
    else
        gw_buf_fini(&asking);
    return st == GW_OK ? GW_OK : gw_fail(err, st, "out of memory");
}

static enum gw_status adapt_body(struct req *req, struct gw_err *err)
{
    struct provider_call call;
    struct gw_buf adapted = {0}, line = {0};
    bool changed = false;
    enum gw_status st;

    upstream_call_of(req, &call);
    st = provider_write_line(
        &call, &line, err); /* a model or path that cannot be asked for is the client's error */
    gw_buf_fini(&line);
    if (st != GW_OK)
        return st;
    st = provider_adapt_body(&call, req->w->json, req_out_body(req), &adapted, &changed, err);
    if (st == GW_OK && changed)
        replace_body(req, &adapted);
    else
        gw_buf_fini(&adapted);
    return st;
}

/* What changes where the target speaks the client's dialect. */
static enum gw_status keep_dialect(struct req *req, struct gw_err *err)
{
    GW_TRY(drop_foreign(req, err));
    GW_TRY(name_model(req, err));
    GW_TRY(cap_answer(req, err));
    return ask_usage(req, err);
}

/* The bytes for the target: edited for its zone, in its dialect, under its name for the model. */
enum gw_status req_prepare_body(struct req *req, struct gw_err *err)
{
    struct router_input in;

    if (req->target != REQ_NO_TARGET && router_policy_by_target(req->setup->cfg->policy)) {
        req_router_input(req, &in);
        router_decide_at(req->setup->cfg->policy, &in, req->target, &req->d);
    }
    GW_TRY(edit_body(req, err));
    if (req->target == REQ_NO_TARGET || req->backend == &backend_engine)
        return GW_OK; /* forwarded as it is; read anew by local.c */
    GW_TRY(req->translated ? translate_body(req, err) : keep_dialect(req, err));
    return adapt_body(req, err);
}
