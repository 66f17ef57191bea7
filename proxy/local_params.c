/* proxy/local_params.c - a request of any dialect as the engine takes it; what the local model cannot do is refused by
 * name, never ignored. Pure. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/api.h"
#include "proxy/local.h"

enum { MAX_STOP = 16 };

struct reading {
    const struct api_request *asked;
    struct gw_arena *arena;
    const char **param;
    struct gw_err *err;
};

static enum gw_status cannot(const struct reading *r, const char *param)
{
    *r->param = param;
    return gw_fail(r->err, GW_EUNSUPPORTED, "the local model does not support %s", param);
}

/* A number as written, in its range; *out stays when it was not given. */
static enum gw_status number(const struct reading *r, struct gw_span raw, const char *name,
                             double lo, double hi, bool whole, double *out)
{
    char buf[40];
    double v;

    if (raw.len == 0)
        return GW_OK;
    *r->param = name;
    if (raw.len >= sizeof(buf))
        return gw_fail(r->err, GW_EINVAL, "%s has too many digits", name);
    memcpy(buf, raw.ptr, raw.len);
    buf[raw.len] = '\0';
    v = strtod(buf, NULL);
    if (!(v >= lo && v <= hi))
        return gw_fail(r->err, GW_EINVAL, "%s must be from %g to %g", name, lo, hi);
    if (whole && v != trunc(v))
        return gw_fail(r->err, GW_EINVAL, "%s must be a whole number", name);
    *r->param = NULL;
    *out = v;
    return GW_OK;
}

static enum gw_status read_numbers(const struct reading *r, struct engine_params *p)
{
    const struct api_request *a = r->asked;
    double max_tokens = 0, top_k = 0, seed = -1, n = 1;
    double temperature = 1, top_p = 1, min_p = 0, presence = 0, frequency = 0;

    GW_TRY(number(r, a->max_tokens, "max_tokens", 1, 1e9, true, &max_tokens));
    GW_TRY(number(r, a->temperature, "temperature", 0, 2, false, &temperature));
    GW_TRY(number(r, a->top_p, "top_p", 0, 1, false, &top_p));
    GW_TRY(number(r, a->min_p, "min_p", 0, 1, false, &min_p));
    GW_TRY(number(r, a->top_k, "top_k", 0, 1e6, true, &top_k));
    GW_TRY(number(r, a->presence_penalty, "presence_penalty", -2, 2, false, &presence));
    GW_TRY(number(r, a->frequency_penalty, "frequency_penalty", -2, 2, false, &frequency));
    GW_TRY(number(r, a->seed, "seed", -9.3e18, 9.3e18, true, &seed));
    GW_TRY(number(r, a->n, "n", 1, 128, true, &n));
    if (n > 1)
        return cannot(r, "n (only 1)");
    *p = (struct engine_params){
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
    };
    return GW_OK;
}

static enum gw_status check(const struct reading *r)
{
    const struct api_request *a = r->asked;

    if (a->bad != NULL) {
        *r->param = a->bad_param;
        return gw_fail(r->err, GW_EINVAL, "%s", a->bad);
    }
    if (a->n_tools != 0 && a->choice != API_CHOICE_NONE)
        return cannot(r, "tools");
    if (a->format != API_FORMAT_TEXT)
        return cannot(r, "response_format");
    if (a->logprobs || a->top_logprobs.len != 0)
        return cannot(r, "logprobs");
    if (a->n_stop > MAX_STOP) {
        *r->param = "stop";
        return gw_fail(r->err, GW_EINVAL, "stop has more than %d entries", MAX_STOP);
    }
    for (unsigned i = 0; i < a->n_extras; i++)
        if (!a->extras[i].hint)
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
    case API_PART_TOOL_CALL:
    case API_PART_TOOL_RESULT:
        return cannot(r, "tool calls in the conversation");
    case API_PART_TEXT:
    case API_PART_REASONING:
    case API_PART_REFUSAL:
    default:
        return GW_OK;
    }
}

enum gw_status local_read(const struct api_request *asked, struct gw_arena *arena,
                          struct local_request *out, const char **param, struct gw_err *err)
{
    const struct reading r = {asked, arena, param, err};
    struct engine_message *m = gw_arena_array(arena, asked->n_messages, sizeof(*m));
    struct engine_params params;

    *param = NULL;
    if (m == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory");
    GW_TRY(check(&r));
    for (unsigned i = 0; i < asked->n_messages; i++) {
        const struct api_message *from = &asked->messages[i];

        for (unsigned k = 0; k < from->n_parts; k++)
            GW_TRY(check_part(&r, &from->parts[k]));
        m[i] = (struct engine_message){api_role_name(from->role), api_message_text(from, arena)};
    }
    GW_TRY(read_numbers(&r, &params));
    *out = (struct local_request){m, asked->n_messages, params};
    return GW_OK;
}
