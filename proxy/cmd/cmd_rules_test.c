/* proxy/cmd/cmd_rules_test.c - sluice rules test: examples, texts for people, JSON Lines for machines.
 * One thread; memory does not grow with the number of lines. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "proxy/cli.h"
#include "proxy/cmd/cmd_rules.h"

enum { ARENA_BYTES = 1 << 30 };

/* What all inputs of one command share. */
struct tester {
    struct dlp_rules *rules;
    struct dlp_scanner *scanner;
    struct gw_arena *arena; /* emptied for each text */
    struct gw_json *json;
    struct gw_buf in, text, id, out;
    uint64_t n_findings;
};

static enum gw_status scan(struct tester *t, struct gw_span text, bool alternatives,
                           struct dlp_report *report)
{
    const struct dlp_scan_limits limits = {.alternatives = alternatives};
    struct dlp_doc *doc = NULL;

    gw_arena_reset(t->arena);
    GW_TRY(dlp_doc_parse_text(t->arena, text, &doc));
    return dlp_scan(t->scanner, t->rules, doc, t->arena, &limits, report);
}

/* ---- examples --------------------------------------------------------------------------- */

static void print_failure(void *ctx, const struct dlp_example_failure *f)
{
    (void)ctx;
    printf("%sFAIL%s  %s:%u: rule %s: %s\n", cli_paint(stdout, "red"), cli_paint(stdout, "reset"),
           f->file, f->line, f->rule,
           f->should_match ? "this match example is not found"
                           : "something is found in this no_match example");
}

static int run_examples(struct dlp_rules *r)
{
    unsigned n_run = 0, n_failed = dlp_rules_selftest(r, &n_run, print_failure, NULL);

    printf("%u rules, %u examples, %u failed\n", dlp_rules_count(r), n_run, n_failed);
    return n_failed == 0 ? 0 : 1;
}

/* ---- for people ------------------------------------------------------------------------- */

static int print_findings(struct tester *t, const char *name, struct gw_span text)
{
    struct dlp_report report;
    struct cmd_rules_place place = {.line = 1};
    enum gw_status st = scan(t, text, false, &report);

    if (st != GW_OK)
        return cli_fail("rules test", 1, "%s: %s while scanning; split the file", name,
                        gw_status_name(st));
    for (unsigned i = 0; i < report.n_findings; i++) {
        const struct dlp_finding *f = &report.findings[i];
        const struct dlp_rule_info *rule = dlp_rules_info(t->rules, f->rule);

        cmd_rules_place_move(&place, text, f->start);
        gw_buf_clear(&t->out);
        cmd_rules_mask((struct gw_span){text.ptr + f->start, f->end - f->start}, &t->out);
        printf("%s%s:%u:%u%s  %s  %s  %u  %.*s\n", cli_paint(stdout, "bold"), name, place.line,
               place.column, cli_paint(stdout, "reset"), rule->id, gw_class_name(rule->class_),
               f->confidence, (int)t->out.len, t->out.ptr == NULL ? "" : t->out.ptr);
    }
    t->n_findings += report.n_findings;
    return 0;
}

static int test_text(struct tester *t, const char *name, FILE *f)
{
    int status = cmd_rules_read("rules test", name, f, &t->in);

    return status != 0 ? status : print_findings(t, name, gw_buf_span(&t->in));
}

/* ---- JSON Lines ------------------------------------------------------------------------- */

/* Decodes a string token into b. */
static void decode(const struct gw_json_tok *tok, struct gw_buf *b)
{
    gw_buf_clear(b);
    if (gw_buf_reserve(b, tok->raw.len))
        b->len = gw_json_decode(tok->raw, b->ptr);
}

/* Reads id (as it stands) and text (decoded) out of one line. */
static enum gw_status read_line(struct tester *t, struct gw_span line, bool *has_text,
                                struct gw_err *err)
{
    struct gw_json_tok tok;
    struct gw_buf key = {NULL, 0, 0, false};
    enum gw_json_type type = GW_JSON_END;

    *has_text = false;
    gw_buf_clear(&t->id);
    gw_json_start(t->json, line, NULL);
    if (gw_json_next(t->json, &tok) != GW_JSON_OBJECT_BEGIN)
        return tok.type == GW_JSON_ERROR ? gw_json_error(t->json, err)
                                         : gw_fail(err, GW_EINVAL, "not an object");
    while ((type = gw_json_next(t->json, &tok)) == GW_JSON_KEY) {
        decode(&tok, &key);
        type = gw_json_next(t->json, &tok);
        if (gw_span_is(gw_buf_span(&key), "text") && type == GW_JSON_STRING) {
            decode(&tok, &t->text);
            *has_text = true;
        } else if (gw_span_is(gw_buf_span(&key), "id") &&
                   (type == GW_JSON_STRING || type == GW_JSON_NUMBER)) {
            gw_buf_add(&t->id, (struct gw_span){line.ptr + tok.start, tok.end - tok.start});
        } else if (!gw_json_skip(t->json, &tok)) {
            break;
        }
    }
    if (type == GW_JSON_OBJECT_END)
        type = gw_json_next(t->json, &tok);
    gw_buf_fini(&key);
    return type == GW_JSON_END ? GW_OK : gw_json_error(t->json, err);
}

/* A place in a text, in bytes and in characters. */
struct place {
    size_t byte, chars;
};

static void move_to(struct place *p, struct gw_span text, size_t byte)
{
    for (; p->byte < byte; p->byte++)
        p->chars += ((unsigned char)text.ptr[p->byte] & 0xC0) != 0x80;
}

/* Appends the findings with offsets in characters. */
static void write_findings(struct tester *t, struct gw_span text, const struct dlp_report *report)
{
    struct place start = {0, 0}, end = {0, 0};

    gw_buf_clear(&t->out);
    gw_buf_adds(&t->out, "{\"id\":");
    gw_buf_add(&t->out, t->id.len > 0 ? gw_buf_span(&t->id) : GW_SPAN("null"));
    gw_buf_adds(&t->out, ",\"findings\":[");
    for (unsigned i = 0; i < report->n_findings; i++) {
        const struct dlp_finding *f = &report->findings[i];
        const struct dlp_rule_info *rule = dlp_rules_info(t->rules, f->rule);

        /* They ascend by start, but what else a span may be, or was in another view, lies over others. */
        move_to(&start, text, f->start);
        if (end.byte > f->end || end.byte < start.byte)
            end = start;
        move_to(&end, text, f->end);
        gw_buf_printf(
            &t->out,
            "%s{\"type\":\"%s\",\"rule\":\"%s\",\"class\":\"%s\",\"start\":%zu,\"end\":%zu,"
            "\"confidence\":%u,\"view\":\"%s\"}",
            i == 0 ? "" : ",", rule->type, rule->id, gw_class_name(rule->class_), start.chars,
            end.chars, f->confidence, dlp_view_name(f->view));
    }
    gw_buf_addc(&t->out, ']');
    if (report->cut != 0) {
        gw_buf_adds(&t->out, ",\"cut\":\"");
        dlp_cut_names(report->cut, &t->out);
        gw_buf_addc(&t->out, '"');
    }
    gw_buf_adds(&t->out, "}\n");
}

static int test_line(struct tester *t, const char *name, unsigned long number, struct gw_span line)
{
    struct dlp_report report;
    struct gw_err err;
    bool has_text = false;
    enum gw_status st = read_line(t, line, &has_text, &err);

    if (st != GW_OK)
        return cli_fail("rules test", 1, "%s:%lu: %s", name, number, err.text);
    if (!has_text)
        return cli_fail("rules test", 1, "%s:%lu: no \"text\" string in the object", name, number);
    st = scan(t, gw_buf_span(&t->text), true, &report);
    if (st != GW_OK)
        return cli_fail("rules test", 1, "%s:%lu: %s while scanning", name, number,
                        gw_status_name(st));
    write_findings(t, gw_buf_span(&t->text), &report);
    if (!gw_buf_ok(&t->out) || fwrite(t->out.ptr, 1, t->out.len, stdout) != t->out.len)
        return cli_fail("rules test", 1, "cannot write the findings");
    return 0;
}

static int test_lines(struct tester *t, const char *name, FILE *f)
{
    char *line = NULL;
    size_t cap = 0;
    ssize_t n = 0;
    int status = 0;

    for (unsigned long number = 1; status == 0 && (n = getline(&line, &cap, f)) >= 0; number++) {
        while (n > 0 && (line[n - 1] == '\n' || line[n - 1] == '\r'))
            n--;
        if (n > 0)
            status = test_line(t, name, number, (struct gw_span){line, (size_t)n});
    }
    if (status == 0 && ferror(f))
        status = cli_fail("rules test", 1, "%s: reading failed", name);
    free(line);
    return status;
}

/* ---- the command ------------------------------------------------------------------------ */

static int test_input(struct tester *t, const char *name, bool json)
{
    bool is_stdin = strcmp(name, "-") == 0;
    FILE *f = is_stdin ? stdin : fopen(name, "re");
    int status = 0;

    if (f == NULL)
        return cli_fail("rules test", 1, "%s: %s; give a readable file, or - for standard input",
                        name, strerrorname_np(errno));
    status = json ? test_lines(t, is_stdin ? "<stdin>" : name, f)
                  : test_text(t, is_stdin ? "<stdin>" : name, f);
    if (!is_stdin)
        (void)fclose(f);
    return status;
}

static int test_inputs(struct tester *t, const struct cmd_rules_args *a)
{
    int status = 0;

    t->scanner = dlp_scanner_new();
    t->arena = gw_arena_new(ARENA_BYTES);
    t->json = gw_json_new();
    if (t->scanner == NULL || t->arena == NULL || t->json == NULL)
        return cli_fail("rules test", 1, "out of memory");
    for (unsigned i = 0; i < a->n_files && status == 0; i++)
        status = test_input(t, a->files[i], a->json);
    if (a->n_files == 0)
        status = test_input(t, "-", true);
    if (status == 0 && !a->json)
        (void)fprintf(stderr, "%llu findings\n", (unsigned long long)t->n_findings);
    return fflush(stdout) == 0 ? status : cli_fail("rules test", 1, "cannot write the findings");
}

int cmd_rules_test(const struct cmd_rules_args *a)
{
    struct tester t = {.rules = NULL};
    struct gw_err err;
    int status = 0;

    if (cmd_rules_open(a, &t.rules, &err) != GW_OK)
        return cli_fail_err("rules test", &err);
    status = a->n_files == 0 && !a->json ? run_examples(t.rules) : test_inputs(&t, a);
    gw_buf_fini(&t.in);
    gw_buf_fini(&t.text);
    gw_buf_fini(&t.id);
    gw_buf_fini(&t.out);
    gw_json_free(t.json);
    gw_arena_free(t.arena);
    dlp_scanner_free(t.scanner);
    dlp_rules_unref(t.rules);
    return status;
}
