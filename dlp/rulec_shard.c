/* dlp/rulec_shard.c - writes native matchers for some of the rules, so that a change of one rule is the change of one small
 * source. Thread: any; the set is only read. */
#include <stdlib.h>

#include "base/digest.h"
#include "dlp/rulec_emit.h"

enum { SCRATCH_BYTES = 256 << 20 };

/* What is being written. */
struct shard {
    struct gw_arena *scratch;
    struct gw_buf matchers;
    struct emit_sets sets;
    unsigned n;
};

unsigned emit_shard_of(const struct rulec_rule *r, unsigned n_shards)
{
    uint32_t hash = 2166136261u; /* FNV-1a */

    for (const char *c = r->id; *c != '\0'; c++)
        hash = (hash ^ (unsigned char)*c) * 16777619u;
    return hash % n_shards;
}

static enum gw_status add_matcher(struct shard *s, const struct rulec_rule *r,
                                  struct gw_span pattern, struct gw_err *err)
{
    struct rx_pattern p = {.root = NULL};
    struct rx_chain *chains = NULL;
    unsigned n = 0, n_memos = 0;

    gw_arena_reset(s->scratch);
    GW_TRY(emit_chains(s->scratch, r, pattern, &p, &chains, &n, &n_memos, err));
    emit_matcher(&s->matchers, s->n++, chains, n, &s->sets);
    return GW_OK;
}

static enum gw_status add_rule(struct shard *s, const struct rulec_rule *r, struct gw_err *err)
{
    for (unsigned i = 0; i < r->n_patterns; i++)
        GW_TRY(add_matcher(s, r, r->patterns[i], err));
    for (unsigned i = 0; i < r->n_nears; i++)
        GW_TRY(add_matcher(s, r, r->nears[i].pattern, err));
    return GW_OK;
}

static void put_shard(struct gw_buf *out, unsigned n, const char *digest)
{
    gw_buf_adds(out, "static bundle_match_fn *const matchers[] = {");
    for (unsigned i = 0; i < n; i++)
        gw_buf_printf(out, "m%u,%s", i, i % 16 == 15 ? "\n" : " ");
    gw_buf_printf(out,
                  "};\nextern __attribute__((visibility(\"default\"))) const struct bundle_shard "
                  "dlp_shard;\n"
                  "const struct bundle_shard dlp_shard = {BUNDLE_ABI, sizeof(struct "
                  "bundle_shard),\n    \"%s\", %u, matchers};\n",
                  digest, n);
}

enum gw_status emit_shard(const struct rulec_set *set, unsigned shard, unsigned n_shards,
                          struct gw_buf *out, unsigned *n, char digest[65], struct gw_err *err)
{
    struct shard s = {.scratch = gw_arena_new(SCRATCH_BYTES)};
    unsigned char hash[GW_SHA256_BYTES];
    enum gw_status st = s.scratch == NULL ? GW_ENOMEM : GW_OK;

    for (unsigned i = 0; i < set->n_rules && st == GW_OK; i++)
        if (set->rules[i].mode != DLP_MODE_OFF && emit_shard_of(&set->rules[i], n_shards) == shard)
            st = add_rule(&s, &set->rules[i], err);
    if (st == GW_OK) {
        emit_put_prelude(out, &s.sets);
        gw_buf_add(out, gw_buf_span(&s.matchers));
        gw_sha256(gw_buf_span(out), hash);
        gw_hex(hash, sizeof(hash), digest);
        put_shard(out, s.n, digest);
        *n = s.n;
    }
    if (st == GW_ENOMEM || s.sets.failed || !gw_buf_ok(&s.matchers) || !gw_buf_ok(out))
        st = gw_fail(err, GW_ENOMEM, "out of memory for the rules' source");
    emit_sets_fini(&s.sets);
    gw_buf_fini(&s.matchers);
    gw_arena_free(s.scratch);
    return st;
}
