/* Fuzz target: calls read out of the local model's text. The first byte says how it is cut and what the model writes; in pieces and at once the
 * events must be the same and in order. An answer without calls is its text unchanged, one with calls loses nothing but
 * what the calls are made of; arguments are always a JSON object. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/api/api_private.h"
#include "proxy/local/local_tools.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was said: marks of blocks and their texts; and the texts alone. */
struct heard {
    struct gw_buf all, text, arguments;
    unsigned block, n_calls;
    bool open;
    enum api_block kind;
};

static enum gw_status on_event(void *ctx, const struct api_event *ev)
{
    struct heard *h = ctx;

    if (ev->block != h->block || (ev->type == API_EVENT_BLOCK) == h->open)
        abort();
    switch (ev->type) {
    case API_EVENT_BLOCK:
        h->open = true;
        h->kind = ev->kind;
        gw_buf_addc(&h->all, ev->kind == API_BLOCK_TOOL ? '\1' : '\2');
        gw_buf_add(&h->all, ev->id);
        gw_buf_add(&h->all, ev->name);
        break;
    case API_EVENT_DELTA:
        if (ev->kind != h->kind || ev->text.len == 0)
            abort();
        gw_buf_add(&h->all, ev->text);
        gw_buf_add(h->kind == API_BLOCK_TOOL ? &h->arguments : &h->text, ev->text);
        break;
    case API_EVENT_BLOCK_END:
        if (h->kind == API_BLOCK_TOOL && !api_is_object(gw_buf_span(&h->arguments)))
            abort();
        h->n_calls += h->kind == API_BLOCK_TOOL;
        gw_buf_clear(&h->arguments);
        h->open = false;
        h->block++;
        break;
    case API_EVENT_START:
    case API_EVENT_SIGNATURE:
    case API_EVENT_FINISH:
    case API_EVENT_USAGE:
    case API_EVENT_ERROR:
    case API_EVENT_END:
    default:
        abort();
    }
    return GW_OK;
}

static unsigned says; /* of the model */

static void feed(struct gw_span text, size_t step, bool single, struct heard *h)
{
    static const struct api_tool tools[] = {{.name = {"f", 1}}, {.name = {"g", 1}}};
    const struct local_parse_config cfg = {tools, 2, single, says, "ID", on_event, h};
    struct local_parse *p = local_parse_new(&cfg);

    for (size_t at = 0; at < text.len; at += step) {
        size_t n = text.len - at < step ? text.len - at : step;

        if (local_parse_text(p, (struct gw_span){text.ptr + at, n}) != GW_OK)
            abort();
    }
    if (local_parse_end(p) != GW_OK || h->open || local_parse_calls(p) != h->n_calls)
        abort();
    if (h->block == 0 || (single && h->n_calls > 1))
        abort();
    local_parse_free(p);
}

/* Every byte of part is in whole, in that order. */
static bool is_within(struct gw_span part, struct gw_span whole)
{
    size_t at = 0;

    for (size_t i = 0; i < whole.len && at < part.len; i++)
        at += whole.ptr[i] == part.ptr[at];
    return at == part.len;
}

static void forget(struct heard *h)
{
    gw_buf_fini(&h->all);
    gw_buf_fini(&h->text);
    gw_buf_fini(&h->arguments);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct heard whole = {0}, pieces = {0};
    struct gw_span text;

    if (size == 0)
        return 0;
    says = ((data[0] & 0x10) != 0 ? ENGINE_SAYS_LLAMA | ENGINE_SAYS_PHI | ENGINE_SAYS_GEMMA : 0) |
           ((data[0] & 0x20) != 0 ? ENGINE_SAYS_MISTRAL | ENGINE_SAYS_PYTHON : 0) |
           ((data[0] & 0x40) != 0 ? ENGINE_SAYS_DEEPSEEK : 0) |
           ((data[0] & 0x80) != 0 ? ENGINE_SAYS_THINK : 0);
    text = (struct gw_span){(const char *)data + 1, size - 1};
    feed(text, text.len + 1, data[0] & 1, &whole);
    feed(text, (size_t)(data[0] >> 1) % 8 + 1, data[0] & 1, &pieces);
    if (!gw_span_eq(gw_buf_span(&whole.all), gw_buf_span(&pieces.all)))
        abort();
    if (whole.n_calls == 0 && (says & ENGINE_SAYS_THINK) == 0 &&
        !gw_span_eq(gw_buf_span(&whole.text), text))
        abort();
    if (!is_within(gw_buf_span(&whole.text), text))
        abort();
    forget(&whole);
    forget(&pieces);
    return 0;
}
