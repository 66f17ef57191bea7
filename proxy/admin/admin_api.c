/* proxy/admin/admin_api.c - the table of the admin port, and who may ask for what. Main thread. */
#include "proxy/admin/admin_api.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "proxy/net/worker.h"

/* ---- the table -------------------------------------------------------------------------------- */

static enum admin_result whoami(struct admin_call *c);

static const struct admin_row rows[] = {
    {"GET", "/healthz", PROXY_ROLE_VIEWER, admin_health},
    {"GET", "/readyz", PROXY_ROLE_VIEWER, admin_ready},
    {"GET", "/metrics", PROXY_ROLE_VIEWER, admin_metrics},
    {"GET", "/api/targets", PROXY_ROLE_VIEWER, admin_targets},
    {"GET", "/api/whoami", PROXY_ROLE_VIEWER, whoami},
    {"GET", "/api/keys", PROXY_ROLE_AUDITOR, admin_keys_list},
    {"POST", "/api/keys", PROXY_ROLE_ADMIN, admin_keys_create},
    {"GET", "/api/keys/*", PROXY_ROLE_AUDITOR, admin_keys_get},
    {"PATCH", "/api/keys/*", PROXY_ROLE_ADMIN, admin_keys_update},
    {"DELETE", "/api/keys/*", PROXY_ROLE_ADMIN, admin_keys_revoke},
    {"POST", "/api/keys/*/rotate", PROXY_ROLE_ADMIN, admin_keys_rotate},
    {"GET", "/api/budgets", PROXY_ROLE_VIEWER, admin_budgets_list},
    {"POST", "/api/allow", PROXY_ROLE_OPERATOR, admin_allow},
    {"GET", "/api/reload", PROXY_ROLE_VIEWER, admin_reload_last},
    {"POST", "/api/reload", PROXY_ROLE_OPERATOR, admin_reload},
    {"GET", "/api/changes", PROXY_ROLE_AUDITOR, admin_changes_list},
};
enum { N_ROWS = sizeof(rows) / sizeof(rows[0]) };

/* Does the path match? The segment at '*' is *arg: not empty, without escapes. */
static bool path_is(const char *pattern, struct gw_span path, struct gw_span *arg)
{
    while (*pattern != '\0') {
        size_t n = 0;

        if (*pattern != '*') {
            if (path.len == 0 || *path.ptr != *pattern)
                return false;
            path = gw_span_from(path, 1);
            pattern++;
            continue;
        }
        while (n < path.len && path.ptr[n] != '/' && path.ptr[n] != '%')
            n++;
        if (n == 0)
            return false;
        *arg = (struct gw_span){path.ptr, n};
        path = gw_span_from(path, n);
        pattern++;
    }
    return path.len == 0;
}

/* The row of path and method. *allowed: the methods that the path has, "GET, POST"; empty for an unknown path. */
static const struct admin_row *find(struct admin_call *c, struct gw_span method, char *allowed,
                                    size_t size)
{
    size_t n = 0;

    allowed[0] = '\0';
    for (unsigned i = 0; i < N_ROWS; i++) {
        struct gw_span arg = {NULL, 0};

        if (!path_is(rows[i].path, c->path, &arg))
            continue;
        if (gw_span_is(method, rows[i].method)) {
            c->arg = arg;
            return &rows[i];
        }
        n += (size_t)snprintf(allowed + n, size - n, "%s%s", n == 0 ? "" : ", ", rows[i].method);
    }
    return NULL;
}

/* ---- answers ---------------------------------------------------------------------------------- */

static void error_v(struct admin_call *c, unsigned status, const char *code, const char *fmt,
                    va_list ap)
{
    char message[400];

    (void)vsnprintf(message, sizeof(message), fmt, ap);
    gw_buf_clear(&c->out);
    c->status = status;
    c->type = "application/json";
    gw_buf_printf(&c->out, "{\"error\":{\"code\":\"%s\",\"message\":", code);
    gw_buf_add_json_str(&c->out, gw_span_str(message));
    gw_buf_adds(&c->out, "}}\n");
}

void admin_call_error(struct admin_call *c, unsigned status, const char *code, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    error_v(c, status, code, fmt, ap);
    va_end(ap);
}

void admin_call_fail(struct admin_call *c, const struct gw_err *err)
{
    unsigned status = 500;

    switch (err->code) {
    case GW_EINVAL:
    case GW_EPARSE:
        status = 400;
        break;
    case GW_ENOENT:
        status = 404;
        break;
    case GW_EEXIST:
        status = 409;
        break;
    case GW_EIO:
    case GW_EAGAIN:
    case GW_ENOMEM:
    case GW_ELIMIT:
    case GW_ETIMEDOUT:
        status = 503;
        break;
    case GW_OK:
    case GW_EDENIED:
    case GW_ECANCELED:
    case GW_ECORRUPT:
    case GW_EUNSUPPORTED:
    default:
        break;
    }
    admin_call_error(c, status, gw_status_name(err->code), "%s", err->text);
}

void admin_call_done(struct admin_call *c)
{
    if (!gw_buf_ok(&c->out)) {
        gw_buf_fini(&c->out);
        admin_call_error(c, 503, "out_of_memory", "The gateway is out of memory.");
    }
    c->send(c);
}

/* ---- small helpers for handlers ------------------------------------------------------------------ */

struct proxy_actor admin_call_actor(const struct admin_call *c)
{
    char text[128];
    struct gw_span copy;

    (void)snprintf(text, sizeof(text), "admin:%.*s (%.*s)", (int)c->who.name.len, c->who.name.ptr,
                   (int)c->who.id.len, c->who.id.ptr);
    copy = gw_arena_copy(c->arena, gw_span_str(text));
    return (struct proxy_actor){copy.ptr == NULL ? "admin" : copy.ptr, "api", c->peer};
}

struct gw_span admin_call_query(const struct admin_call *c, const char *name)
{
    struct gw_span rest = c->query;
    size_t n = strlen(name);

    while (rest.len != 0) {
        const char *amp = memchr(rest.ptr, '&', rest.len);
        struct gw_span pair = {rest.ptr, amp == NULL ? rest.len : (size_t)(amp - rest.ptr)};

        if (pair.len > n && pair.ptr[n] == '=' && memcmp(pair.ptr, name, n) == 0)
            return gw_span_from(pair, n + 1);
        rest = gw_span_from(rest, pair.len + 1);
    }
    return (struct gw_span){NULL, 0};
}

static enum admin_result whoami(struct admin_call *c)
{
    gw_buf_adds(&c->out, "{\"id\":");
    gw_buf_add_json_str(&c->out, c->who.id);
    gw_buf_adds(&c->out, ",\"name\":");
    gw_buf_add_json_str(&c->out, c->who.name);
    gw_buf_printf(&c->out, ",\"role\":\"%s\",\"address\":\"%s\"}\n", proxy_role_name(c->role),
                  c->peer);
    return ADMIN_DONE;
}

/* ---- who ---------------------------------------------------------------------------------------- */

static struct gw_span bearer(const struct http1_head *h)
{
    struct gw_span v = http1_get(h, "authorization");

    if (v.len > 7 && gw_span_eq_nocase((struct gw_span){v.ptr, 7}, GW_SPAN("bearer ")))
        return gw_span_from(v, 7);
    return (struct gw_span){NULL, 0};
}

static bool is_open(const struct admin_call *c, const struct admin_row *row)
{
    struct setup *setup;
    bool open = false;

    if (row == NULL || row->role != PROXY_ROLE_VIEWER)
        return false;
    setup = server_setup(c->server);
    for (unsigned i = 0; i < setup->cfg->admin.open.n && !open; i++)
        open = gw_span_eq(setup->cfg->admin.open.items[i], c->path);
    server_setup_done(c->server, setup);
    return open;
}

/* A key that opens nothing: 401, or 429 when too many came from that address. */
static void refuse_key(struct admin_call *c, struct admin_guard *guard, struct gw_span key,
                       enum gw_status st)
{
    uint64_t now_ns = gw_clock_ns();

    c->retry_after_s = key.len == 0 ? 0 : admin_guard_wait(guard, c->peer, now_ns);
    if (c->retry_after_s != 0) {
        admin_call_error(c, 429, "too_many_failures",
                         "Too many wrong admin keys came from this address; try again later.");
        return;
    }
    if (key.len != 0) {
        admin_guard_failed(guard, c->peer, now_ns);
        gw_log(GW_LOG_WARN, "admin_denied", "client=%s why=%s", c->peer, gw_status_name(st));
    }
    admin_call_error(c, 401, "invalid_admin_key",
                     "Send an admin key as Authorization: Bearer sla_... (`sluice keys create "
                     "--name NAME --role ROLE` makes one).");
}

/* Reads the admin key. False when the call was answered. A right key passes whatever else came from its address: with 256
 * bits nobody guesses one, and a stranger behind the same proxy must not lock the operators out. */
static bool identify(struct admin_call *c, struct admin_guard *guard, struct gw_span key)
{
    enum gw_status st = GW_ECANCELED;

    if (key.len != 0)
        st = proxy_store_lookup_admin(c->server->store, key, c->arena, &c->who, &c->role);
    if (st == GW_OK && proxy_principal_may_address(&c->who, c->peer))
        return true;
    if (st == GW_OK) {
        gw_log(GW_LOG_WARN, "admin_denied", "client=%s key=%.*s why=address", c->peer,
               (int)c->who.id.len, c->who.id.ptr);
        admin_call_error(c, 403, "address_not_allowed",
                         "This key may not be used from this address.");
    } else if (st == GW_EIO || st == GW_ENOMEM) {
        admin_call_error(c, 503, "keys_unavailable", "The keys database cannot be read.");
    } else {
        refuse_key(c, guard, key, st);
    }
    return false;
}

/* ---- what --------------------------------------------------------------------------------------- */

/* The media type without parameters. */
static bool is_json(const struct http1_head *h)
{
    struct gw_span v = http1_get(h, "content-type");
    const char *semicolon = v.len == 0 ? NULL : memchr(v.ptr, ';', v.len);

    if (semicolon != NULL)
        v.len = (size_t)(semicolon - v.ptr);
    while (v.len > 0 && v.ptr[v.len - 1] == ' ')
        v.len--;
    return gw_span_eq_nocase(v, GW_SPAN("application/json"));
}

/* Reads the body into c->json. False when the call was answered. */
static bool read_body(struct admin_call *c, const struct http1_head *h, struct gw_span body)
{
    static const struct gw_json_limits limits = {.max_depth = 8, .max_keys = 1000};
    struct gw_json_node *root = NULL;
    struct gw_json *json;
    struct gw_err err;
    enum gw_status st;

    if (body.len == 0)
        return true;
    if (!is_json(h)) {
        admin_call_error(c, 415, "unsupported_media_type", "A body must be application/json.");
        return false;
    }
    json = gw_json_new();
    st = json == NULL ? GW_ENOMEM : gw_json_tree(json, c->arena, body, &limits, &root, &err);
    gw_json_free(json);
    if (st == GW_OK && gw_json_is(root, GW_JSON_OBJECT_BEGIN)) {
        c->json = root;
        return true;
    }
    if (st == GW_ENOMEM)
        admin_call_error(c, 503, "out_of_memory", "The gateway is out of memory.");
    else
        admin_call_error(c, 400, "invalid_body", "The body is not a JSON object%s%s.",
                         st == GW_OK ? "" : ": ", st == GW_OK ? "" : err.text);
    return false;
}

static bool is_api(const struct admin_call *c)
{
    return gw_span_starts(c->path, GW_SPAN("/api/"));
}

/* Everything before the handler. NULL when the call was answered. */
static const struct admin_row *judge(struct admin_call *c, struct admin_guard *guard,
                                     const struct http1_head *h, struct gw_span body,
                                     char allowed[64])
{
    struct gw_span method = c->head_only ? GW_SPAN("GET") : c->method;
    const struct admin_row *row = find(c, method, allowed, 64);
    struct gw_span key = bearer(h);

    if (!is_open(c, row)) {
        /* What has no key learns nothing of the paths below /api. */
        if ((row != NULL || is_api(c)) && !identify(c, guard, key))
            return NULL;
    }
    if (row == NULL && allowed[0] != '\0') {
        c->allow = allowed;
        admin_call_error(c, 405, "method_not_allowed", "This path takes %s.", allowed);
        return NULL;
    }
    if (row == NULL) {
        admin_call_error(c, 404, "not_found",
                         "Here are /healthz, /readyz, /metrics and /api (docs/identity.md).");
        return NULL;
    }
    if (!is_open(c, row) && !proxy_role_may(c->role, row->role)) {
        gw_log(GW_LOG_WARN, "admin_denied", "client=%s key=%.*s role=%s why=role", c->peer,
               (int)c->who.id.len, c->who.id.ptr, proxy_role_name(c->role));
        admin_call_error(c, 403, "role_too_low", "This takes the role %s; this key has %s.",
                         proxy_role_name(row->role), proxy_role_name(c->role));
        return NULL;
    }
    return read_body(c, h, body) ? row : NULL;
}

/* Prometheus asks for what it can read; a plain client gets the plain format. */
static bool accepts_openmetrics(const struct http1_head *h)
{
    static const char type[] = "application/openmetrics-text";
    struct gw_span accept = http1_get(h, "accept");

    return accept.len != 0 && memmem(accept.ptr, accept.len, type, sizeof(type) - 1) != NULL;
}

void admin_api_answer(struct admin_call *c, struct admin_guard *guard, const struct http1_head *h,
                      struct gw_span body)
{
    struct gw_span path = gw_arena_copy(c->arena, h->path); /* a call may outlive its connection */
    const char *mark = path.len == 0 ? NULL : memchr(path.ptr, '?', path.len);
    char allowed[64];
    const struct admin_row *row;

    c->status = 200;
    c->type = "application/json";
    c->method = h->method;
    c->head_only = gw_span_is(h->method, "HEAD");
    c->path = path;
    c->openmetrics = accepts_openmetrics(h);
    if (mark != NULL) {
        c->path.len = (size_t)(mark - path.ptr);
        c->query = gw_span_from(path, c->path.len + 1);
    }
    row = judge(c, guard, h, body, allowed);
    if (row == NULL || row->handle(c) == ADMIN_DONE)
        admin_call_done(c);
}
