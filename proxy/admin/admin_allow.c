/* proxy/admin/admin_allow.c - POST /api/allow: a line for the allowlist's file, in force when the answer comes. Main thread. */
#include <stdio.h>

#include "base/clock.h"
#include "base/digest.h"
#include "base/log.h"
#include "proxy/admin/admin_api.h"
#include "proxy/config/allow_file.h"
#include "proxy/net/server.h"
#include "proxy/net/worker.h"
#include "proxy/request/allow_record.h"

/* The value's HMAC: as given, or made of the value, which is then forgotten. */
static struct gw_span hmac_of(const struct admin_call *c, char hex[GW_SHA256_HEX_BYTES])
{
    struct gw_span value = gw_json_text(gw_json_get(c->json, "value"), c->arena);
    unsigned char mac[GW_SHA256_BYTES];

    if (value.len == 0)
        return gw_json_text(gw_json_get(c->json, "value_hmac"), c->arena);
    gw_hmac_sha256((struct gw_span){(const char *)c->server->hmac_key, sizeof(c->server->hmac_key)},
                   value, mac);
    gw_hex(mac, sizeof(mac), hex);
    return gw_span_str(hex);
}

static bool known_members(const struct admin_call *c)
{
    static const char *const known[] = {"value", "value_hmac", "rule",   "path", "user",
                                        "owner", "expires",    "reason", "from", "finding"};

    for (const struct gw_json_node *m = c->json->child; m != NULL; m = m->next) {
        bool is = false;

        for (size_t i = 0; i < sizeof(known) / sizeof(known[0]) && !is; i++)
            is = gw_json_key_is(m, known[i]);
        if (!is)
            return false;
    }
    return true;
}

/* The value of a record's finding, and its rule unless one is given ("*": all). Only of late: older records take too long to
 * find while others wait. */
static enum gw_status read_record(struct admin_call *c, const struct setup *setup,
                                  struct allow_record *found, struct allow_entry *e,
                                  struct gw_err *err)
{
    enum { LATE_MS = 60 * 60 * 1000, MOST = 1000000 };
    struct gw_span from = gw_json_text(gw_json_get(c->json, "from"), c->arena);
    uint64_t finding = gw_json_uint(gw_json_get(c->json, "finding"), 0);
    char id[GW_ULID_BYTES] = "";
    int64_t began;

    if (from.len != 0) {
        (void)snprintf(id, sizeof(id), "%.*s", (int)(from.len < 100 ? from.len : 100), from.ptr);
        began = allow_record_time(id);
        if (began < 0 || from.len != sizeof(id) - 1 || finding > MOST)
            return gw_fail(err, GW_EINVAL, "from: not the id of a request or record");
        if (gw_clock_wall_ms() - began > LATE_MS)
            return gw_fail(err, GW_EINVAL,
                           "from: the record is older than an hour: sluice dlp allow --from %s",
                           id);
        GW_TRY(allow_record_find(setup->cfg->audit.spool, id, (unsigned)finding, found, err));
        e->value_hmac = gw_span_str(found->hmac);
        if (e->rule.len == 0)
            e->rule = gw_span_str(found->rule);
    }
    if (gw_span_is(e->rule, "*"))
        e->rule = (struct gw_span){NULL, 0};
    return GW_OK;
}

enum admin_result admin_allow(struct admin_call *c)
{
    char hex[GW_SHA256_HEX_BYTES], id[ALLOW_ID_BYTES];
    struct allow_record found;
    struct allow_entry e;
    struct setup *setup;
    struct gw_err err;
    enum gw_status st;

    if (c->json == NULL || !known_members(c)) {
        admin_call_error(c, 400, "invalid_body",
                         "Say from, value or value_hmac, owner and expires, and perhaps finding, "
                         "rule, path, user "
                         "and reason.");
        return ADMIN_DONE;
    }
    e = (struct allow_entry){
        .value_hmac = hmac_of(c, hex),
        .rule = gw_json_text(gw_json_get(c->json, "rule"), c->arena),
        .path = gw_json_text(gw_json_get(c->json, "path"), c->arena),
        .user = gw_json_text(gw_json_get(c->json, "user"), c->arena),
        .owner = gw_json_text(gw_json_get(c->json, "owner"), c->arena),
        .expires = gw_json_text(gw_json_get(c->json, "expires"), c->arena),
        .reason = gw_json_text(gw_json_get(c->json, "reason"), c->arena),
    };
    setup = server_setup(c->server);
    st = read_record(c, setup, &found, &e, &err);
    if (st == GW_OK)
        st = allow_file_add(setup->cfg->allow.file, &e, id, &err);
    server_setup_done(c->server, setup);
    if (st != GW_OK) {
        admin_call_fail(c, &err);
        return ADMIN_DONE;
    }
    gw_log(GW_LOG_INFO, "allowlist_added", "entry=%s by=\"%s\" client=%s", id,
           admin_call_actor(c).name, c->peer);
    return admin_reload_for(c, id);
}
