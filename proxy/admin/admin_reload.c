/* proxy/admin/admin_reload.c - /api/reload: the configuration is read anew, and what became of it. Main thread; the work is
 * the keeper's (proxy/net/reload.h), who says through server_reload_fd() that it is done. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "proxy/admin/admin_api.h"
#include "proxy/net/server.h"

static void put_problems(struct gw_buf *out, struct gw_span problems)
{
    bool first = true;

    gw_buf_adds(out, "\"problems\":[");
    while (problems.len != 0) {
        const char *nl = memchr(problems.ptr, '\n', problems.len);
        size_t n = nl == NULL ? problems.len : (size_t)(nl - problems.ptr);

        gw_buf_adds(out, first ? "\n" : ",\n");
        gw_buf_add_json_str(out, (struct gw_span){problems.ptr, n});
        first = false;
        problems = gw_span_from(problems, nl == NULL ? n : n + 1);
    }
    gw_buf_addc(out, ']');
}

static void put_digests(struct gw_buf *out, const char *name, const char *config, const char *rules)
{
    gw_buf_printf(out, ",\"%s\":{\"config\":\"%s\",\"rules\":\"%s\"}", name, config, rules);
}

static void put_result(struct gw_buf *out, const struct server_reload_result *r)
{
    char when[GW_RFC3339_BYTES];

    gw_clock_rfc3339(r->time_ms, when);
    gw_buf_printf(out, "{\"result\":\"%s\",\"time\":\"%s\",\"ms\":%llu,\"by\":",
                  r->ok ? "ok" : "refused", when, (unsigned long long)r->duration_ms);
    gw_buf_add_json_str(out, gw_span_str(r->who));
    put_digests(out, "before", r->old_config, r->old_rules);
    if (r->ok)
        put_digests(out, "now", r->new_config, r->new_rules);
    gw_buf_addc(out, ',');
    put_problems(out, gw_buf_span(&r->problems));
    gw_buf_adds(out, "}\n");
}

bool admin_reload_done(struct admin_call *c)
{
    struct server_reload_result r;

    if (!server_reload_result(c->server, c->ticket, &r))
        return false;
    c->ticket = 0;
    c->status = r.ok ? 200 : 422;
    put_result(&c->out, &r);
    gw_buf_fini(&r.problems);
    return true;
}

enum admin_result admin_reload(struct admin_call *c)
{
    return admin_reload_for(c, NULL);
}

enum admin_result admin_reload_for(struct admin_call *c, const char *entry)
{
    char who[SERVER_WHO_BYTES];

    (void)snprintf(who, sizeof(who), "%s%s%s", admin_call_actor(c).name,
                   entry == NULL ? "" : ", allowlist entry ", entry == NULL ? "" : entry);
    c->ticket = server_reload(c->server, who);
    return ADMIN_WAIT; /* admin.c gives it to admin_reload_done() */
}

enum admin_result admin_reload_last(struct admin_call *c)
{
    struct server_reload_result r;

    if (server_reload_result(c->server, 0, &r)) {
        put_result(&c->out, &r);
        gw_buf_fini(&r.problems);
    } else {
        gw_buf_adds(&c->out, "{\"result\":\"none\",\"problems\":[]}\n");
    }
    return ADMIN_DONE;
}
