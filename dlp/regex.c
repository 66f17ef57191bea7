/* dlp/regex.c - one pattern, made and run as those of rules are, without a compiler. */
#include <stdlib.h>

#include "dlp/dlp.h"
#include "dlp/rulec_chain.h"

enum { MAX_PATTERN = 1024, ARENA_BYTES = 16 << 20 };

struct dlp_regex {
    struct gw_arena *arena;
    struct interp_program program;
};

enum gw_status dlp_regex_new(struct gw_span pattern, struct dlp_regex **out, struct gw_err *err)
{
    struct dlp_regex *r;
    struct rx_pattern parsed;
    struct rx_chain *chains = NULL;
    unsigned n = 0;
    enum gw_status st = GW_ENOMEM;

    if (pattern.len == 0 || pattern.len > MAX_PATTERN)
        return gw_fail(err, GW_ELIMIT, "a pattern has 1 to %d bytes", MAX_PATTERN);
    r = calloc(1, sizeof(*r));
    if (r != NULL)
        r->arena = gw_arena_new(ARENA_BYTES);
    if (r == NULL || r->arena == NULL) {
        (void)gw_fail(err, st, "out of memory");
        goto fail;
    }
    st = rx_parse(r->arena, pattern, false, RULEC_BOUNDARY_NONE, &parsed, err);
    if (st == GW_OK)
        st = rx_chains(r->arena, &parsed, &chains, &n, err);
    /* Memos make many searches in one text linear together; here is one, and it begins at the first byte. */
    for (unsigned i = 0; st == GW_OK && i < n; i++)
        for (unsigned k = 0; k < chains[i].n_steps; k++)
            chains[i].steps[k].memo = -1;
    if (st == GW_OK)
        st = rx_program(r->arena, chains, n, &r->program, err);
    if (st != GW_OK)
        goto fail;
    *out = r;
    return GW_OK;
fail:
    dlp_regex_free(r);
    return st;
}

void dlp_regex_free(struct dlp_regex *r)
{
    if (r == NULL)
        return;
    gw_arena_free(r->arena);
    free(r);
}

bool dlp_regex_is(const struct dlp_regex *r, struct gw_span value)
{
    const unsigned char *p = (const unsigned char *)value.ptr;
    struct bundle_match m = {.len = 0};

    if (value.len == 0 || value.len > UINT32_MAX)
        return false;
    interp_match(&r->program, p, p + value.len, &m);
    return m.len == value.len;
}
