/* proxy/answer/restream_dialect.c - what the strings of an event are, in each dialect; see restream_event.h. Worker's thread.
 *
 * A member that no dialect knows counts as text: it is scanned and restored. The list of names that are not is one of
 * what SDKs compare, send back or decode: changing those would break them, and a text does not stand there. */
#include <string.h>

#include "proxy/answer/restream_event.h"

/* ---- places ------------------------------------------------------------------------------- */

static bool is_one_of(struct gw_span name, const char *const *names)
{
    for (; *names != NULL; names++)
        if (name.len != 0 && name.ptr[0] == (*names)[0] && gw_span_is(name, *names))
            return true;
    return false;
}

/* The member that a value stands in: its own name, or that of the array it is an element of. */
static struct gw_span name_of(const struct rs_event *ev, int node)
{
    while (node >= 0 && ev->nodes[node].key.len == 0)
        node = ev->nodes[node].parent;
    return node < 0 ? (struct gw_span){NULL, 0} : ev->nodes[node].key;
}

static bool is_under(const struct rs_event *ev, int node, const char *name)
{
    for (node = node < 0 ? node : ev->nodes[node].parent; node >= 0; node = ev->nodes[node].parent)
        if (rs_key_is(ev, node, name))
            return true;
    return false;
}

/* The member of the root that holds the value. */
static struct gw_span top_of(const struct rs_event *ev, int node)
{
    while (node >= 0 && ev->nodes[node].parent >= 0)
        node = ev->nodes[node].parent;
    return node < 0 ? (struct gw_span){NULL, 0} : ev->nodes[node].key;
}

/* The position in the array of that name of the element that holds the value. */
static int64_t element_of(const struct rs_event *ev, int node, const char *array)
{
    for (; node >= 0; node = ev->nodes[node].parent)
        if (ev->nodes[node].key.len == 0 && rs_key_is(ev, ev->nodes[node].parent, array))
            return ev->nodes[node].index;
    return RS_NO_INDEX;
}

int64_t rs_choice(enum api_dialect d, const struct rs_event *ev, int node)
{
    switch (d) {
    case API_RESPONSES:
        return ev->output_index;
    case API_ANTHROPIC:
        return ev->index;
    case API_GEMINI:
        return element_of(ev, node, "candidates");
    case API_CHAT:
    case API_COMPLETIONS:
    case API_DIALECT_COUNT:
    default:
        return element_of(ev, node, "choices");
    }
}

bool rs_is_json(enum api_dialect d, const struct rs_event *ev, int node)
{
    if (d == API_ANTHROPIC)
        return rs_key_is(ev, node, "input") &&
               rs_key_is(ev, ev->nodes[node].parent, "content_block");
    return d == API_GEMINI && rs_key_is(ev, node, "args") &&
           rs_key_is(ev, ev->nodes[node].parent, "functionCall");
}

static bool is_in_json(enum api_dialect d, const struct rs_event *ev, int node)
{
    for (node = node < 0 ? node : ev->nodes[node].parent; node >= 0; node = ev->nodes[node].parent)
        if (rs_is_json(d, ev, node))
            return true;
    return false;
}

/* ---- paths --------------------------------------------------------------------------------- */

static uint64_t mix(uint64_t h, const void *bytes, size_t n)
{
    const unsigned char *p = bytes;

    for (size_t i = 0; i < n; i++)
        h = (h ^ p[i]) * 0x100000001B3ull; /* FNV-1a */
    return h;
}

#define PATH_START 0xCBF29CE484222325ull

static uint64_t path_of(const struct rs_event *ev, int node)
{
    uint64_t h = PATH_START;

    for (; node >= 0; node = ev->nodes[node].parent) {
        h = mix(h, ev->nodes[node].key.ptr, ev->nodes[node].key.len);
        h = mix(h, &ev->nodes[node].index, sizeof(ev->nodes[node].index));
    }
    return h;
}

/* Of a text that events of one type carry, type without its last part (".delta", ".done"). */
static uint64_t path_of_type(const struct rs_event *ev)
{
    size_t n = ev->type.len;
    uint64_t h;

    while (n > 0 && ev->type.ptr[n - 1] != '.')
        n--;
    h = mix(PATH_START, ev->type.ptr, n);
    h = mix(h, &ev->output_index, sizeof(ev->output_index));
    h = mix(h, &ev->content_index, sizeof(ev->content_index));
    return mix(h, &ev->summary_index, sizeof(ev->summary_index));
}

static uint64_t path_of_name(struct gw_span name, int64_t index)
{
    return mix(mix(PATH_START, name.ptr, name.len), &index, sizeof(index));
}

/* ---- kinds --------------------------------------------------------------------------------- */

static const char *const opaque[] = {"type",
                                     "id",
                                     "object",
                                     "model",
                                     "role",
                                     "finish_reason",
                                     "native_finish_reason",
                                     "finishReason",
                                     "stop_reason",
                                     "stop_sequence",
                                     "system_fingerprint",
                                     "service_tier",
                                     "provider",
                                     "status",
                                     "phase",
                                     "item_id",
                                     "call_id",
                                     "response_id",
                                     "responseId",
                                     "previous_response_id",
                                     "tool_use_id",
                                     "tool_call_id",
                                     "file_id",
                                     "container_id",
                                     "modelVersion",
                                     "mimeType",
                                     "media_type",
                                     "format",
                                     "signature",
                                     "thoughtSignature",
                                     "encrypted_content",
                                     "encrypted_index",
                                     "obfuscation",
                                     "data",
                                     "b64_json",
                                     "partial_image_b64",
                                     "result",
                                     "renderedContent",
                                     "sdkBlob",
                                     NULL};

static struct rs_text plain(const struct rs_event *ev, const struct rs_leaf *leaf,
                            enum rs_kind kind)
{
    struct gw_span name = name_of(ev, leaf->node);

    return (struct rs_text){.kind = is_one_of(name, opaque) ? RS_PASS : kind,
                            .nesting =
                                gw_span_is(name, "arguments") || gw_span_is(name, "partial_json"),
                            .choice = RS_NO_INDEX};
}

static struct rs_text openai_text(enum api_dialect d, const struct rs_event *ev,
                                  const struct rs_leaf *leaf)
{
    bool chosen = gw_span_is(top_of(ev, leaf->node), "choices");
    struct rs_text t = plain(ev, leaf, chosen ? RS_WHOLE : RS_RESTORE);
    struct gw_span name = name_of(ev, leaf->node);

    t.choice = rs_choice(d, ev, leaf->node);
    if (!chosen || t.kind == RS_PASS)
        return t;
    if (is_under(ev, leaf->node, "logprobs")) { /* goes when the text changes */
        t.kind = RS_PASS;
    } else if (gw_span_is(name, "name")) {
        t.kind = RS_RESTORE;
    } else if (d == API_COMPLETIONS ? gw_span_is(name, "text")
                                    : is_under(ev, leaf->node, "delta")) {
        t.kind = RS_GROW;
        t.path = path_of(ev, leaf->node);
    }
    return t;
}

static bool type_has(const struct rs_event *ev, const char *part)
{
    struct gw_span p = gw_span_str(part);

    return ev->type.len != 0 && memmem(ev->type.ptr, ev->type.len, p.ptr, p.len) != NULL;
}

static struct rs_text responses_text(const struct rs_event *ev, const struct rs_leaf *leaf)
{
    struct rs_text t = plain(ev, leaf, RS_REPEAT);

    t.choice = ev->output_index;
    if (t.kind == RS_PASS || is_under(ev, leaf->node, "logprobs")) {
        t.kind = RS_PASS;
    } else if (rs_key_is(ev, leaf->node, "delta") && ev->nodes[leaf->node].parent == RS_ROOT) {
        t.kind = type_has(ev, "audio.delta") ? RS_PASS : RS_GROW;
        t.nesting = type_has(ev, "arguments");
        t.path = path_of_type(ev);
    } else if (gw_span_is(name_of(ev, leaf->node), "name") ||
               (gw_span_is(top_of(ev, leaf->node), "response") &&
                !is_under(ev, leaf->node, "output"))) {
        t.kind = RS_RESTORE; /* beside "output" it repeats the request: instructions, tools */
    }
    return t;
}

static struct rs_text anthropic_text(const struct rs_event *ev, const struct rs_leaf *leaf)
{
    struct gw_span top = top_of(ev, leaf->node), name = name_of(ev, leaf->node);
    bool block = gw_span_is(top, "content_block"), delta = gw_span_is(top, "delta");
    int parent = leaf->node < 0 ? RS_ROOT : ev->nodes[leaf->node].parent;
    struct rs_text t = plain(ev, leaf, block || delta ? RS_WHOLE : RS_RESTORE);

    t.choice = ev->index;
    if (is_in_json(API_ANTHROPIC, ev, leaf->node)) /* taken as a whole */
        t.kind = RS_PASS;
    if (t.kind == RS_PASS || !(block || delta))
        return t;
    if (gw_span_is(name, "name"))
        t.kind = RS_RESTORE;
    if (parent >= 0 && ev->nodes[parent].parent == RS_ROOT &&
        (gw_span_is(name, "text") || gw_span_is(name, "partial_json") ||
         gw_span_is(name, "thinking"))) {
        t.kind = gw_span_is(name, "thinking") ? RS_SIGNED : RS_GROW;
        t.path = path_of_name(name, ev->index);
    }
    return t;
}

static struct rs_text gemini_text(const struct rs_event *ev, const struct rs_leaf *leaf)
{
    struct gw_span name = name_of(ev, leaf->node);
    bool chosen = gw_span_is(top_of(ev, leaf->node), "candidates");
    struct rs_text t = plain(ev, leaf, chosen ? RS_WHOLE : RS_RESTORE);
    int parent = leaf->node < 0 ? RS_ROOT : ev->nodes[leaf->node].parent;

    t.choice = rs_choice(API_GEMINI, ev, leaf->node);
    t.nesting = 0;
    if (is_in_json(API_GEMINI, ev, leaf->node)) { /* taken as a whole */
        t.kind = RS_PASS;
    } else if (chosen && gw_span_is(name, "name")) {
        t.kind = RS_RESTORE;
    } else if (chosen && gw_span_is(name, "text") && parent >= 0 &&
               rs_key_is(ev, ev->nodes[parent].parent, "parts")) {
        t.kind = RS_GROW;
        t.thought = ev->nodes[parent].thought;
        t.path = path_of_name(t.thought ? GW_SPAN("thought") : GW_SPAN("text"), t.choice);
    }
    return t;
}

struct rs_text rs_classify(enum api_dialect d, const struct rs_event *ev,
                           const struct rs_leaf *leaf)
{
    switch (d) {
    case API_RESPONSES:
        return responses_text(ev, leaf);
    case API_ANTHROPIC:
        return anthropic_text(ev, leaf);
    case API_GEMINI:
        return gemini_text(ev, leaf);
    case API_CHAT:
    case API_COMPLETIONS:
    case API_DIALECT_COUNT:
    default:
        return openai_text(d, ev, leaf);
    }
}

/* ---- ends ---------------------------------------------------------------------------------- */

/* Is there a reason to finish for that choice? */
static bool is_finished(enum api_dialect d, const struct rs_event *ev, const char *name,
                        int64_t choice)
{
    for (unsigned i = 0; i < ev->n_leaves; i++)
        if (rs_key_is(ev, ev->leaves[i].node, name) &&
            rs_choice(d, ev, ev->leaves[i].node) == choice)
            return true;
    return false;
}

static bool responses_ends(const struct rs_event *ev, uint64_t path, int64_t choice)
{
    static const char *const all[] = {"response.completed",
                                      "response.incomplete",
                                      "response.failed",
                                      "response.cancelled",
                                      "error",
                                      NULL};

    if (is_one_of(ev->type, all))
        return true;
    if (gw_span_is(ev->type, "response.output_item.done") ||
        gw_span_is(ev->type, "response.content_part.done"))
        return choice == ev->output_index;
    return gw_span_ends(ev->type, GW_SPAN(".done")) && path_of_type(ev) == path;
}

static bool anthropic_ends(const struct rs_event *ev, int64_t choice)
{
    static const char *const all[] = {"message_delta", "message_stop", "error", NULL};

    return is_one_of(ev->type, all) ||
           (gw_span_is(ev->type, "content_block_stop") && choice == ev->index);
}

/* A part of another kind ends the text before it: clients keep the parts in their order. */
static bool gemini_ends(const struct rs_event *ev, uint64_t path, int64_t choice)
{
    if (is_finished(API_GEMINI, ev, "finishReason", choice))
        return true;
    for (unsigned i = ev->n_leaves; i > 0; i--) {
        const struct rs_leaf *l = &ev->leaves[i - 1];

        if (is_under(ev, l->node, "parts") && !rs_key_is(ev, l->node, "thoughtSignature") &&
            rs_choice(API_GEMINI, ev, l->node) == choice)
            return gemini_text(ev, l).path != path;
    }
    return false;
}

/* OpenAI's chats and Gemini say an error as a member; clients read nothing behind it. */
static bool is_error(const struct rs_event *ev)
{
    for (unsigned i = 0; i < ev->n_leaves; i++)
        if (gw_span_is(top_of(ev, ev->leaves[i].node), "error"))
            return true;
    return false;
}

bool rs_ends(enum api_dialect d, const struct rs_event *ev, uint64_t path, int64_t choice)
{
    if (is_error(ev))
        return true;
    switch (d) {
    case API_RESPONSES:
        return responses_ends(ev, path, choice);
    case API_ANTHROPIC:
        return anthropic_ends(ev, choice);
    case API_GEMINI:
        return gemini_ends(ev, path, choice);
    case API_CHAT:
    case API_COMPLETIONS:
    case API_DIALECT_COUNT:
    default:
        return is_finished(d, ev, "finish_reason", choice);
    }
}
