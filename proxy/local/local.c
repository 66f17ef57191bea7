/* proxy/local/local.c - runs chat requests of every dialect on the engine: its text becomes events. Worker's thread.
 *
 * An event that is given may end the request (the client left, policy blocked), which cancels the attempt. So while
 * events are given the request is held, and a cancelled attempt is freed by who gives. */
#include "proxy/local/local.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/digest.h"
#include "proxy/local/local_embed.h"
#include "proxy/local/local_tokens.h"
#include "proxy/local/local_tools.h"
#include "proxy/net/worker.h"
#include "proxy/request/count_tokens.h"
#include "proxy/request/request_private.h"

enum { MAX_LOCAL_MS = 600000 };

/* One of the answers that were asked for. */
struct choice {
    struct attempt *a;
    unsigned index;
    uint64_t id;               /* of the engine; 0: not submitted, or done */
    struct gw_buf text;        /* what the parser has not been given yet */
    struct local_parse *parse; /* of text into blocks */
    struct local_tokens tokens;
    enum engine_finish finish; /* when done */
    char name[GW_ULID_BYTES +
              12]; /* the request's id, or with the index behind it: calls' ids are made of it */
};

struct attempt {
    struct req *req;
    struct engine_chan *chan;
    struct choice *choices;
    unsigned n_choices, n_left; /* n_left: not done */
    unsigned prompt_tokens, cached_tokens, completion_tokens;
    bool stream, began, paused;
    bool giving, canceled;
};

static void attempt_free(struct attempt *a)
{
    if (a == NULL)
        return;
    for (unsigned i = 0; i < a->n_choices; i++) {
        local_parse_free(a->choices[i].parse);
        gw_buf_fini(&a->choices[i].text);
        local_tokens_fini(&a->choices[i].tokens);
    }
    free(a->choices);
    free(a);
}

/* No events come any more. */
static void stop_all(struct attempt *a)
{
    for (unsigned i = 0; i < a->n_choices; i++)
        if (a->choices[i].id != 0)
            engine_cancel(a->chan, a->choices[i].id);
}

bool local_serves(const struct setup *s, unsigned target, enum endpoint_kind kind)
{
    if (kind == ENDPOINT_EMBEDDINGS || kind == ENDPOINT_RERANK)
        return s->embedders[target] != NULL &&
               local_reranks(s, target) == (kind == ENDPOINT_RERANK);
    return s->engines[target] != NULL && (kind == ENDPOINT_CHAT || kind == ENDPOINT_COUNT_TOKENS);
}

/* ---- starting --------------------------------------------------------------------------- */

/* Whose prefixes and formats it may share: its owner's, by a hash when the name is long. */
static struct gw_span tenant_of(const struct req *req, unsigned char hash[GW_SHA256_BYTES])
{
    struct gw_span owner = req->who.owner;

    if (owner.len <= ENGINE_MAX_TENANT_BYTES)
        return owner;
    gw_sha256(owner, hash);
    return (struct gw_span){(const char *)hash, GW_SHA256_BYTES};
}

/* What the model gets: as it was asked, or read anew when policy edits for the local model too (scope: always). */
static enum gw_status read_asked(struct req *req, struct local_request *out, struct gw_err *err)
{
    struct api_request edited = {
        .dialect = req->ep.dialect, .model = req->asked.model, .stream = req->asked.stream};
    unsigned char hash[GW_SHA256_BYTES];
    const struct gw_span tenant = tenant_of(req, hash);
    const struct gw_json_node *root;
    struct gw_json_node *tree;

    if (!req->edited)
        return local_read(&req->asked, tenant, req->arena, out, &req->error_param, err);
    GW_TRY(gw_json_tree(req->w->json, req->arena, req_out_body(req), NULL, &tree, err));
    root = req->asked.counting ? count_tokens_request(req->ep.dialect, tree) : tree;
    GW_TRY(api_read_request(req->ep.dialect, root, req->arena, &edited, &req->error_param, err));
    return local_read(&edited, tenant, req->arena, out, &req->error_param, err);
}

static enum gw_status on_block(void *ctx, const struct api_event *ev);

static bool choice_init(struct choice *c, struct attempt *a, unsigned index,
                        const struct local_request *local, const struct engine *engine)
{
    const struct local_parse_config cfg = {.tools = local->tools,
                                           .n_tools = local->n_tools,
                                           .single = local->single,
                                           .says = local->params.grammar == NULL
                                                       ? engine_says(engine)
                                                       : 0, /* its form is the format's */
                                           .id = c->name,
                                           .fn = on_block,
                                           .ctx = c};

    c->a = a;
    c->index = index;
    c->tokens.engine = local->params.logprobs ? engine : NULL;
    if (index == 0)
        (void)snprintf(c->name, sizeof(c->name), "%s", a->req->id);
    else
        (void)snprintf(c->name, sizeof(c->name), "%s_%u", a->req->id, index);
    c->parse = local_parse_new(&cfg);
    return c->parse != NULL;
}

/* NULL: out of memory. */
static struct attempt *attempt_new(struct req *req, unsigned target,
                                   const struct local_request *local)
{
    struct attempt *a = calloc(1, sizeof(*a));
    bool ok = a != NULL;

    if (ok) {
        a->req = req;
        a->chan = setup_seat(req->setup, req->w)->engines[target];
        a->stream = req->asked.stream;
        a->choices = calloc(local->n, sizeof(*a->choices));
        ok = a->choices != NULL;
    }
    for (unsigned i = 0; ok && i < local->n; i++) {
        a->n_choices = a->n_left = i + 1;
        ok = choice_init(&a->choices[i], a, i, local, req->setup->engines[target]);
    }
    if (ok)
        return a;
    attempt_free(a);
    return NULL;
}

/* All of them or none. */
static enum gw_status submit(struct attempt *a, const struct local_request *local,
                             struct gw_err *err)
{
    struct engine_params params = local->params;
    unsigned char hash[GW_SHA256_BYTES];
    enum gw_status st = GW_OK;

    st = local_adapter(&a->req->setup->cfg->targets[a->req->target], a->req->out_model,
                       &params.adapter, err);
    if (st != GW_OK)
        a->req->error_param = "model";
    params.tenant = tenant_of(a->req, hash);
    params.deadline_ns = gw_clock_ns() + (uint64_t)MAX_LOCAL_MS * GW_NS_PER_MS;
    for (unsigned i = 0; i < a->n_choices && st == GW_OK; i++) {
        st = engine_submit(a->chan, local->messages, local->n_messages, &params, &a->choices[i],
                           &a->choices[i].id, err);
        if (params.seed != 0)
            params.seed++;
    }
    if (st != GW_OK)
        stop_all(a);
    return st;
}

static enum gw_status start_chat(struct req *req, unsigned target, struct gw_err *err)
{
    struct local_request local;
    struct attempt *a;
    enum gw_status st;

    GW_TRY(read_asked(req, &local, err));
    if (setup_seat(req->setup, req->w)->engines[target] == NULL) {
        engine_grammar_unref(local.params.grammar);
        return gw_fail(err, GW_EAGAIN, "the local model is not loaded");
    }
    st = local_check_biases(&local, req->setup->engines[target], &req->error_param, err);
    if (st != GW_OK) {
        engine_grammar_unref(local.params.grammar);
        return st;
    }
    a = attempt_new(req, target, &local);
    st = a == NULL ? gw_fail(err, GW_ENOMEM, "out of memory") : submit(a, &local, err);
    engine_grammar_unref(local.params.grammar); /* the engine has its own */
    if (st != GW_OK) {
        attempt_free(a);
        return st;
    }
    req->attempt = a;
    return GW_OK;
}

/* Tokens of the prompt that the template makes. Bounded by limits.max_body; no model is run. */
static enum gw_status count_tokens(struct req *req, unsigned target, struct gw_err *err)
{
    const struct engine *e = req->setup->engines[target];
    struct local_request local;
    struct gw_buf prompt = {0}, out = {0};
    int32_t *tokens = NULL;
    size_t n = 0;
    enum gw_status st;

    GW_TRY(read_asked(req, &local, err));
    engine_grammar_unref(local.params.grammar);
    st = engine_render(e, local.messages, local.n_messages, &prompt, err);
    if (st == GW_OK)
        st = engine_tokenize(e, gw_buf_span(&prompt), &tokens, &n);
    free(tokens);
    gw_buf_fini(&prompt);
    if (st != GW_OK)
        return st;
    count_tokens_write(&out, req->ep.dialect, n);
    if (gw_buf_ok(&out))
        req_give_json(req, gw_buf_span(&out));
    st = gw_buf_ok(&out) ? GW_OK : gw_fail(err, GW_ENOMEM, "out of memory");
    gw_buf_fini(&out);
    return st;
}

static enum gw_status local_start(struct req *req, unsigned target, struct gw_err *err)
{
    switch (req->ep.kind) {
    case ENDPOINT_CHAT:
        return start_chat(req, target, err);
    case ENDPOINT_EMBEDDINGS:
        return local_embed_start(req, target, err);
    case ENDPOINT_RERANK:
        return local_rerank_start(req, target, err);
    case ENDPOINT_COUNT_TOKENS:
        return count_tokens(req, target, err);
    case ENDPOINT_NONE:
    case ENDPOINT_MODELS:
    case ENDPOINT_PASS:
    default:
        return gw_fail(err, GW_EUNSUPPORTED, "the local model cannot answer this path");
    }
}

static void local_cancel(struct req *req)
{
    struct attempt *a = req->attempt;

    if (a == NULL)
        return;
    if (req->ep.kind == ENDPOINT_EMBEDDINGS || req->ep.kind == ENDPOINT_RERANK) {
        local_embed_cancel(req);
        return;
    }
    req->attempt = NULL;
    stop_all(a);
    if (a->giving)
        a->canceled = true;
    else
        attempt_free(a);
}

/* ---- answers ---------------------------------------------------------------------------- */

/* Events go to the request only while it lives. False: it is over. */
static bool put(struct attempt *a, const struct api_event *ev)
{
    if (!a->req->finished && !a->canceled)
        req_on_event(a->req, ev);
    return !a->req->finished && !a->canceled;
}

static enum gw_status on_block(void *ctx, const struct api_event *ev)
{
    struct choice *c = ctx;
    struct api_event of_choice = *ev;

    of_choice.choice = c->index;
    if (c->tokens.engine != NULL && ev->type == API_EVENT_DELTA && ev->kind == API_BLOCK_TEXT &&
        !local_tokens_tell(&c->tokens, local_parse_at(c->parse), &of_choice))
        return GW_ENOMEM;
    return put(c->a, &of_choice) ? GW_OK : GW_ECANCELED;
}

/* Around all that gives events. */
static void giving_begin(struct attempt *a)
{
    a->req->hold++;
    a->giving = true;
}

static void giving_end(struct attempt *a)
{
    struct req *req = a->req;

    a->giving = false;
    if (a->canceled)
        attempt_free(a);
    (void)req_unhold(req);
}

/* Of several answers to one prompt the first computes it: what that one found in the cache counts. */
static void note_prompt(struct attempt *a, const struct engine_event *ev)
{
    if (a->prompt_tokens == 0 || ev->cached_tokens < a->cached_tokens)
        a->cached_tokens = ev->cached_tokens;
    a->prompt_tokens = ev->prompt_tokens;
}

static bool begin(struct attempt *a)
{
    const struct api_event start = {
        .type = API_EVENT_START,
        .model = a->req->out_model,
        .usage = {.known = true, .input = a->prompt_tokens, .cached = a->cached_tokens},
    };

    if (a->began)
        return !a->req->finished;
    a->began = true;
    req_on_events(a->req);
    return put(a, &start);
}

/* st: what the parser said. False: the request is over, perhaps just now. */
static bool went_well(struct attempt *a, enum gw_status st)
{
    if (st != GW_OK && !a->req->finished)
        req_answer_failed(a->req, st);
    return !a->req->finished;
}

static bool give_text(struct choice *c)
{
    enum gw_status st =
        gw_buf_ok(&c->text) ? local_parse_text(c->parse, gw_buf_span(&c->text)) : GW_ENOMEM;

    gw_buf_clear(&c->text);
    return went_well(c->a, st);
}

static void on_text(struct choice *c, const struct engine_event *ev)
{
    struct attempt *a = c->a;

    gw_buf_add(&c->text, gw_buf_span(&ev->text));
    local_tokens_add(&c->tokens, gw_buf_span(&ev->tokens));
    if (a->stream && !a->paused && begin(a))
        (void)give_text(c);
}

static enum req_failure failure_of(enum gw_status st)
{
    if (st == GW_ELIMIT)
        return REQ_FAIL_TOO_LONG;
    return st == GW_ETIMEDOUT ? REQ_FAIL_TIMEOUT : REQ_FAIL_UPSTREAM;
}

static enum api_finish finish_of(const struct choice *c)
{
    if (c->finish == ENGINE_FINISH_LENGTH)
        return API_FINISH_LENGTH; /* also behind calls: there may have been more of them */
    return local_parse_calls(c->parse) != 0 ? API_FINISH_TOOL : API_FINISH_STOP;
}

/* A whole answer, or the rest of a stream. False: the request is over. */
static bool give_choice(struct choice *c)
{
    struct api_event finish = {.type = API_EVENT_FINISH, .choice = c->index};

    if (!begin(c->a) || !give_text(c) || !went_well(c->a, local_parse_end(c->parse)))
        return false;
    finish.finish = finish_of(c);
    return put(c->a, &finish);
}

/* All answers are there: those that nobody has been given yet, and the end. */
static void give_rest(struct attempt *a, struct choice *last)
{
    const struct api_event usage = {
        .type = API_EVENT_USAGE,
        .usage = {.known = true,
                  .input = a->prompt_tokens,
                  .cached = a->cached_tokens,
                  .output = a->completion_tokens},
    };
    const struct api_event end = {.type = API_EVENT_END};
    bool ok = !a->stream || give_choice(last);

    for (unsigned i = 0; !a->stream && ok && i < a->n_choices; i++)
        ok = give_choice(&a->choices[i]);
    if (ok && put(a, &usage) && put(a, &end))
        req_on_end(a->req);
}

/* Not the last one: others go on. */
static void on_one_done(struct choice *c, const struct engine_event *ev)
{
    struct attempt *a = c->a;

    giving_begin(a);
    if (ev->status != GW_OK)
        req_on_error(a->req, failure_of(ev->status), ev->error); /* cancels the others */
    else if (a->stream)
        (void)give_choice(c);
    giving_end(a);
}

static void on_done(struct choice *c, const struct engine_event *ev)
{
    struct attempt *a = c->a;
    struct req *req = a->req;

    c->id = 0;
    c->finish = ev->finish;
    note_prompt(a, ev);
    a->completion_tokens += ev->completion_tokens;
    if (--a->n_left != 0) {
        on_one_done(c, ev);
        return;
    }
    req->attempt = NULL; /* so nobody cancels it, and it is freed here */
    req->hold++;
    if (ev->status != GW_OK)
        req_on_error(req, failure_of(ev->status), ev->error);
    else
        give_rest(a, c);
    attempt_free(a);
    (void)req_unhold(req);
}

static void on_event(struct choice *c, const struct engine_event *ev)
{
    struct attempt *a = c->a;

    giving_begin(a);
    if (ev->type == ENGINE_EVENT_START) {
        note_prompt(a, ev);
        if (a->stream)
            (void)begin(a);
    } else {
        on_text(c, ev);
    }
    giving_end(a);
}

void local_dispatch(struct engine_chan *chan)
{
    struct engine_event ev;

    while (engine_chan_next(chan, &ev)) {
        if (ev.type == ENGINE_EVENT_DONE)
            on_done(ev.ctx, &ev);
        else
            on_event(ev.ctx, &ev);
        gw_buf_fini(&ev.text);
        gw_buf_fini(&ev.tokens);
    }
}

static void local_pause(struct req *req)
{
    struct attempt *a = req->attempt;

    if (a != NULL && req->ep.kind == ENDPOINT_CHAT)
        a->paused = true; /* text is kept, which max_tokens bounds */
}

static void local_resume(struct req *req)
{
    struct attempt *a = req->attempt;

    if (a == NULL || req->ep.kind != ENDPOINT_CHAT || !a->paused)
        return;
    a->paused = false;
    if (!a->stream || !a->began || a->giving)
        return; /* or who gives goes on */
    giving_begin(a);
    for (unsigned i = 0; i < a->n_choices && !a->req->finished && !a->canceled; i++)
        if (a->choices[i].id != 0) /* those that are done were given whole */
            (void)give_text(&a->choices[i]);
    giving_end(a);
}

const struct backend backend_engine = {"engine", local_start, local_cancel, local_pause,
                                       local_resume};
