/* Fuzz target: the guard. Whatever the pieces, it says the same; an action that leaves the text leaves every byte; and
 * what is let go by a timer comes once. The first byte chooses the pieces and whether the text is inside JSON. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "dlp/dlp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct run {
    struct gw_buf out, log;
    enum gw_action action;
    bool release;
    enum gw_status st;
};

static struct dlp_scanner *scanner;

static enum gw_action decide(void *ctx, const struct dlp_guard_finding *f)
{
    struct run *r = ctx;

    if (f->already_out > f->text.len || f->text.len == 0)
        abort();
    gw_buf_printf(&r->log, "%u %u ", (unsigned)f->rule, (unsigned)f->confidence);
    gw_buf_add(&r->log, f->text);
    return r->action;
}

static void feed(struct run *r, struct gw_span text, size_t step, unsigned nesting)
{
    struct dlp_guard *g = dlp_guard_new(scanner, dlp_rules_builtin(), NULL, nesting, decide, r);

    for (size_t at = 0; at < text.len && r->st == GW_OK; at += step) {
        size_t n = text.len - at < step ? text.len - at : step;

        r->st = dlp_guard_feed(g, (struct gw_span){text.ptr + at, n}, &r->out);
        if (r->st == GW_OK && r->release)
            r->st = dlp_guard_release(g, &r->out);
    }
    if (r->st == GW_OK)
        r->st = dlp_guard_finish(g, &r->out);
    dlp_guard_free(g);
}

static bool same(const struct run *a, const struct run *b)
{
    return a->st == b->st &&
           (a->st != GW_OK || gw_span_eq(gw_buf_span(&a->out), gw_buf_span(&b->out))) &&
           gw_span_eq(gw_buf_span(&a->log), gw_buf_span(&b->log));
}

static void fini(struct run *r)
{
    gw_buf_fini(&r->out);
    gw_buf_fini(&r->log);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct run whole = {.action = GW_ACTION_REDACT}, pieces = {.action = GW_ACTION_REDACT},
               released = {.action = GW_ACTION_ALERT, .release = true};
    struct gw_span text;
    unsigned nesting;
    size_t step;

    if (size == 0 || size > 20000)
        return 0;
    if (scanner == NULL)
        scanner = dlp_scanner_new();
    nesting = data[0] & 1;
    step = (size_t)(data[0] >> 1) % 41 + 1;
    text = (struct gw_span){(const char *)data + 1, size - 1};
    feed(&whole, text, size, nesting);
    feed(&pieces, text, step, nesting);
    /* What is too much work may be so in one of them only. */
    if (whole.st != GW_ELIMIT && pieces.st != GW_ELIMIT && !same(&whole, &pieces))
        abort();
    feed(&released, text, step, nesting);
    if (released.st == GW_OK && !gw_span_eq(gw_buf_span(&released.out), text))
        abort();
    fini(&whole);
    fini(&pieces);
    fini(&released);
    return 0;
}
