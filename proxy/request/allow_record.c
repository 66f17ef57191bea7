/* proxy/request/allow_record.c - see allow_record.h: the records of findings as the spool has them, line by line. */
#include "proxy/request/allow_record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit/audit.h"
#include "base/buf.h"
#include "base/json_tree.h"

enum { MAX_LINE = 1 << 20, ARENA_BYTES = 8 << 20 };

int64_t allow_record_time(const char *id)
{
    static const char alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"; /* Crockford's */
    enum { TIME_CHARS = 10 };
    int64_t ms = 0;

    if (strlen(id) != GW_ULID_BYTES - 1)
        return -1;
    for (unsigned i = 0; i < TIME_CHARS; i++) {
        const char *at = strchr(alphabet, id[i]);

        if (at == NULL)
            return -1;
        ms = ms * 32 + (at - alphabet);
    }
    return ms;
}

/* Findings of the request, or the one record, as they pass by. */
struct search {
    const char *id;
    struct gw_buf line;
    struct gw_json *json;
    unsigned wanted, n; /* wanted 0: any */
    struct allow_record found;
};

static bool is(const struct gw_json_node *object, const char *name, const char *text)
{
    return gw_json_text_is(gw_json_get(object, name), text);
}

static void keep(struct search *s, const struct gw_json_node *root, struct gw_arena *arena)
{
    const struct gw_json_node *meta = gw_json_get(root, "metadata");
    const struct gw_json_node *own = gw_json_get(gw_json_get(root, "unmapped"), "sluice");
    struct gw_span hmac = gw_json_text(gw_json_get(own, "value_hmac"), arena);
    struct gw_span rule = gw_json_text(gw_json_get(own, "rule"), arena);
    bool one = is(meta, "uid", s->id);

    if ((!one && !is(meta, "correlation_uid", s->id)) || hmac.len != sizeof(s->found.hmac) - 1 ||
        rule.len >= sizeof(s->found.rule))
        return;
    s->n++;
    if (!one && s->wanted != 0 && s->n != s->wanted)
        return;
    memcpy(s->found.hmac, hmac.ptr, hmac.len);
    (void)snprintf(s->found.rule, sizeof(s->found.rule), "%.*s", (int)rule.len, rule.ptr);
}

static void judge_line(struct search *s)
{
    struct gw_arena *arena;
    struct gw_json_node *root;

    if (s->line.len == 0 || memmem(s->line.ptr, s->line.len, s->id, strlen(s->id)) == NULL)
        return;
    arena = gw_arena_new(ARENA_BYTES);
    if (arena != NULL &&
        gw_json_tree(s->json, arena, gw_buf_span(&s->line), NULL, &root, NULL) == GW_OK)
        keep(s, root, arena);
    gw_arena_free(arena);
}

/* What the query prints comes here. */
static ssize_t take(void *ctx, const char *bytes, size_t n)
{
    struct search *s = ctx;

    for (size_t i = 0; i < n; i++) {
        if (bytes[i] != '\n') {
            if (s->line.len < MAX_LINE)
                gw_buf_addc(&s->line, bytes[i]);
            continue;
        }
        judge_line(s);
        gw_buf_clear(&s->line);
    }
    return (ssize_t)n;
}

static enum gw_status search_spool(const char *spool_dir, struct search *s, struct gw_err *err)
{
    const int64_t began = allow_record_time(s->id);
    const cookie_io_functions_t io = {.write = take};
    const struct audit_query q = {.spool_dir = spool_dir,
                                  .filter = {.record = "finding", .from_ms = began < 0 ? 0 : began},
                                  .format = AUDIT_FORMAT_JSON};
    struct audit_query_result result = {0};
    FILE *f = fopencookie(s, "w", io);
    enum gw_status st;

    s->json = gw_json_new();
    if (f == NULL || s->json == NULL) {
        if (f != NULL)
            (void)fclose(f);
        gw_json_free(s->json);
        return gw_fail(err, GW_ENOMEM, "out of memory");
    }
    st = audit_query(&q, f, &result, err);
    (void)fclose(f);
    gw_json_free(s->json);
    gw_buf_fini(&s->line);
    return st;
}

enum gw_status allow_record_find(const char *spool_dir, const char *id, unsigned finding,
                                 struct allow_record *out, struct gw_err *err)
{
    struct search s = {.id = id, .wanted = finding};

    GW_TRY(search_spool(spool_dir, &s, err));
    if (s.n == 0)
        return gw_fail(err, GW_ENOENT, "%.64s: no record of a finding has this id or request", id);
    if (s.wanted == 0 && s.n > 1)
        return gw_fail(err, GW_EINVAL,
                       "%.64s: the request has %u findings; say which one with --finding N, or "
                       "\"finding\" (sluice audit tail --request %.64s shows them)",
                       id, s.n, id);
    if (s.found.hmac[0] == '\0')
        return gw_fail(err, GW_ENOENT, "%.64s: the request has %u findings only", id, s.n);
    *out = s.found;
    return GW_OK;
}
