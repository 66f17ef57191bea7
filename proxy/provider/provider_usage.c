/* proxy/provider/provider_usage.c - asks an OpenAI server for the usage of a stream, and takes out of the stream what only
 * came because of that. Pure. */
#include <string.h>

#include "base/find.h"
#include "proxy/provider/provider_private.h"

bool provider_hides_usage(const struct proxy_config_target *t, enum api_dialect d)
{
    return (t->kind == PROXY_TARGET_OPENAI || t->kind == PROXY_TARGET_AZURE) && t->usage == 0 &&
           (d == API_CHAT || d == API_COMPLETIONS);
}

/* ---- the request -------------------------------------------------------------------------- */

/* Bytes of a body that give way to others. */
struct edit {
    size_t start, end;
    const char *text;
};

/* The members of "stream_options", whose BEGIN is begin: what must change so that usage is asked for. */
static bool look_at_options(struct gw_json *json, const struct gw_json_tok *begin, struct edit *e)
{
    struct gw_json_tok tok;
    bool found = false;

    *e = (struct edit){begin->end, begin->end, "\"include_usage\":true"};
    while (gw_json_next(json, &tok) == GW_JSON_KEY) {
        bool is_it = provider_key_is(&tok, "include_usage");

        if (!found)
            e->text = "\"include_usage\":true,";
        if (gw_json_next(json, &tok) == GW_JSON_ERROR)
            return false;
        if (is_it) {
            *e = (struct edit){tok.start, tok.end, tok.type == GW_JSON_TRUE ? NULL : "true"};
            found = true;
            if (tok.type == GW_JSON_OBJECT_BEGIN || tok.type == GW_JSON_ARRAY_BEGIN)
                e->text = NULL; /* ill-typed: the provider says so */
        }
        if (!gw_json_skip(json, &tok))
            return false;
    }
    return tok.type == GW_JSON_OBJECT_END;
}

/* Finds the one edit; text NULL: none is needed. */
static bool find_edit(struct gw_json *json, struct edit *e)
{
    struct gw_json_tok tok;
    bool any = false, options = false;

    if (gw_json_next(json, &tok) != GW_JSON_OBJECT_BEGIN)
        return false;
    while (gw_json_next(json, &tok) == GW_JSON_KEY) {
        bool is_it = provider_key_is(&tok, "stream_options");

        any = true;
        if (gw_json_next(json, &tok) == GW_JSON_ERROR)
            return false;
        if (!is_it) {
            if (!gw_json_skip(json, &tok))
                return false;
            continue;
        }
        options = true;
        if (tok.type == GW_JSON_OBJECT_BEGIN) {
            if (!look_at_options(json, &tok, e))
                return false;
        } else {
            *e = (struct edit){tok.start, tok.end,
                               tok.type == GW_JSON_NULL ? "{\"include_usage\":true}" : NULL};
            if (!gw_json_skip(json, &tok))
                return false;
        }
    }
    if (tok.type != GW_JSON_OBJECT_END)
        return false;
    if (!options)
        *e = (struct edit){tok.start, tok.start,
                           any ? ",\"stream_options\":{\"include_usage\":true}"
                               : "\"stream_options\":{\"include_usage\":true}"};
    return true;
}

enum gw_status provider_ask_usage(struct gw_json *json, struct gw_span body, struct gw_buf *out,
                                  bool *changed)
{
    struct edit e = {0, 0, NULL};

    gw_json_start(json, body, NULL);
    if (!find_edit(json, &e) || e.text == NULL)
        return GW_OK;
    gw_buf_add(out, (struct gw_span){body.ptr, e.start});
    gw_buf_adds(out, e.text);
    gw_buf_add(out, gw_span_from(body, e.end));
    if (!gw_buf_ok(out))
        return GW_ENOMEM;
    *changed = true;
    return GW_OK;
}

/* ---- the answer --------------------------------------------------------------------------- */

/* A member of the chunk with the comma that goes with it. */
struct member {
    size_t start, end;
    enum gw_json_type type;
    bool found;
};

static size_t with_comma_before(struct gw_span data, size_t at)
{
    while (data.ptr[at - 1] != ',')
        at--;
    return at - 1;
}

static size_t with_comma_behind(struct gw_span data, size_t at)
{
    while (at < data.len && data.ptr[at] != ',')
        at++;
    return at + 1;
}

/* Is the array that begins in front of `at` empty? */
static bool is_empty_array(struct gw_span data, size_t at)
{
    while (at < data.len && strchr(" \t\r\n", data.ptr[at]) != NULL && data.ptr[at] != '\0')
        at++;
    return at < data.len && data.ptr[at] == ']';
}

/* Reads the chunk's "usage" and whether its "choices" are empty. False: not such a chunk. */
static bool read_chunk(struct gw_json *json, struct gw_span data, struct member *usage,
                       bool *no_choices)
{
    const struct gw_json_limits lenient = {0, 1000000, true};
    struct gw_json_tok key, val;
    size_t n = 0, usage_at = 0; /* members; which of them usage is, from 1 */

    gw_json_start(json, data, &lenient);
    if (gw_json_next(json, &key) != GW_JSON_OBJECT_BEGIN)
        return false;
    while (gw_json_next(json, &key) == GW_JSON_KEY) {
        n++;
        if (gw_json_next(json, &val) == GW_JSON_ERROR)
            return false;
        if (provider_key_is(&key, "usage")) {
            usage_at = n;
            *usage = (struct member){key.start, val.end, val.type, true};
        } else if (provider_key_is(&key, "choices")) {
            *no_choices = val.type == GW_JSON_ARRAY_BEGIN && is_empty_array(data, val.end);
        }
        if (!gw_json_skip(json, &val))
            return false;
    }
    if (usage_at > 1)
        usage->start = with_comma_before(data, usage->start);
    else if (usage_at == 1 && n > 1) /* only for one whose value is no object: its end is known */
        usage->end = with_comma_behind(data, usage->end);
    return key.type == GW_JSON_OBJECT_END;
}

enum provider_unasked provider_take_unasked(struct gw_json *json, struct gw_span data,
                                            struct gw_buf *out)
{
    static const char tail[] =
        ",\"usage\":null}"; /* as OpenAI writes it: no string ends like this */
    struct member usage = {.found = false};
    bool no_choices = false;

    if (gw_span_starts(data, GW_SPAN("{")) && gw_span_ends(data, gw_span_str(tail))) {
        gw_buf_add(out, (struct gw_span){data.ptr, data.len - (sizeof(tail) - 1)});
        gw_buf_addc(out, '}');
        return PROVIDER_UNASKED_PART;
    }
    if (!gw_has(data, GW_SPAN("usage")))
        return PROVIDER_UNASKED_NONE;
    if (!read_chunk(json, data, &usage, &no_choices) || !usage.found)
        return PROVIDER_UNASKED_NONE;
    if (no_choices && usage.type == GW_JSON_OBJECT_BEGIN)
        return PROVIDER_UNASKED_ALL;
    if (usage.type != GW_JSON_NULL) /* beside choices: this server says it to everybody */
        return PROVIDER_UNASKED_NONE;
    gw_buf_add(out, (struct gw_span){data.ptr, usage.start});
    gw_buf_add(out, gw_span_from(data, usage.end));
    return PROVIDER_UNASKED_PART;
}
