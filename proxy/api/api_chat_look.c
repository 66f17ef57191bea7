/* proxy/api/api_chat_look.c - what the record wants of an answer of OpenAI's older APIs, read token by token. Pure; any thread. */
#include "proxy/api/api_chat_private.h"

static uint64_t number_of(const struct gw_json_tok *tok)
{
    const struct gw_json_node node = {.type = tok->type, .raw = tok->raw};

    return gw_json_uint(&node, 0);
}

/* The member of "usage" at depth 2 whose object is being read. */
enum part { PART_NONE, PART_INPUT, PART_OUTPUT };

/* Members of "usage" and of the objects in it. */
static void look_at_usage(const struct gw_json_tok *key, const struct gw_json_tok *val,
                          enum part *part, struct api_usage *u)
{
    if (key->depth == 2) {
        *part = PART_NONE;
        if (gw_span_is(key->raw, "prompt_tokens"))
            u->input = number_of(val);
        else if (gw_span_is(key->raw, "completion_tokens"))
            u->output = number_of(val);
        else if (gw_span_is(key->raw, "prompt_tokens_details"))
            *part = PART_INPUT;
        else if (gw_span_is(key->raw, "completion_tokens_details"))
            *part = PART_OUTPUT;
        return;
    }
    if (*part == PART_INPUT && gw_span_is(key->raw, "cached_tokens"))
        u->cached = number_of(val);
    else if (*part == PART_OUTPUT && gw_span_is(key->raw, "reasoning_tokens"))
        u->reasoning = number_of(val);
}

void api_chat_look(struct gw_json *json, struct gw_span data, struct api_seen *out)
{
    const struct gw_json_limits lenient = {0, 1000000, true};
    struct gw_json_tok tok, val;
    bool in_usage = false;
    enum part part = PART_NONE;

    gw_json_start(json, data, &lenient);
    while (gw_json_next(json, &tok) != GW_JSON_END && tok.type != GW_JSON_ERROR) {
        if (tok.type == GW_JSON_OBJECT_END && tok.depth == 2)
            in_usage = false;
        if (tok.type != GW_JSON_KEY || tok.escaped)
            continue;
        if (gw_json_next(json, &val) == GW_JSON_ERROR)
            return;
        if (tok.depth == 1 && gw_span_is(tok.raw, "usage") && val.type == GW_JSON_OBJECT_BEGIN) {
            in_usage = true;
            part = PART_NONE;
            out->usage = (struct api_usage){.known = true};
        } else if (tok.depth == 1 && gw_span_is(tok.raw, "model")) {
            api_copy_text(out->model, sizeof(out->model), &val);
        } else if (tok.depth == 3 && gw_span_is(tok.raw, "finish_reason")) {
            api_copy_text(out->finish_reason, sizeof(out->finish_reason), &val);
        } else if (in_usage && tok.depth <= 3) {
            look_at_usage(&tok, &val, &part, &out->usage);
        }
    }
}
