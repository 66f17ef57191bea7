/* proxy/cmd/cmd_keys_show.c - `sluice keys list | show | log`: keys and their changes for people and for machines. */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "proxy/cli.h"
#include "proxy/cmd/cmd_keys.h"
#include "proxy/store/store.h"

struct listing {
    struct gw_buf out;
    bool json;
    unsigned n;
};

/* "2026-11-21" into out (11 bytes); "-" for never. */
static void day_text(int64_t ms, char out[11])
{
    char full[GW_RFC3339_BYTES];

    if (ms == 0) {
        memcpy(out, "-", 2);
        return;
    }
    gw_clock_rfc3339(ms, full);
    memcpy(out, full, 10);
    out[10] = '\0';
}

static const char *or_dash(const char *text)
{
    return text[0] == '\0' ? "-" : text;
}

static const char *state_of(const struct proxy_key_info *k, const char **color)
{
    *color = cli_paint(stdout, "red");
    if (k->revoked_ms != 0)
        return "revoked";
    *color = cli_paint(stdout, "yellow");
    if (k->expires_ms != 0 && k->expires_ms <= gw_clock_wall_ms())
        return "expired";
    *color = cli_paint(stdout, "green");
    return "works";
}

/* Prints what was gathered, or says that memory did not suffice. */
static int print(struct listing *l)
{
    bool ok = gw_buf_ok(&l->out);

    if (ok)
        ok = fwrite(l->out.ptr, 1, l->out.len, stdout) == l->out.len && fflush(stdout) == 0;
    gw_buf_fini(&l->out);
    return ok ? 0 : cli_fail("keys", 1, "cannot write the answer");
}

/* ---- list ------------------------------------------------------------------------------------------ */

static void list_line(struct gw_buf *b, const struct proxy_key_info *k)
{
    char created[11], expires[11], used[11];
    const char *color, *state = state_of(k, &color);

    day_text(k->created_ms, created);
    day_text(k->expires_ms, expires);
    day_text(k->last_used_ms, used);
    gw_buf_printf(b, "%s  %s%-7s%s  %-20s  %-12s  %-12s  %-16s  %-10s  %-10s  %-10s  %s\n", k->id,
                  color, state, cli_paint(stdout, "reset"), k->name, or_dash(k->owner),
                  or_dash(k->team), or_dash(k->groups), created, expires, used, or_dash(k->role));
}

static void on_key(void *ctx, const struct proxy_key_info *k)
{
    struct listing *l = ctx;

    if (l->json) {
        gw_buf_adds(&l->out, l->n == 0 ? "" : ",\n ");
        proxy_key_json(&l->out, k);
    } else {
        list_line(&l->out, k);
    }
    l->n++;
}

int cmd_keys_list(const char *db, bool json)
{
    struct listing l = {.json = json};
    struct gw_err err = {0};
    enum gw_status st;

    if (json)
        gw_buf_addc(&l.out, '[');
    else
        gw_buf_printf(&l.out,
                      "%s%-26s  %-7s  %-20s  %-12s  %-12s  %-16s  %-10s  %-10s  %-10s  %s%s\n",
                      cli_paint(stdout, "bold"), "ID", "STATE", "NAME", "OWNER", "TEAM", "GROUPS",
                      "CREATED", "EXPIRES", "LAST USED", "ADMIN ROLE", cli_paint(stdout, "reset"));
    st = proxy_store_key_list(db, NULL, on_key, &l, &err);
    if (st != GW_OK && st != GW_ENOENT) { /* no database yet is no key yet */
        gw_buf_fini(&l.out);
        return cli_fail_err("keys", &err);
    }
    if (json) {
        gw_buf_adds(&l.out, "]\n");
    } else if (l.n == 0) {
        gw_buf_clear(&l.out);
        (void)fprintf(stderr, "No keys yet: `sluice keys create --name NAME` makes one.\n");
        return print(&l);
    }
    return print(&l);
}

/* ---- show ------------------------------------------------------------------------------------------ */

static void put_time(struct gw_buf *b, const char *name, int64_t ms, const char *never)
{
    char text[GW_RFC3339_BYTES];

    if (ms != 0)
        gw_clock_rfc3339(ms, text);
    gw_buf_printf(b, "  %-10s %s\n", name, ms == 0 ? never : text);
}

static void on_shown(void *ctx, const struct proxy_key_info *k)
{
    struct listing *l = ctx;
    struct gw_buf *b = &l->out;
    const char *color, *state = state_of(k, &color);

    if (l->json) {
        proxy_key_json(b, k);
        gw_buf_addc(b, '\n');
        return;
    }
    gw_buf_printf(b, "%s%s%s  %s%s%s\n", cli_paint(stdout, "bold"), k->name,
                  cli_paint(stdout, "reset"), color, state, cli_paint(stdout, "reset"));
    gw_buf_printf(b, "  %-10s %s\n", "id", k->id);
    if (k->role[0] != '\0')
        gw_buf_printf(b, "  %-10s %s (of the admin port)\n", "role", k->role);
    gw_buf_printf(b, "  %-10s %s\n  %-10s %s\n  %-10s %s\n  %-10s %s\n", "user", k->user, "owner",
                  or_dash(k->owner), "team", or_dash(k->team), "groups", or_dash(k->groups));
    gw_buf_printf(b, "  %-10s %s\n  %-10s %s\n  %-10s %s\n", "models",
                  k->models[0] == '\0' ? "all" : k->models, "targets",
                  k->targets[0] == '\0' ? "all" : k->targets, "networks",
                  k->networks[0] == '\0' ? "anywhere" : k->networks);
    put_time(b, "created", k->created_ms, "-");
    put_time(b, "expires", k->expires_ms, "never");
    put_time(b, "last used", k->last_used_ms, "not yet (kept by the day)");
    if (k->rotated_ms != 0)
        put_time(b, "rotated", k->rotated_ms, "-");
    if (k->grace_ms > gw_clock_wall_ms())
        put_time(b, "old until", k->grace_ms, "-");
    if (k->revoked_ms != 0)
        put_time(b, "revoked", k->revoked_ms, "-");
}

int cmd_keys_show(const char *db, const char *id_or_name, bool json)
{
    struct listing l = {.json = json};
    struct gw_err err = {0};

    if (proxy_store_key_list(db, id_or_name, on_shown, &l, &err) != GW_OK) {
        gw_buf_fini(&l.out);
        return cli_fail_err("keys", &err);
    }
    return print(&l);
}

/* ---- log ------------------------------------------------------------------------------------------- */

static void put_member(struct gw_buf *b, const char *name, const char *text)
{
    gw_buf_printf(b, ",\"%s\":", name);
    gw_buf_add_json_str(b, gw_span_str(text));
}

static void on_logged(void *ctx, const struct proxy_change *c)
{
    struct listing *l = ctx;
    struct gw_buf *b = &l->out;
    char when[GW_RFC3339_BYTES];

    gw_clock_rfc3339(c->time_ms, when);
    if (!l->json) {
        gw_buf_printf(b, "%s  %-7s  %-20s  %s  %s%s%s\n", when, c->action, c->key_name, c->key_id,
                      c->actor, c->address[0] == '\0' ? "" : " from ", c->address);
        l->n++;
        return;
    }
    gw_buf_printf(b, "%s{\"id\":\"%s\",\"time\":\"%s\"", l->n++ == 0 ? "" : ",\n ", c->id, when);
    put_member(b, "actor", c->actor);
    put_member(b, "via", c->via);
    put_member(b, "address", c->address);
    put_member(b, "action", c->action);
    put_member(b, "key_id", c->key_id);
    put_member(b, "key_name", c->key_name);
    gw_buf_printf(b, ",\"before\":%s,\"after\":%s}",
                  c->before_json[0] == '\0' ? "null" : c->before_json,
                  c->after_json[0] == '\0' ? "null" : c->after_json);
}

int cmd_keys_log(const char *db, unsigned max, bool json)
{
    struct listing l = {.json = json};
    struct gw_err err = {0};
    enum gw_status st;

    if (json)
        gw_buf_addc(&l.out, '[');
    st = proxy_store_change_list(db, max, on_logged, &l, &err);
    if (st != GW_OK && st != GW_ENOENT) {
        gw_buf_fini(&l.out);
        return cli_fail_err("keys", &err);
    }
    if (json)
        gw_buf_adds(&l.out, "]\n");
    return print(&l);
}
