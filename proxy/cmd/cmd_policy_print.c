/* proxy/cmd/cmd_policy_print.c - shows what `sluice policy test` found out. One thread. */
#include <stdio.h>

#include "base/buf.h"
#include "proxy/cli.h"
#include "proxy/cmd/cmd_policy.h"
#include "proxy/request/record.h"

enum { SHOWN_BYTES = 24 };

/* The value, so that it can be recognised but not used; control bytes never reach the terminal. */
static void put_masked(struct gw_buf *b, struct gw_span v)
{
    size_t shown = v.len < 8 ? 0 : v.len < 16 ? 2 : 4;

    for (size_t i = 0; i < v.len && i < SHOWN_BYTES; i++) {
        unsigned char c = (unsigned char)v.ptr[i];
        bool open = i < shown || (v.len <= SHOWN_BYTES && i >= v.len - shown);

        gw_buf_addc(b, (char)(open && c > ' ' && c < 0x7F ? c : '*'));
    }
    if (v.len > SHOWN_BYTES)
        gw_buf_printf(b, "... (%zu bytes)", v.len);
}

static struct gw_span value_of(const struct cmd_policy_result *r, unsigned i)
{
    const struct dlp_finding *f = &r->report.findings[i];
    const struct dlp_leaf leaf = dlp_doc_leaf(r->doc, f->leaf);

    if (f->end > leaf.text.len || f->start > f->end)
        return (struct gw_span){NULL, 0};
    return (struct gw_span){leaf.text.ptr + f->start, f->end - f->start};
}

/* Does the edit reach the text? Only when it leaves the process, or always. */
static bool edit_applies(const struct cmd_policy_result *r, unsigned i)
{
    bool leaves = true;

    if (r->d.actions[i] < GW_ACTION_MASK || r->d.actions[i] == GW_ACTION_BLOCK || r->d.blocked)
        return false;
    if (r->d.n_choices > 0)
        leaves = router_target_zone(r->cfg->policy, r->d.choices[0]) != GW_ZONE_PROCESS;
    return leaves || r->d.always[i] != 0;
}

static void put_zones(struct gw_buf *b, unsigned zones, const char *quote)
{
    static const enum gw_zone all[] = {GW_ZONE_PROCESS, GW_ZONE_PRIVATE, GW_ZONE_APPROVED};
    const char *between = "";

    for (unsigned i = 0; i < 3; i++) {
        if ((zones & (unsigned)all[i]) == 0)
            continue;
        gw_buf_printf(b, "%s%s%s%s", between, quote, gw_zone_name(all[i]), quote);
        between = ", ";
    }
}

/* "at /messages/0/content: "; a plain prompt has no place to name. */
static void put_place(const struct cmd_policy_result *r, unsigned i, struct gw_buf *b)
{
    struct gw_buf pointer = {0};

    dlp_doc_pointer(r->doc, r->report.findings[i].leaf, &pointer);
    if (pointer.len > 0)
        gw_buf_printf(b, "at %s: ", pointer.ptr);
    gw_buf_fini(&pointer);
}

/* What would happen to the same finding in an answer. */
static enum gw_action in_answer(const struct cmd_policy_result *r, unsigned i, const char **line)
{
    uint16_t index = 0;
    enum gw_action action =
        router_decide_response(r->cfg->policy, &r->in, &r->in.findings[i], &index, NULL);

    *line = router_line_name(r->cfg->policy, index);
    return action;
}

static void put_answer(const struct cmd_policy_result *r, unsigned i, struct gw_buf *b)
{
    const char *line = "";
    enum gw_action action;

    if (!router_watches_responses(r->cfg->policy, &r->in))
        return;
    action = in_answer(r, i, &line);
    gw_buf_printf(b, "    in an answer: %s%s%s\n", gw_action_name(action),
                  line[0] == '\0' ? "" : " by policy line ", line);
}

/* "simulated   block by policy line all". */
static void put_would(const struct cmd_policy_result *r, const char *what,
                      const struct router_would *w, struct gw_buf *b)
{
    if (!w->differs)
        return;
    gw_buf_printf(b, "%s%-10s%s  would %s", cli_paint(stdout, "bold"), what,
                  cli_paint(stdout, "reset"), record_would_name(w, r->d.zones));
    if (w->line[0] != '\0')
        gw_buf_printf(b, " by policy line %s", w->line);
    if (w->target >= 0)
        gw_buf_printf(b, ", to %s", router_target_name(r->cfg->policy, (unsigned)w->target));
    gw_buf_addc(b, '\n');
}

static void put_would_json(const struct cmd_policy_result *r, const char *key,
                           const struct router_would *w, struct gw_buf *b)
{
    if (!w->differs)
        return;
    gw_buf_printf(b, ",\"%s\":\"%s\",\"%s_line\":", key, record_would_name(w, r->d.zones), key);
    gw_buf_add_json_str(b, gw_span_str(w->line));
}

/* What follows in the conversation. */
static void put_pin(const struct cmd_policy_result *r, struct gw_buf *b)
{
    if (r->d.pin == 0 || r->d.blocked)
        return;
    gw_buf_printf(b, "%spinned%s      what follows in the conversation stays in ",
                  cli_paint(stdout, "bold"), cli_paint(stdout, "reset"));
    put_zones(b, r->d.pin, "");
    gw_buf_addc(b, '\n');
}

static void put_text(const struct cmd_policy_result *r, struct gw_buf *b)
{
    const struct router_policy *p = r->cfg->policy;
    const struct router_decision *d = &r->d;
    const char *bold = cli_paint(stdout, "bold"), *reset = cli_paint(stdout, "reset");

    gw_buf_printf(b, "%s%s%s: %s\n", cli_paint(stdout, d->blocked ? "red" : "green"),
                  d->blocked ? "refused" : "allowed", reset, d->reason_text);
    gw_buf_printf(b, "\n%sfindings%s    %u, sensitivity %s\n", bold, reset, r->report.n_findings,
                  gw_severity_name(d->sensitivity));
    for (unsigned i = 0; i < r->report.n_findings; i++) {
        const struct dlp_rule_info *info = dlp_rules_info(r->rules, r->report.findings[i].rule);
        const char *line = router_line_name(p, d->lines[i]);

        gw_buf_printf(b, "  %s  %s %s, confidence %u  ", info->id, gw_severity_name(info->severity),
                      gw_class_name(info->class_), (unsigned)r->report.findings[i].confidence);
        put_masked(b, value_of(r, i));
        gw_buf_adds(b, "\n    ");
        put_place(r, i, b);
        if (r->allowed[i] != NULL) {
            gw_buf_printf(b, "%sno finding%s by the allowlist's entry %s\n", bold, reset,
                          r->allowed[i]->id);
            continue;
        }
        gw_buf_printf(b, "%s%s%s by %s%s%s\n", bold, gw_action_name((enum gw_action)d->actions[i]),
                      reset, line[0] == '\0' ? "the default" : "policy line ", line,
                      d->actions[i] >= GW_ACTION_MASK && d->actions[i] != GW_ACTION_BLOCK &&
                              !edit_applies(r, i) && !d->blocked
                          ? " (not applied: the text stays in this process)"
                          : "");
        put_answer(r, i, b);
    }
    put_would(r, "on trial", &r->d.would, b);
    put_would(r, "simulated", &r->simulated, b);
    put_pin(r, b);
    gw_buf_printf(b, "%scomplexity%s  %u, %s%s%.*s\n", bold, reset, d->complexity,
                  gw_tier_name(d->tier), r->complexity.len == 0 ? "" : ": ", (int)r->complexity.len,
                  r->complexity.len == 0 ? "" : r->complexity.ptr);
    gw_buf_printf(b, "%szones%s       ", bold, reset);
    put_zones(b, d->zones, "");
    gw_buf_printf(b, "\n%stargets%s     ", bold, reset);
    if (r->in.fixed && !d->blocked)
        gw_buf_adds(b, "the host that the client chose");
    else if (d->n_choices == 0)
        gw_buf_adds(b, "none");
    for (unsigned i = 0; i < d->n_choices; i++)
        gw_buf_printf(b, "%s%s", i == 0 ? "" : ", then ", router_target_name(p, d->choices[i]));
    if (d->rerouted)
        gw_buf_adds(b, " (moved by policy)");
    gw_buf_addc(b, '\n');
}

static void put_finding_json(const struct cmd_policy_result *r, unsigned i, struct gw_buf *b)
{
    const struct dlp_finding *f = &r->report.findings[i];
    const struct dlp_rule_info *info = dlp_rules_info(r->rules, f->rule);
    struct gw_buf pointer = {0}, masked = {0};
    const char *answer_line;
    enum gw_action answer = in_answer(r, i, &answer_line);

    dlp_doc_pointer(r->doc, f->leaf, &pointer);
    put_masked(&masked, value_of(r, i));
    gw_buf_adds(b, "{\"rule\":");
    gw_buf_add_json_str(b, gw_span_str(info->id));
    gw_buf_printf(b, ",\"class\":\"%s\",\"severity\":\"%s\",\"confidence\":%u,\"pointer\":",
                  gw_class_name(info->class_), gw_severity_name(info->severity),
                  (unsigned)f->confidence);
    gw_buf_add_json_str(b, gw_buf_span(&pointer));
    gw_buf_adds(b, ",\"masked\":");
    gw_buf_add_json_str(b, gw_buf_span(&masked));
    gw_buf_adds(b, ",\"line\":");
    gw_buf_add_json_str(b, gw_span_str(router_line_name(r->cfg->policy, r->d.lines[i])));
    gw_buf_printf(b, ",\"action\":\"%s\",\"edited\":%s,\"answer_action\":\"%s\",\"answer_line\":",
                  gw_action_name((enum gw_action)r->d.actions[i]),
                  edit_applies(r, i) ? "true" : "false", gw_action_name(answer));
    gw_buf_add_json_str(b, gw_span_str(answer_line));
    if (r->allowed[i] != NULL) {
        gw_buf_adds(b, ",\"allowlist\":");
        gw_buf_add_json_str(b, gw_span_str(r->allowed[i]->id));
    }
    gw_buf_addc(b, '}');
    if (!gw_buf_ok(&pointer) || !gw_buf_ok(&masked))
        b->failed = true;
    gw_buf_fini(&pointer);
    gw_buf_fini(&masked);
}

static void put_json(const struct cmd_policy_result *r, struct gw_buf *b)
{
    const struct router_decision *d = &r->d;

    gw_buf_printf(b, "{\"allowed\":%s,\"reason\":\"%s\",\"reason_text\":",
                  d->blocked ? "false" : "true", router_reason_name(d->reason));
    gw_buf_add_json_str(b, gw_span_str(d->reason_text));
    gw_buf_printf(b, ",\"action\":\"%s\",\"line\":", gw_action_name(d->action));
    gw_buf_add_json_str(b, gw_span_str(d->line));
    gw_buf_adds(b, ",\"model\":");
    gw_buf_add_json_str(b, d->model);
    gw_buf_adds(b, ",\"targets\":[");
    for (unsigned i = 0; i < d->n_choices; i++) {
        gw_buf_adds(b, i == 0 ? "" : ",");
        gw_buf_add_json_str(b, gw_span_str(router_target_name(r->cfg->policy, d->choices[i])));
    }
    gw_buf_adds(b, "],\"zones\":[");
    put_zones(b, d->zones, "\"");
    gw_buf_adds(b, "],\"pin\":[");
    put_zones(b, d->blocked ? 0 : d->pin, "\"");
    gw_buf_printf(
        b,
        "],\"pinned\":%s,\"rerouted\":%s,\"sensitivity\":\"%s\",\"complexity\":%u,\"tier\":\"%s\"",
        d->pinned ? "true" : "false", d->rerouted ? "true" : "false",
        gw_severity_name(d->sensitivity), d->complexity, gw_tier_name(d->tier));
    put_would_json(r, "would", &r->d.would, b);
    put_would_json(r, "simulated", &r->simulated, b);
    gw_buf_adds(b, ",\"complexity_reason\":");
    gw_buf_add_json_str(b, gw_buf_span(&r->complexity));
    gw_buf_adds(b, ",\"findings\":[");
    for (unsigned i = 0; i < r->report.n_findings; i++) {
        gw_buf_adds(b, i == 0 ? "" : ",");
        put_finding_json(r, i, b);
    }
    gw_buf_adds(b, "]}\n");
}

static void print(const struct cmd_policy_result *r,
                  void (*put)(const struct cmd_policy_result *r, struct gw_buf *b))
{
    struct gw_buf b = {0};

    put(r, &b);
    if (gw_buf_ok(&b))
        (void)fwrite(b.ptr, 1, b.len, stdout);
    else
        (void)cli_fail("policy", 1, "out of memory");
    gw_buf_fini(&b);
}

void cmd_policy_print_text(const struct cmd_policy_result *r)
{
    print(r, put_text);
}

void cmd_policy_print_json(const struct cmd_policy_result *r)
{
    print(r, put_json);
}
