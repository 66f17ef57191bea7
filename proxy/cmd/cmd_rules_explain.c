/* proxy/cmd/cmd_rules_explain.c - sluice rules explain: what a rule looks for, and why something was found or was not.
 * One thread. Values are masked: what is explained may be real. */
#include <sys/stat.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/cli.h"
#include "proxy/cmd/cmd_rules.h"

enum { ARENA_BYTES = 1 << 30 };

struct dropped;

/* What one text's explanation shares. */
struct explainer {
    const struct dlp_rules *rules;
    const char *name;    /* of the text */
    struct gw_span text; /* as it was given */
    bool json;
    struct cmd_rules_place place;
    struct gw_buf out, mask;
    unsigned n_matches, n_alike;
    struct dropped *dropped; /* of each rule, the last match that was none */
};

struct dropped {
    const char *why;
    size_t to; /* the match's end */
};

/* ---- one rule --------------------------------------------------------------------------- */

static int describe(const struct cmd_rules_args *a, const struct dlp_rules *r, const char *id)
{
    struct gw_buf out = {NULL, 0, 0, false};
    unsigned i = 0;

    while (i < dlp_rules_count(r) && strcmp(dlp_rules_info(r, i)->id, id) != 0)
        i++;
    if (i == dlp_rules_count(r))
        return cli_fail(
            "rules explain", 1,
            "%s: no such rule; sluice rules list shows them, and --text explains a text", id);
    dlp_rules_describe(r, i, a->json, &out);
    printf("%.*s%s", (int)out.len, out.ptr == NULL ? "" : out.ptr, a->json ? "\n" : "");
    gw_buf_fini(&out);
    return 0;
}

/* ---- matches ---------------------------------------------------------------------------- */

static bool is_plain(const struct explainer *x, const struct dlp_explain *e)
{
    return e->text.ptr == x->text.ptr;
}

static void note_json(struct explainer *x, const struct dlp_explain *e)
{
    gw_buf_printf(&x->out,
                  "{\"rule\":\"%s\",\"view\":\"%s\",\"match\":[%zu,%zu],\"start\":%zu,\"end\":%zu,"
                  "\"anchor\":",
                  dlp_rules_info(x->rules, e->rule)->id, is_plain(x, e) ? "plain" : "decoded",
                  e->match_start, e->match_end, e->start, e->end);
    gw_buf_add_json_str(
        &x->out, (struct gw_span){e->text.ptr + e->anchor_start, e->anchor_end - e->anchor_start});
    gw_buf_adds(&x->out, ",\"value\":");
    gw_buf_add_json_str(&x->out, gw_buf_span(&x->mask));
    gw_buf_adds(&x->out, ",\"parts\":[");
    for (unsigned i = 0; i < e->n_parts; i++) {
        gw_buf_printf(&x->out, "%s{\"what\":\"%s\",\"points\":%d,\"detail\":", i == 0 ? "" : ",",
                      e->parts[i].what, e->parts[i].points);
        gw_buf_add_json_str(&x->out, e->parts[i].detail);
        gw_buf_addc(&x->out, '}');
    }
    gw_buf_printf(&x->out, "],\"confidence\":%u,\"dropped\":", e->confidence);
    if (e->dropped == NULL)
        gw_buf_adds(&x->out, "null");
    else
        gw_buf_add_json_str(&x->out, gw_span_str(e->dropped));
    gw_buf_adds(&x->out, "}\n");
}

static void note_text(struct explainer *x, const struct dlp_explain *e)
{
    const struct dlp_rule_info *rule = dlp_rules_info(x->rules, e->rule);
    struct gw_buf anchor = {NULL, 0, 0, false};

    if (is_plain(x, e)) {
        cmd_rules_place_move(&x->place, x->text, e->start);
        gw_buf_printf(&x->out, "%s%s:%u:%u%s", cli_paint(stdout, "bold"), x->name, x->place.line,
                      x->place.column, cli_paint(stdout, "reset"));
    } else {
        gw_buf_printf(&x->out, "%s%s, decoded, byte %zu%s", cli_paint(stdout, "bold"), x->name,
                      e->start, cli_paint(stdout, "reset"));
    }
    gw_buf_printf(&x->out, "  %s  %s  %.*s\n", rule->id, gw_class_name(rule->class_),
                  (int)x->mask.len, x->mask.ptr == NULL ? "" : x->mask.ptr);
    if (e->anchor_end > e->anchor_start) {
        gw_buf_add_json_str(&anchor, (struct gw_span){e->text.ptr + e->anchor_start,
                                                      e->anchor_end - e->anchor_start});
        gw_buf_printf(
            &x->out, "       anchor %.*s, %zu bytes behind the match's start; match of %zu bytes\n",
            (int)anchor.len, anchor.ptr == NULL ? "" : anchor.ptr, e->anchor_start - e->match_start,
            e->match_end - e->match_start);
        gw_buf_fini(&anchor);
    }
    for (unsigned i = 0; i < e->n_parts; i++)
        gw_buf_printf(&x->out, "  %+4d %s%s%.*s\n", e->parts[i].points, e->parts[i].what,
                      e->parts[i].detail.len > 0 ? ": " : "", (int)e->parts[i].detail.len,
                      e->parts[i].detail.ptr == NULL ? "" : e->parts[i].detail.ptr);
    if (e->dropped != NULL)
        gw_buf_printf(&x->out, "       %sno finding%s: %s\n", cli_paint(stdout, "dim"),
                      cli_paint(stdout, "reset"), e->dropped);
    else
        gw_buf_printf(&x->out, "     = %u\n", e->confidence);
}

/* A long run of digits is many matches of one rule, each inside the one before it: one says it all. */
static bool is_alike(struct explainer *x, const struct dlp_explain *e)
{
    struct dropped *last = &x->dropped[e->rule];

    if (e->dropped == NULL)
        return false;
    if (last->why == e->dropped && e->match_end <= last->to)
        return true;
    *last = (struct dropped){e->dropped, e->match_end};
    return false;
}

static void note(void *ctx, const struct dlp_explain *e)
{
    struct explainer *x = ctx;

    x->n_matches++;
    if (!x->json && is_alike(x, e)) {
        x->n_alike++;
        return;
    }
    gw_buf_clear(&x->mask);
    cmd_rules_mask((struct gw_span){e->text.ptr + e->start, e->end - e->start}, &x->mask);
    if (x->json)
        note_json(x, e);
    else
        note_text(x, e);
}

/* What is left when overlaps are resolved and counts have spoken. */
static void put_report(struct explainer *x, const struct dlp_report *report)
{
    gw_buf_printf(&x->out, "%u matches were judged", x->n_matches);
    if (x->n_alike > 0)
        gw_buf_printf(&x->out, ", %u of them inside others and alike", x->n_alike);
    gw_buf_printf(&x->out, "; reported: %u\n", report->n_findings);
    for (unsigned i = 0; i < report->n_findings; i++) {
        const struct dlp_finding *f = &report->findings[i];

        cmd_rules_place_move(&x->place, x->text, f->start);
        gw_buf_printf(&x->out, "  %u:%u  %s  %u", x->place.line, x->place.column,
                      dlp_rules_info(x->rules, f->rule)->id, f->confidence);
        if (f->view != DLP_VIEW_PLAIN)
            gw_buf_printf(&x->out, "  seen in the view %s", dlp_view_name((enum dlp_view)f->view));
        gw_buf_addc(&x->out, '\n');
    }
}

static int explain_text(struct explainer *x)
{
    struct gw_arena *arena = gw_arena_new(ARENA_BYTES);
    struct dlp_scanner *s = dlp_scanner_new();
    struct dlp_doc *doc = NULL;
    struct dlp_report report = {.findings = NULL};
    enum gw_status st = GW_ENOMEM;
    int status = 0;

    x->dropped = calloc(dlp_rules_count(x->rules) + 1, sizeof(*x->dropped));
    if (arena != NULL && s != NULL && x->dropped != NULL && dlp_scanner_explain(s, note, x))
        st = dlp_doc_parse_text(arena, x->text, &doc);
    if (st == GW_OK)
        st = dlp_scan(s, x->rules, doc, arena, NULL, &report);
    if (st == GW_OK && !x->json)
        put_report(x, &report);
    if (st != GW_OK)
        status = cli_fail("rules explain", 1, "%s: %s while scanning; split the text", x->name,
                          gw_status_name(st));
    else if (fwrite(x->out.ptr, 1, x->out.len, stdout) != x->out.len)
        status = cli_fail("rules explain", 1, "cannot write the explanation");
    free(x->dropped);
    dlp_scanner_free(s);
    gw_arena_free(arena);
    return status;
}

/* --text is a file where there is one of that name, else the text itself. */
static int read_text(const char *text, struct gw_buf *in, const char **name)
{
    struct stat info;

    if (strcmp(text, "-") == 0 || (stat(text, &info) == 0 && !S_ISDIR(info.st_mode))) {
        *name = strcmp(text, "-") == 0 ? "<stdin>" : text;
        return cmd_rules_read_file("rules explain", text, in);
    }
    *name = "<text>";
    gw_buf_adds(in, text);
    return 0;
}

int cmd_rules_explain(const struct cmd_rules_args *a)
{
    struct dlp_rules *r = NULL;
    struct gw_buf in = {NULL, 0, 0, false};
    struct gw_err err;
    int status = 0;

    if (a->n_files == 0 && a->text == NULL)
        return cli_fail("rules explain", 2, "name a rule, or give --text TEXT|FILE");
    if (cmd_rules_open(a, &r, &err) != GW_OK)
        return cli_fail_err("rules explain", &err);
    for (unsigned i = 0; i < a->n_files && status == 0; i++)
        status = describe(a, r, a->files[i]);
    if (status == 0 && a->text != NULL) {
        struct explainer x = {.rules = r, .json = a->json, .place = {.line = 1}};

        status = read_text(a->text, &in, &x.name);
        x.text = gw_buf_span(&in);
        if (status == 0)
            status = explain_text(&x);
        gw_buf_fini(&x.out);
        gw_buf_fini(&x.mask);
    }
    gw_buf_fini(&in);
    dlp_rules_unref(r);
    return status;
}
