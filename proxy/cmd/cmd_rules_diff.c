/* proxy/cmd/cmd_rules_diff.c - sluice rules diff: what another set of rules finds in the same texts. One thread.
 *
 * Findings are compared by file, span and rule; a finding whose rule or confidence alone differs is changed, not lost. */
#include <stdlib.h>
#include <string.h>

#include "proxy/cli.h"
#include "proxy/cmd/cmd_rules.h"

enum { ARENA_BYTES = 1 << 30 };

struct side {
    struct dlp_rules *rules;
    struct dlp_report report;
    struct gw_arena *arena;
};

struct differ {
    struct side old, new;
    struct dlp_scanner *scanner;
    struct gw_buf text, mask;
    bool json;
    unsigned n_gained, n_lost, n_changed, n_same;
};

static enum gw_status scan(struct differ *d, struct side *s)
{
    struct dlp_doc *doc = NULL;

    gw_arena_reset(s->arena);
    GW_TRY(dlp_doc_parse_text(s->arena, gw_buf_span(&d->text), &doc));
    return dlp_scan(d->scanner, s->rules, doc, s->arena, NULL, &s->report);
}

static void put(struct differ *d, const char *path, const char *sign, const struct side *s,
                const struct dlp_finding *f, const struct dlp_finding *was)
{
    struct gw_span text = gw_buf_span(&d->text);
    struct cmd_rules_place place = {.line = 1};
    const char *id = dlp_rules_info(s->rules, f->rule)->id;

    cmd_rules_place_move(&place, text, f->start);
    gw_buf_clear(&d->mask);
    if (d->json) {
        gw_buf_printf(&d->mask, "{\"change\":\"%s\",\"file\":",
                      sign[0] == '+' ? "gained" : (sign[0] == '-' ? "lost" : "changed"));
        gw_buf_add_json_str(&d->mask, gw_span_str(path));
        gw_buf_printf(&d->mask,
                      ",\"line\":%u,\"column\":%u,\"start\":%u,\"end\":%u,\"rule\":\"%s\","
                      "\"confidence\":%u",
                      place.line, place.column, f->start, f->end, id, f->confidence);
        if (was != NULL)
            gw_buf_printf(&d->mask, ",\"old_rule\":\"%s\",\"old_confidence\":%u",
                          dlp_rules_info(d->old.rules, was->rule)->id, was->confidence);
        printf("%.*s}\n", (int)d->mask.len, d->mask.ptr == NULL ? "" : d->mask.ptr);
        return;
    }
    cmd_rules_mask((struct gw_span){text.ptr + f->start, f->end - f->start}, &d->mask);
    printf("%s%s%s %s:%u:%u  %s  %u", cli_paint(stdout, sign[0] == '-' ? "red" : "green"), sign,
           cli_paint(stdout, "reset"), path, place.line, place.column, id, f->confidence);
    if (was != NULL)
        printf(" (was %s %u)", dlp_rules_info(d->old.rules, was->rule)->id, was->confidence);
    printf("  %.*s\n", (int)d->mask.len, d->mask.ptr == NULL ? "" : d->mask.ptr);
}

static bool same_span(const struct dlp_finding *a, const struct dlp_finding *b)
{
    return a->start == b->start && a->end == b->end;
}

/* The finding of s with f's span, of the rule of that name if there is one; both are few. */
static const struct dlp_finding *find(const struct side *s, const struct dlp_finding *f,
                                      const char *rule)
{
    const struct dlp_finding *found = NULL;

    for (unsigned i = 0; i < s->report.n_findings; i++) {
        const struct dlp_finding *o = &s->report.findings[i];

        if (!same_span(o, f))
            continue;
        if (strcmp(dlp_rules_info(s->rules, o->rule)->id, rule) == 0)
            return o;
        if (found == NULL)
            found = o;
    }
    return found;
}

static int diff_file(void *ctx, const char *path)
{
    struct differ *d = ctx;

    if (cmd_rules_read_file("rules diff", path, &d->text) != 0)
        return 2;
    if (scan(d, &d->old) != GW_OK || scan(d, &d->new) != GW_OK)
        return cli_fail("rules diff", 2, "%s: a limit was reached while scanning; split the file",
                        path);
    for (unsigned i = 0; i < d->old.report.n_findings; i++) {
        const struct dlp_finding *f = &d->old.report.findings[i];

        if (find(&d->new, f, dlp_rules_info(d->old.rules, f->rule)->id) == NULL) {
            put(d, path, "-", &d->old, f, NULL);
            d->n_lost++;
        }
    }
    for (unsigned i = 0; i < d->new.report.n_findings; i++) {
        const struct dlp_finding *f = &d->new.report.findings[i];
        const char *id = dlp_rules_info(d->new.rules, f->rule)->id;
        const struct dlp_finding *was = find(&d->old, f, id);

        if (was == NULL) {
            put(d, path, "+", &d->new, f, NULL);
            d->n_gained++;
        } else if (was->confidence != f->confidence ||
                   strcmp(dlp_rules_info(d->old.rules, was->rule)->id, id) != 0) {
            put(d, path, "~", &d->new, f, was);
            d->n_changed++;
        } else {
            d->n_same++;
        }
    }
    return 0;
}

int cmd_rules_diff(const struct cmd_rules_args *a)
{
    struct differ d = {.json = a->json};
    struct gw_err err;
    int status = 2;

    if (a->n_files < 3 || a->n_rules > 0)
        return cli_fail("rules diff", 2,
                        "give OLD, NEW (rules: a path, or builtin) and files to scan");
    d.scanner = dlp_scanner_new();
    d.old.arena = gw_arena_new(ARENA_BYTES);
    d.new.arena = gw_arena_new(ARENA_BYTES);
    if (d.scanner == NULL || d.old.arena == NULL || d.new.arena == NULL) {
        (void)cli_fail("rules diff", 2, "out of memory");
    } else if (cmd_rules_open_one(a->files[0], &d.old.rules, &err) != GW_OK ||
               cmd_rules_open_one(a->files[1], &d.new.rules, &err) != GW_OK) {
        (void)cli_fail_err("rules diff", &err);
    } else {
        status = cmd_rules_each_file("rules diff", a->files + 2, a->n_files - 2, diff_file, &d);
        if (status == 0)
            (void)fprintf(stderr, "%u gained, %u lost, %u changed, %u the same\n", d.n_gained,
                          d.n_lost, d.n_changed, d.n_same);
        if (status == 0 && d.n_gained + d.n_lost + d.n_changed > 0)
            status = 1;
    }
    gw_buf_fini(&d.text);
    gw_buf_fini(&d.mask);
    gw_arena_free(d.old.arena);
    gw_arena_free(d.new.arena);
    dlp_scanner_free(d.scanner);
    dlp_rules_unref(d.old.rules);
    dlp_rules_unref(d.new.rules);
    return status;
}
