/* proxy/cmd/cmd_dlp_out.c - findings for people, as JSON Lines, and as SARIF 2.1.0. One thread. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/cli.h"
#include "proxy/cmd/cmd_dlp_scan.h"
#include "proxy/cmd/cmd_rules.h"
#include "proxy/version.h"

static const char *severity_name(enum gw_severity severity)
{
    return gw_severity_name(severity);
}

/* SARIF knows three levels. */
static const char *level_of(const struct dlp_rule_info *rule, unsigned confidence)
{
    if (confidence < 50)
        return "note";
    return rule->severity >= GW_SEVERITY_HIGH && confidence >= 70 ? "error" : "warning";
}

static void put_masked(struct gw_buf *line, struct gw_span value)
{
    struct gw_buf masked = {NULL, 0, 0, false};

    cmd_rules_mask(value, &masked);
    gw_buf_add_json_str(line, gw_buf_span(&masked));
    gw_buf_fini(&masked);
}

/* ---- text ---------------------------------------------------------------------------------- */

static void put_text(struct cmd_dlp_out *o, const struct cmd_dlp_finding *f)
{
    const struct dlp_rule_info *rule = dlp_rules_info(o->rules, f->rule);
    struct gw_buf masked = {NULL, 0, 0, false};

    cmd_rules_mask(f->value, &masked);
    (void)fprintf(o->out, "%s%s:%u:%u%s  %s%.*s  %s  %s  %u  %.*s\n", cli_paint(o->out, "bold"),
                  f->file, f->line, f->column, cli_paint(o->out, "reset"),
                  f->path.len > 0 ? " " : "", (int)f->path.len, f->path.len > 0 ? f->path.ptr : "",
                  rule->id, gw_class_name(rule->class_), f->confidence, (int)masked.len,
                  masked.ptr == NULL ? "" : masked.ptr);
    gw_buf_fini(&masked);
}

static void end_text(struct cmd_dlp_out *o, const struct cmd_dlp_totals *t)
{
    (void)fprintf(o->out,
                  "%" PRIu64 " findings in %" PRIu64 " files, %.1f MB, %.1f s; %" PRIu64
                  " binary files skipped",
                  t->n_findings, t->n_files, (double)t->n_bytes / 1e6, t->seconds, t->n_binary);
    if (t->n_allowed > 0)
        (void)fprintf(o->out, "; %" PRIu64 " allowed", t->n_allowed);
    if (t->n_unreadable > 0)
        (void)fprintf(o->out, "; %" PRIu64 " could not be read", t->n_unreadable);
    (void)fputc('\n', o->out);
}

/* ---- JSON Lines ---------------------------------------------------------------------------- */

static void put_json(struct cmd_dlp_out *o, const struct cmd_dlp_finding *f)
{
    const struct dlp_rule_info *rule = dlp_rules_info(o->rules, f->rule);
    struct gw_buf line = {NULL, 0, 0, false};

    gw_buf_adds(&line, "{\"file\":");
    gw_buf_add_json_str(&line, gw_span_str(f->file));
    gw_buf_printf(&line, ",\"line\":%u,\"column\":%u,\"start\":%" PRIu64 ",\"end\":%" PRIu64 ",",
                  f->line, f->column, f->start, f->end);
    if (f->path.len > 0) {
        gw_buf_adds(&line, "\"path\":");
        gw_buf_add_json_str(&line, f->path);
        gw_buf_addc(&line, ',');
    }
    gw_buf_printf(&line,
                  "\"rule\":\"%s\",\"type\":\"%s\",\"class\":\"%s\",\"severity\":\"%s\","
                  "\"confidence\":%u,\"view\":\"%s\",\"value\":",
                  rule->id, rule->type, gw_class_name(rule->class_), severity_name(rule->severity),
                  f->confidence, dlp_view_name((enum dlp_view)f->view));
    put_masked(&line, f->value);
    gw_buf_adds(&line, "}\n");
    (void)fwrite(line.ptr, 1, line.len, o->out);
    gw_buf_fini(&line);
}

static void end_json(struct cmd_dlp_out *o, const struct cmd_dlp_totals *t)
{
    (void)fprintf(o->out,
                  "{\"summary\":{\"findings\":%" PRIu64 ",\"files\":%" PRIu64 ",\"bytes\":%" PRIu64
                  ",\"binary_skipped\":%" PRIu64 ",\"unreadable\":%" PRIu64 ",\"allowed\":%" PRIu64
                  ",\"rules\":\"%s\"}}\n",
                  t->n_findings, t->n_files, t->n_bytes, t->n_binary, t->n_unreadable, t->n_allowed,
                  dlp_rules_digest(o->rules));
}

/* ---- SARIF --------------------------------------------------------------------------------- */

static unsigned sarif_index(struct cmd_dlp_out *o, uint32_t rule)
{
    if (o->seen[rule] == 0)
        o->seen[rule] = ++o->n_seen;
    return o->seen[rule] - 1;
}

/* A relative reference: everything but what a path may hold is percent-encoded. */
static void put_uri(struct gw_buf *line, const char *file)
{
    gw_buf_addc(line, '"');
    for (const char *p = file; *p != '\0'; p++) {
        bool plain = (*p >= '0' && *p <= '9') || (*p >= 'A' && *p <= 'Z') ||
                     (*p >= 'a' && *p <= 'z') || strchr("/._-~", *p) != NULL;

        if (plain)
            gw_buf_addc(line, *p);
        else
            gw_buf_printf(line, "%%%02X", (unsigned)(unsigned char)*p);
    }
    gw_buf_addc(line, '"');
}

static void put_sarif(struct cmd_dlp_out *o, const struct cmd_dlp_finding *f)
{
    const struct dlp_rule_info *rule = dlp_rules_info(o->rules, f->rule);
    struct gw_buf line = {NULL, 0, 0, false}, message = {NULL, 0, 0, false};

    gw_buf_printf(&message, "%s: ", rule->title);
    cmd_rules_mask(f->value, &message);
    gw_buf_printf(&line,
                  "%s{\"ruleId\":\"%s\",\"ruleIndex\":%u,\"level\":\"%s\",\"message\":{\"text\":",
                  o->n_results > 0 ? ",\n" : "", rule->id, sarif_index(o, f->rule),
                  level_of(rule, f->confidence));
    gw_buf_add_json_str(&line, gw_buf_span(&message));
    gw_buf_adds(&line, "},\"locations\":[{\"physicalLocation\":{\"artifactLocation\":{\"uri\":");
    put_uri(&line, f->file);
    gw_buf_printf(&line,
                  "},\"region\":{\"startLine\":%u,\"startColumn\":%u,\"byteOffset\":%" PRIu64
                  ",\"byteLength\":%" PRIu64 "}}",
                  f->line, f->column, f->start, f->end - f->start);
    if (f->path.len > 0) {
        gw_buf_adds(&line, ",\"logicalLocations\":[{\"fullyQualifiedName\":");
        gw_buf_add_json_str(&line, f->path);
        gw_buf_adds(&line, "}]");
    }
    gw_buf_printf(&line, "}],\"properties\":{\"confidence\":%u,\"class\":\"%s\",\"view\":\"%s\"}}",
                  f->confidence, gw_class_name(rule->class_),
                  dlp_view_name((enum dlp_view)f->view));
    (void)fwrite(line.ptr, 1, line.len, o->out);
    gw_buf_fini(&line);
    gw_buf_fini(&message);
}

static void put_sarif_rule(struct gw_buf *out, const struct dlp_rule_info *rule)
{
    gw_buf_printf(out, "{\"id\":\"%s\",\"shortDescription\":{\"text\":", rule->id);
    gw_buf_add_json_str(out, gw_span_str(rule->title));
    gw_buf_printf(out,
                  "},\"defaultConfiguration\":{\"level\":\"%s\"},\"properties\":{\"tags\":[\"%s\"],"
                  "\"severity\":\"%s\"}}",
                  level_of(rule, 100), gw_class_name(rule->class_), severity_name(rule->severity));
}

static void end_sarif(struct cmd_dlp_out *o, const struct cmd_dlp_totals *t)
{
    struct gw_buf out = {NULL, 0, 0, false};

    gw_buf_printf(&out,
                  "],\n\"columnKind\":\"unicodeCodePoints\",\n\"invocations\":[{"
                  "\"executionSuccessful\":%s}],\n\"tool\":{\"driver\":{\"name\":\"sluice\","
                  "\"version\":\"%s\",\"rules\":[",
                  t->n_unreadable == 0 ? "true" : "false", sluice_version());
    for (unsigned i = 1; i <= o->n_seen; i++) {
        for (unsigned r = 0; r < dlp_rules_count(o->rules); r++) {
            if (o->seen[r] != i)
                continue;
            gw_buf_adds(&out, i > 1 ? ",\n" : "\n");
            put_sarif_rule(&out, dlp_rules_info(o->rules, r));
        }
    }
    gw_buf_adds(&out, "]}}}]}\n");
    (void)fwrite(out.ptr, 1, out.len, o->out);
    gw_buf_fini(&out);
}

/* ---- one for all --------------------------------------------------------------------------- */

enum gw_status cmd_dlp_begin(struct cmd_dlp_out *o)
{
    o->seen = calloc(dlp_rules_count(o->rules) + 1, sizeof(*o->seen));
    if (o->seen == NULL)
        return GW_ENOMEM;
    if (o->format == CMD_DLP_SARIF)
        (void)fputs("{\"$schema\":\"https://json.schemastore.org/sarif-2.1.0.json\",\"version\":"
                    "\"2.1.0\",\"runs\":[{\"results\":[\n",
                    o->out);
    return GW_OK;
}

void cmd_dlp_put(struct cmd_dlp_out *o, const struct cmd_dlp_finding *f)
{
    static void (*const put[])(struct cmd_dlp_out *,
                               const struct cmd_dlp_finding *) = {put_text, put_json, put_sarif};

    put[o->format](o, f);
    o->n_results++;
}

void cmd_dlp_end(struct cmd_dlp_out *o, const struct cmd_dlp_totals *t)
{
    static void (*const end[])(struct cmd_dlp_out *,
                               const struct cmd_dlp_totals *) = {end_text, end_json, end_sarif};

    end[o->format](o, t);
    free(o->seen);
    o->seen = NULL;
}
