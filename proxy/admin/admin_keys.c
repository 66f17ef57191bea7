/* proxy/admin/admin_keys.c - /api/keys and /api/changes: keys are listed, made, changed, rotated and revoked.
 *
 * The handlers run on the main thread; what touches the database runs on the store thread (struct proxy_store_job), where
 * the call is touched by nobody else. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "proxy/admin/admin_api.h"
#include "proxy/net/worker.h"

enum { MAX_LIST = 8192, DEFAULT_CHANGES = 50, MAX_CHANGES = 1000 };

struct keys_job {
    struct proxy_store_job job;
    struct admin_call *call;
    struct proxy_actor by;
    const char *which; /* id or name; NULL: all */
    struct proxy_key_fields f;
    int64_t grace_ms;
    unsigned max; /* of changes */
    char key[PROXY_KEY_BYTES], id[PROXY_KEY_ID_BYTES];
    unsigned n;
    enum gw_status st;
    struct gw_err err;
};

/* ---- after the store thread ----------------------------------------------------------------------- */

static void on_done(struct proxy_store_job *job)
{
    struct keys_job *k = (struct keys_job *)(void *)job;

    explicit_bzero(k->key, sizeof(k->key));
    if (k->st != GW_OK)
        admin_call_fail(k->call, &k->err);
    admin_call_done(k->call);
}

/* ---- on the store thread ---------------------------------------------------------------------------- */

static void put_key(void *ctx, const struct proxy_key_info *info)
{
    struct keys_job *k = ctx;

    gw_buf_adds(&k->call->out, k->n++ == 0 ? "" : ",\n");
    proxy_key_json(&k->call->out, info);
}

/* One key as it is now, with its text when there is a new one. */
static void show(struct keys_job *k, const char *path, const char *which)
{
    struct gw_buf *out = &k->call->out;

    if (k->key[0] != '\0')
        gw_buf_printf(out, "{\"key\":\"%s\",\"info\":", k->key);
    k->st = proxy_store_key_list(path, which, put_key, k, &k->err);
    if (k->key[0] != '\0')
        gw_buf_addc(out, '}');
    gw_buf_addc(out, '\n');
}

static void run_list(struct proxy_store_job *job, const char *path)
{
    struct keys_job *k = (struct keys_job *)(void *)job;

    gw_buf_adds(&k->call->out, "{\"keys\":[");
    k->st = proxy_store_key_list(path, NULL, put_key, k, &k->err);
    gw_buf_adds(&k->call->out, "]}\n");
}

static void run_get(struct proxy_store_job *job, const char *path)
{
    struct keys_job *k = (struct keys_job *)(void *)job;

    show(k, path, k->which);
}

static void run_create(struct proxy_store_job *job, const char *path)
{
    struct keys_job *k = (struct keys_job *)(void *)job;

    k->st = proxy_store_key_create(path, &k->by, &k->f, k->key, k->id, &k->err);
    if (k->st == GW_OK) {
        k->call->status = 201;
        show(k, path, k->id);
    }
}

/* The id of the key, so that what follows finds it whatever its name becomes. */
static void take_id(void *ctx, const struct proxy_key_info *info)
{
    struct keys_job *k = ctx;

    memcpy(k->id, info->id, strnlen(info->id, PROXY_KEY_ID_BYTES - 1));
}

static bool find(struct keys_job *k, const char *path)
{
    k->st = proxy_store_key_list(path, k->which, take_id, k, &k->err);
    return k->st == GW_OK;
}

static void run_update(struct proxy_store_job *job, const char *path)
{
    struct keys_job *k = (struct keys_job *)(void *)job;

    if (find(k, path))
        k->st = proxy_store_key_update(path, &k->by, k->id, &k->f, &k->err);
    if (k->st == GW_OK)
        show(k, path, k->id);
}

static void run_rotate(struct proxy_store_job *job, const char *path)
{
    struct keys_job *k = (struct keys_job *)(void *)job;

    if (find(k, path))
        k->st = proxy_store_key_rotate(path, &k->by, k->id, k->grace_ms, k->key, &k->err);
    if (k->st == GW_OK)
        show(k, path, k->id);
}

static void run_revoke(struct proxy_store_job *job, const char *path)
{
    struct keys_job *k = (struct keys_job *)(void *)job;

    if (find(k, path))
        k->st = proxy_store_key_revoke(path, &k->by, k->id, &k->err);
    if (k->st == GW_OK)
        show(k, path, k->id);
}

static void put_member(struct gw_buf *out, const char *name, const char *text)
{
    gw_buf_printf(out, ",\"%s\":", name);
    gw_buf_add_json_str(out, gw_span_str(text));
}

static void put_change(void *ctx, const struct proxy_change *c)
{
    struct keys_job *k = ctx;
    struct gw_buf *out = &k->call->out;
    char when[GW_RFC3339_BYTES];

    gw_clock_rfc3339(c->time_ms, when);
    gw_buf_printf(out, "%s{\"id\":\"%s\",\"time\":\"%s\"", k->n++ == 0 ? "" : ",\n", c->id, when);
    put_member(out, "actor", c->actor);
    put_member(out, "via", c->via);
    put_member(out, "address", c->address);
    put_member(out, "action", c->action);
    put_member(out, "key_id", c->key_id);
    put_member(out, "key_name", c->key_name);
    gw_buf_adds(out, ",\"before\":");
    gw_buf_adds(out, c->before_json[0] == '\0' ? "null" : c->before_json);
    gw_buf_adds(out, ",\"after\":");
    gw_buf_adds(out, c->after_json[0] == '\0' ? "null" : c->after_json);
    gw_buf_addc(out, '}');
}

static void run_changes(struct proxy_store_job *job, const char *path)
{
    struct keys_job *k = (struct keys_job *)(void *)job;

    gw_buf_adds(&k->call->out, "{\"changes\":[");
    k->st = proxy_store_change_list(path, k->max, put_change, k, &k->err);
    gw_buf_adds(&k->call->out, "]}\n");
}

/* ---- the bodies ----------------------------------------------------------------------------------- */

/* ["a","b"] as "a,b"; NULL when it is no list of texts without commas, or too long. */
static const char *join(struct gw_arena *arena, const struct gw_json_node *list)
{
    char *out = gw_arena_alloc(arena, MAX_LIST);
    size_t n = 0;

    if (out == NULL || !gw_json_is(list, GW_JSON_ARRAY_BEGIN))
        return NULL;
    for (const struct gw_json_node *i = list->child; i != NULL; i = i->next) {
        struct gw_span text = gw_json_text(i, arena);

        if (text.len == 0 || n + text.len + 2 > MAX_LIST ||
            memchr(text.ptr, ',', text.len) != NULL || memchr(text.ptr, '\0', text.len) != NULL)
            return NULL;
        if (n != 0)
            out[n++] = ',';
        memcpy(out + n, text.ptr, text.len);
        n += text.len;
    }
    return out;
}

/* A text member, NULL-terminated; null counts as "". NULL when it is none. */
static const char *text_of(struct gw_arena *arena, const struct gw_json_node *member)
{
    struct gw_span text = gw_json_text(member, arena);

    if (gw_json_is(member, GW_JSON_NULL))
        return "";
    if (text.ptr == NULL || memchr(text.ptr, '\0', text.len) != NULL)
        return NULL;
    return gw_arena_copy(arena, text).ptr;
}

static bool take_expiry(struct keys_job *k, const char *text)
{
    k->f.has_expiry = true;
    return text != NULL && proxy_key_expiry_parse(text, gw_clock_wall_ms(), &k->f.expires_ms);
}

/* Reads one member into its field. */
static bool take_member(struct keys_job *k, const struct gw_json_node *m, bool creating)
{
    struct gw_arena *arena = k->call->arena;
    struct {
        const char *name, **field;
        bool list;
    } fields[] = {
        {"name", &k->f.name, false},      {"user", &k->f.user, false},
        {"owner", &k->f.owner, false},    {"team", &k->f.team, false},
        {"groups", &k->f.groups, true},   {"models", &k->f.models, true},
        {"targets", &k->f.targets, true}, {"networks", &k->f.networks, true},
        {"role", &k->f.role, false},
    };

    if (gw_json_key_is(m, "expires"))
        return take_expiry(k, text_of(arena, m));
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        if (!gw_json_key_is(m, fields[i].name))
            continue;
        if (fields[i].field == &k->f.role && !creating)
            return false;
        *fields[i].field = fields[i].list ? join(arena, m) : text_of(arena, m);
        return *fields[i].field != NULL;
    }
    return false;
}

static bool take_fields(struct keys_job *k, bool creating)
{
    const struct gw_json_node *root = k->call->json;

    for (const struct gw_json_node *m = root == NULL ? NULL : root->child; m != NULL; m = m->next) {
        struct gw_span name = gw_json_name(m, k->call->arena);

        if (take_member(k, m, creating))
            continue;
        admin_call_error(
            k->call, 400, "invalid_field",
            "%.*s: not a field that can be set here, or a value of the wrong form (texts; "
            "lists of texts; expires: 90d, 12h, 2027-01-31, never)",
            (int)(name.len < 40 ? name.len : 40), name.ptr);
        return false;
    }
    if (root == NULL || root->child == NULL) {
        admin_call_error(k->call, 400, "invalid_body", "Send a JSON object with the key's fields.");
        return false;
    }
    return true;
}

/* ---- handlers ------------------------------------------------------------------------------------- */

static struct keys_job *job_new(struct admin_call *c,
                                void (*run)(struct proxy_store_job *job, const char *path))
{
    struct keys_job *k = gw_arena_alloc(c->arena, sizeof(*k));

    if (k == NULL) {
        admin_call_error(c, 503, "out_of_memory", "The gateway is out of memory.");
        return NULL;
    }
    k->job.run = run;
    k->job.done = on_done;
    k->call = c;
    k->by = admin_call_actor(c);
    if (c->arg.len != 0)
        k->which = gw_arena_copy(c->arena, c->arg).ptr;
    return k;
}

static enum admin_result submit(struct keys_job *k)
{
    if (proxy_store_submit(k->call->server->store, &k->job) == GW_OK)
        return ADMIN_WAIT;
    k->call->retry_after_s = 1;
    admin_call_error(k->call, 503, "busy", "Too many calls wait for the keys database.");
    return ADMIN_DONE;
}

static enum admin_result simply(struct admin_call *c,
                                void (*run)(struct proxy_store_job *job, const char *path))
{
    struct keys_job *k = job_new(c, run);

    return k == NULL ? ADMIN_DONE : submit(k);
}

enum admin_result admin_keys_list(struct admin_call *c)
{
    return simply(c, run_list);
}

enum admin_result admin_keys_get(struct admin_call *c)
{
    return simply(c, run_get);
}

enum admin_result admin_keys_revoke(struct admin_call *c)
{
    return simply(c, run_revoke);
}

enum admin_result admin_keys_create(struct admin_call *c)
{
    struct keys_job *k = job_new(c, run_create);

    return k == NULL || !take_fields(k, true) ? ADMIN_DONE : submit(k);
}

enum admin_result admin_keys_update(struct admin_call *c)
{
    struct keys_job *k = job_new(c, run_update);

    return k == NULL || !take_fields(k, false) ? ADMIN_DONE : submit(k);
}

enum admin_result admin_keys_rotate(struct admin_call *c)
{
    struct keys_job *k = job_new(c, run_rotate);
    const struct gw_json_node *grace = gw_json_get(c->json, "grace");
    const char *text;

    if (k == NULL)
        return ADMIN_DONE;
    text = grace == NULL ? "" : text_of(c->arena, grace);
    if (text == NULL || (text[0] != '\0' && !proxy_key_span_parse(text, &k->grace_ms))) {
        admin_call_error(c, 400, "invalid_field", "grace: give days (1d) or hours (12h)");
        return ADMIN_DONE;
    }
    return submit(k);
}

enum admin_result admin_changes_list(struct admin_call *c)
{
    struct keys_job *k = job_new(c, run_changes);
    struct gw_span last = admin_call_query(c, "last");
    unsigned n = last.len == 0 ? DEFAULT_CHANGES : 0;

    if (k == NULL)
        return ADMIN_DONE;
    for (size_t i = 0; i < last.len && last.len < 5; i++)
        n = n * 10 + (unsigned)(last.ptr[i] - '0');
    k->max = n == 0 || n > MAX_CHANGES ? MAX_CHANGES : n;
    return submit(k);
}
