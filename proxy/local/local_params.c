/* proxy/local/local_params.c - a request of any dialect as the engine takes it; what the local model cannot do is refused by
 * name, never ignored. Pure. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/api/api.h"
#include "proxy/local/local.h"
#include "proxy/local/local_format.h"
#include "proxy/local/local_tools.h"

enum { MAX_STOP = 16 };

struct reading {
    const struct api_request *asked;
    struct gw_arena *arena;
    const char **param;
    struct gw_err *err;
};

static enum gw_status cannot_but(const struct reading *r, const char *param, const char *what)
{
    *r->param = param;
    return gw_fail(r->err, GW_EUNSUPPORTED, "the local model does not support %s%s", param, what);
}

static enum gw_status cannot(const struct reading *r, const char *param)
{
    return cannot_but(r, param, "");
}

/* A number as written, and its range; *out stays when it was not given. */
struct number {
    struct gw_span raw;
    const char *name;
    double lo, hi;
    bool whole;
    double *out;
};

static enum gw_status read_number(const struct reading *r, const struct number *n)
{
    char buf[40];
    double v;

    if (n->raw.len == 0)
        return GW_OK;
    *r->param = n->name;
    if (n->raw.len >= sizeof(buf))
        return gw_fail(r->err, GW_EINVAL, "%s has too many digits", n->name);
    memcpy(buf, n->raw.ptr, n->raw.len);
    buf[n->raw.len] = '\0';
    v = strtod(buf, NULL);
    if (!(v >= n->lo && v <= n->hi))
        return gw_fail(r->err, GW_EINVAL, "%s must be from %g to %g", n->name, n->lo, n->hi);
    if (n->whole && v != trunc(v))
        return gw_fail(r->err, GW_EINVAL, "%s must be a whole number", n->name);
    *r->param = NULL;
    *n->out = v;
    return GW_OK;
}

static enum gw_status read_numbers(const struct reading *r, struct local_request *out)
{
    const struct api_request *a = r->asked;
    double max_tokens = 0, top_k = 0, seed = -1, n = 1, top_logprobs = 0;
    double temperature = 1, top_p = 1, min_p = 0, presence = 0, frequency = 0;
    const struct number numbers[] = {
        {a->max_tokens, "max_tokens", 1, 1e9, true, &max_tokens},
        {a->temperature, "temperature", 0, 2, false, &temperature},
        {a->top_p, "top_p", 0, 1, false, &top_p},
        {a->min_p, "min_p", 0, 1, false, &min_p},
        {a->top_k, "top_k", 0, 1e6, true, &top_k},
        {a->presence_penalty, "presence_penalty", -2, 2, false, &presence},
        {a->frequency_penalty, "frequency_penalty", -2, 2, false, &frequency},
        {a->seed, "seed", -9.3e18, 9.3e18, true, &seed},
        {a->n, "n", 1, 128, true, &n},
        {a->top_logprobs, "top_logprobs", 0, ENGINE_MAX_TOP_LOGPROBS, true, &top_logprobs},
    };

    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        GW_TRY(read_number(r, &numbers[i]));
    if (n > LOCAL_MAX_N)
        return cannot_but(r, "n", " above 8");
    out->n = (unsigned)n;
    out->params = (struct engine_params){
        .max_tokens = (unsigned)max_tokens,
        .temperature = (float)temperature,
        .top_p = (float)top_p,
        .min_p = (float)min_p,
        .top_k = (unsigned)top_k,
        .presence_penalty = (float)presence,
        .frequency_penalty = (float)frequency,
        .repeat_penalty = 1,
        .seed = a->seed.len == 0 ? 0 : (uint64_t)fabs(seed) + 1, /* 0 would mean random */
        .stop = a->stop,
        .n_stop = a->n_stop,
        .logprobs = a->logprobs || top_logprobs > 0,
        .top_logprobs = (unsigned)top_logprobs,
    };
    /* Responses may count alternatives without naming probabilities among what it includes. */
    if (top_logprobs > 0 && !a->logprobs && a->dialect != API_RESPONSES) {
        *r->param = "top_logprobs";
        return gw_fail(r->err, GW_EINVAL, "top_logprobs needs logprobs");
    }
    return GW_OK;
}

/* ---- biases ------------------------------------------------------------------------------ */

/* A member's name is the token's number. */
static bool read_id(struct gw_span key, int32_t *id)
{
    int64_t v = 0;

    if (key.len == 0 || key.len > 9)
        return false;
    for (size_t i = 0; i < key.len; i++) {
        if (key.ptr[i] < '0' || key.ptr[i] > '9')
            return false;
        v = v * 10 + (key.ptr[i] - '0');
    }
    *id = (int32_t)v;
    return true;
}

static enum gw_status read_biases(const struct reading *r, struct local_request *out)
{
    const struct gw_json_node *all = r->asked->logit_bias;
    struct engine_bias *bias;
    unsigned n = 0;

    if (all == NULL)
        return GW_OK;
    *r->param = "logit_bias";
    if (all->n > ENGINE_MAX_BIAS)
        return gw_fail(r->err, GW_EINVAL, "logit_bias has more than %d tokens", ENGINE_MAX_BIAS);
    bias = gw_arena_array(r->arena, all->n, sizeof(*bias));
    if (bias == NULL)
        return gw_fail(r->err, GW_ENOMEM, "out of memory");
    for (const struct gw_json_node *c = all->child; c != NULL; c = c->next) {
        const struct number number = {c->raw, "logit_bias", -100, 100, false, &(double){0}};

        if (!read_id(c->key, &bias[n].id) || !gw_json_is(c, GW_JSON_NUMBER))
            return gw_fail(r->err, GW_EINVAL,
                           "logit_bias must have numbers of tokens as names and numbers as values");
        GW_TRY(read_number(r, &number));
        bias[n++].bias = (float)*number.out;
    }
    *r->param = NULL;
    out->params.bias = bias;
    out->params.n_bias = n;
    return GW_OK;
}

enum gw_status local_check_biases(const struct local_request *local, const struct engine *e,
                                  const char **param, struct gw_err *err)
{
    unsigned n_vocab = engine_n_vocab(e);

    for (unsigned i = 0; i < local->params.n_bias; i++) {
        if ((unsigned)local->params.bias[i].id < n_vocab)
            continue;
        *param = "logit_bias";
        return gw_fail(err, GW_EINVAL, "logit_bias names token %d, but the model has %u",
                       (int)local->params.bias[i].id, n_vocab);
    }
    return GW_OK;
}

/* Whether it is an extra for other targets only. */
static bool is_read(const struct api_request *a, const struct api_extra *x)
{
    return a->logit_bias != NULL && gw_span_is(x->path, "logit_bias");
}

static enum gw_status check(const struct reading *r)
{
    const struct api_request *a = r->asked;

    if (a->bad != NULL) {
        *r->param = a->bad_param;
        return gw_fail(r->err, GW_EINVAL, "%s", a->bad);
    }
    if (a->n_stop > MAX_STOP) {
        *r->param = "stop";
        return gw_fail(r->err, GW_EINVAL, "stop has more than %d entries", MAX_STOP);
    }
    for (unsigned i = 0; i < a->n_extras; i++)
        if (!a->extras[i].hint && !is_read(a, &a->extras[i]))
            return cannot(r, gw_arena_copy(r->arena, a->extras[i].path).ptr);
    return GW_OK;
}

static enum gw_status check_part(const struct reading *r, const struct api_part *part)
{
    switch (part->kind) {
    case API_PART_IMAGE:
        return cannot(r, "images");
    case API_PART_FILE:
        return cannot(r, "files");
    case API_PART_AUDIO:
        return cannot(r, "audio");
    case API_PART_TEXT:
    case API_PART_REASONING:
    case API_PART_REFUSAL:
    case API_PART_TOOL_CALL:
    case API_PART_TOOL_RESULT:
    default:
        return GW_OK;
    }
}

static enum gw_status check_message(const struct reading *r, const struct api_message *m)
{
    for (unsigned i = 0; i < m->n_parts; i++) {
        GW_TRY(check_part(r, &m->parts[i]));
        for (unsigned k = 0; k < m->parts[i].n_parts; k++) /* of a tool's result */
            GW_TRY(check_part(r, &m->parts[i].parts[k]));
    }
    return GW_OK;
}

static enum gw_status read_tools(const struct reading *r, struct local_request *out)
{
    enum gw_status st = local_tools_shown(r->asked, &out->tools, &out->n_tools, r->err);

    if (st != GW_OK) {
        *r->param = "tool_choice";
        return st;
    }
    out->single = local_tools_single(r->asked);
    return local_tools_messages(r->asked, out->tools, out->n_tools, r->arena, &out->messages,
                                &out->n_messages, r->err);
}

/* Of one call at most its end is a stop string, so that nothing is generated behind it. With as many stop strings as the
 * engine takes it is not, and the parser drops the rest. */
static enum gw_status stop_behind_call(const struct reading *r, struct local_request *out)
{
    struct gw_span *stop;

    if (out->n_tools == 0 || !out->single || out->params.n_stop == MAX_STOP)
        return GW_OK;
    stop = gw_arena_array(r->arena, (size_t)out->params.n_stop + 1, sizeof(*stop));
    if (stop == NULL)
        return gw_fail(r->err, GW_ENOMEM, "out of memory");
    for (unsigned i = 0; i < out->params.n_stop; i++)
        stop[i] = out->params.stop[i];
    stop[out->params.n_stop++] = GW_SPAN(LOCAL_TOOLS_CALL_END);
    out->params.stop = stop;
    return GW_OK;
}

enum gw_status local_read(const struct api_request *asked, struct gw_span tenant,
                          struct gw_arena *arena, struct local_request *out, const char **param,
                          struct gw_err *err)
{
    const struct reading r = {asked, arena, param, err};
    struct local_request read = {0};

    *param = NULL;
    GW_TRY(check(&r));
    for (unsigned i = 0; i < asked->n_messages; i++)
        GW_TRY(check_message(&r, &asked->messages[i]));
    GW_TRY(read_tools(&r, &read));
    GW_TRY(read_numbers(&r, &read));
    GW_TRY(read_biases(&r, &read));
    GW_TRY(stop_behind_call(&r, &read));
    GW_TRY(local_format(asked, &read, tenant, arena, &read.params.grammar, param, err));
    *out = read;
    return GW_OK;
}
