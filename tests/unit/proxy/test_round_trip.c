/* Every case of the detection samples hidden and given back: what leaves is JSON that differs only where something was found and
 * holds none of it; echoed by a stream of any dialect, in its texts and in arguments of tools, cut anywhere, it is the client's
 * own again, byte for byte. With placeholders that are names and with those that keep their shape.
 *
 * usage: test_round_trip [all]: every case in every kind of stream instead of a part of them. */
#include <stdio.h>

#include "base/json_tree.h"
#include "tests/unit/dlp/doc_help.h"
#include "tests/unit/proxy/restream_help.h"

enum { MAX_STREAMED = 1500, MAX_FINDINGS = 2000 };

static uint32_t seed = 11;
static unsigned n_cases, n_found, n_streams, n_shaped;

static uint32_t draw(uint32_t below)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % below;
}

/* A request that says the text and has it in the arguments of a call. */
static void make_body(struct gw_span text, struct gw_buf *out)
{
    struct gw_buf args = {0};

    gw_buf_adds(&args, "{\"v\":");
    gw_buf_add_json_str(&args, text);
    gw_buf_adds(&args, "}");
    gw_buf_adds(out, "{\"messages\":[{\"role\":\"user\",\"content\":");
    gw_buf_add_json_str(out, text);
    gw_buf_adds(out, "},{\"role\":\"assistant\",\"tool_calls\":[{\"function\":{\"arguments\":");
    gw_buf_add_json_str(out, gw_buf_span(&args));
    gw_buf_adds(out, "}}]}]}");
    gw_buf_fini(&args);
}

static struct gw_span member_of(const struct dlp_doc *doc, const char *key_name)
{
    unsigned n;
    const struct dlp_leaf *leaves = doc_help_leaves(doc, &n);

    for (unsigned i = 0; i < n; i++)
        if (leaves[i].kind == DLP_LEAF_STRING && leaves[i].nesting == 0 &&
            gw_span_is(leaves[i].key, key_name))
            return leaves[i].text;
    return (struct gw_span){NULL, 0};
}

/* ---- what leaves ------------------------------------------------------------------------------ */

/* Is the value, which was found at some place, at one where nothing was hidden? Then no rule finds it there: what stands
 * around it tells it apart. */
static bool stands_unfound(const struct dlp_doc *after, struct gw_span value,
                           const struct dlp_report *again)
{
    for (unsigned i = 0; i < again->n_findings; i++) {
        const struct dlp_finding *f = &again->findings[i];
        const struct gw_span left = {dlp_doc_leaf(after, f->leaf).text.ptr + f->start,
                                     f->end - f->start};

        if (memmem(left.ptr, left.len, value.ptr, value.len) != NULL)
            return false;
    }
    return true;
}

static bool has_text(const struct dlp_doc *doc, struct gw_span value)
{
    unsigned n;
    const struct dlp_leaf *leaves = doc_help_leaves(doc, &n);

    for (unsigned i = 0; i < n; i++)
        if (leaves[i].kind != DLP_LEAF_JOINED &&
            memmem(leaves[i].text.ptr, leaves[i].text.len, value.ptr, value.len) != NULL)
            return true;
    return false;
}

/* Nothing that was found with some certainty is left where a rule would find it; weak rules may find more when a text around a
 * value got shorter. */
static bool is_clean(const struct dlp_doc *doc, const struct dlp_report *report,
                     const struct dlp_doc *after, struct gw_arena *arena)
{
    struct dlp_report again = {0};

    if (!CHECK(dlp_scan(scanner, rules, after, arena, NULL, &again) == GW_OK))
        return false;
    for (unsigned i = 0; i < report->n_findings; i++) {
        const struct dlp_finding *f = &report->findings[i];
        struct gw_span value = {dlp_doc_leaf(doc, f->leaf).text.ptr + f->start, f->end - f->start};

        if (f->confidence >= 60 && value.len >= 8 && has_text(after, value) &&
            !stands_unfound(after, value, &again)) {
            fprintf(stderr, "  left: %.*s\n", (int)value.len, value.ptr);
            return false;
        }
    }
    return true;
}

/* ---- what comes back ---------------------------------------------------------------------------- */

/* The text as the model would say it again, in pieces of its own, on a wire that cuts anywhere. */
static void echo(const struct shape *s, struct gw_span sent, struct gw_span own)
{
    size_t cuts[64];
    unsigned n = 0;
    struct gw_buf in = {0};
    struct run run = {.step = 1 + draw(300)};

    for (size_t at = draw(40); at < sent.len && n < 64; at += 1 + draw(40))
        if (((unsigned char)sent.ptr[at] & 0xC0) != 0x80) /* models say whole characters */
            cuts[n++] = at;
    make_stream(s, sent, cuts, n, &in);
    CHECK(pass(gw_buf_span(&in), s->dialect, false, &run) == GW_OK);
    CHECK(reads_as(s, gw_buf_span(&run.out), own));
    n_streams++;
    gw_buf_fini(&in);
    gw_buf_fini(&run.out);
}

static void echo_all(const struct dlp_doc *doc, const struct dlp_doc *after, bool all)
{
    unsigned first = draw(N_SHAPES);

    for (unsigned i = 0; i < (all ? N_SHAPES : 1); i++) {
        const struct shape *s = &shapes[(first + i) % N_SHAPES];
        const char *name = s->nested ? "arguments" : "content";
        struct gw_span sent = member_of(after, name), own = member_of(doc, name);

        if (sent.len <= MAX_STREAMED && own.len <= MAX_STREAMED)
            echo(s, sent, own);
    }
}

static void round_trip(struct gw_span body, const struct dlp_doc *doc,
                       const struct dlp_report *report, uint8_t style, struct gw_arena *arena,
                       bool all)
{
    static enum gw_action actions[MAX_FINDINGS];
    static uint8_t styles[MAX_FINDINGS];
    struct gw_buf out = {0}, back = {0};
    struct dlp_doc *after;

    for (unsigned i = 0; i < report->n_findings; i++) {
        actions[i] = GW_ACTION_TOKENIZE;
        styles[i] = style;
    }
    vault = dlp_vault_new(GW_SPAN("somebody's"));
    CHECK(dlp_vault_avoid(vault, &doc, 1) == GW_OK);
    CHECK(dlp_doc_edit_styled(doc, rules, report, actions, styles, vault, &out) == GW_OK);
    CHECK(dlp_restore_json(vault, gw_buf_span(&out), &back, NULL) == GW_OK);
    if (!CHECK(gw_span_eq(gw_buf_span(&back), body)))
        fprintf(stderr, "  own  %.*s\n  sent %s\n  back %s\n", (int)body.len, body.ptr, out.ptr,
                back.ptr);
    n_shaped += style == DLP_STYLE_SHAPE && memmem(out.ptr, out.len, "DLP_", 4) == NULL;
    if (CHECK(dlp_doc_parse_json(arena, gw_buf_span(&out), NULL, &after, NULL) == GW_OK)) {
        CHECK(is_clean(doc, report, after, arena));
        echo_all(doc, after, all);
    }
    gw_buf_fini(&out);
    gw_buf_fini(&back);
    dlp_vault_free(vault);
    vault = NULL;
}

static void take_case(struct gw_span text, bool all)
{
    struct gw_arena *arena = gw_arena_new((size_t)32 << 20);
    struct gw_buf body = {0};
    struct dlp_doc *doc;
    struct dlp_report report = {0};

    make_body(text, &body);
    if (CHECK(dlp_doc_parse_json(arena, gw_buf_span(&body), NULL, &doc, NULL) == GW_OK) &&
        CHECK(dlp_scan(scanner, rules, doc, arena, NULL, &report) == GW_OK) &&
        report.n_findings != 0 && report.n_findings <= MAX_FINDINGS) {
        n_found++;
        round_trip(gw_buf_span(&body), doc, &report, DLP_STYLE_NAME, arena, all);
        round_trip(gw_buf_span(&body), doc, &report, DLP_STYLE_SHAPE, arena, all);
    }
    n_cases++;
    gw_buf_fini(&body);
    gw_arena_free(arena);
}

/* Each line of a file of cases has its text; one in `step` is taken. */
static bool take_file(const char *name, unsigned step, bool all)
{
    char path[128], *line = NULL;
    size_t cap = 0;
    ssize_t len;
    unsigned i = 0;
    FILE *f;

    (void)snprintf(path, sizeof(path), "../shared/dlp-dev/%s.jsonl", name);
    f = fopen(path, "re");
    if (f == NULL)
        return false;
    while ((len = getline(&line, &cap, f)) > 0) {
        struct gw_arena *arena;
        struct gw_json_node *root;

        if (i++ % step != 0)
            continue;
        arena = gw_arena_new((size_t)16 << 20);
        if (CHECK(gw_json_tree(json, arena, (struct gw_span){line, (size_t)len}, NULL, &root,
                               NULL) == GW_OK))
            take_case(gw_json_text(gw_json_get(root, "text"), arena), all);
        gw_arena_free(arena);
    }
    free(line);
    (void)fclose(f);
    return true;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        unsigned step; /* where not all are taken */
    } files[] = {{"gitleaks_rules", 4},
                 {"noseyparker_rules", 2},
                 {"titus_rules", 4},
                 {"credsweeper_samples", 1},
                 {"presidio_recognizers", 4},
                 {"presidio_research_synth_dataset_v2", 4},
                 {"stdnum", 20},
                 {"phones", 10}};
    bool all = argc > 1 && strcmp(argv[1], "all") == 0, any = false;

    scanner = dlp_scanner_new();
    rules = dlp_rules_builtin();
    json = gw_json_new();
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
        any = take_file(files[i].name,
                        all                  ? 1
                        : TEST_DRAWS(1) == 0 ? files[i].step * 4
                                             : files[i].step,
                        all) ||
              any;
    if (any) {
        printf("%u cases, %u with findings, %u streams, %u shapes\n", n_cases, n_found, n_streams,
               n_shaped);
        CHECK(n_found > 100 && n_shaped > 100);
    } else {
        test_skip("../shared/dlp-dev is not there");
    }
    gw_json_free(json);
    dlp_scanner_free(scanner);
    return test_done();
}
