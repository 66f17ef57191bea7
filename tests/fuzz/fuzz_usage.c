/* Fuzz target: an event of a stream, out of which goes what only came because we asked for usage; and a body that shall
 * ask for it. What is left is JSON if it was, without the member; a body changes once, and only where it must. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "proxy/provider/provider.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok)
        abort();
}

static bool is_json(struct gw_json *json, struct gw_span text)
{
    struct gw_json_tok tok;

    gw_json_start(json, text, &(struct gw_json_limits){0, 0, true});
    while (gw_json_next(json, &tok) != GW_JSON_END)
        if (tok.type == GW_JSON_ERROR)
            return false;
    return true;
}

static void take(struct gw_json *json, struct gw_span text)
{
    struct gw_buf out = {0};
    enum provider_unasked what = provider_take_unasked(json, text, &out);

    if (what == PROVIDER_UNASKED_PART) {
        must(out.len < text.len);
        must(!is_json(json, text) || is_json(json, gw_buf_span(&out)));
    } else {
        must(out.len == 0);
    }
    gw_buf_fini(&out);
}

static void ask(struct gw_json *json, struct gw_span text)
{
    struct gw_buf once = {0}, twice = {0};
    bool changed = false, again = false;

    must(provider_ask_usage(json, text, &once, &changed) == GW_OK && changed == (once.len != 0));
    if (changed && is_json(json, text)) {
        must(is_json(json, gw_buf_span(&once)));
        must(provider_ask_usage(json, gw_buf_span(&once), &twice, &again) == GW_OK && !again);
    }
    gw_buf_fini(&once);
    gw_buf_fini(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct gw_json *json;
    const struct gw_span text = {(const char *)data, size};

    if (json == NULL)
        json = gw_json_new();
    if (json == NULL || size == 0)
        return 0;
    take(json, text);
    ask(json, text);
    return 0;
}
