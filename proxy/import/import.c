/* proxy/import/import.c - see the header. */
#include "proxy/import/import.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/base64.h"
#include "dlp/author.h"
#include "proxy/import/import_regex.h"

enum { MAX_SAMPLES = 40, MAX_EXAMPLES = 8, MAX_ID = 64, MAX_TITLE = 160, MAX_REJECTS = 2000 };

/* One way to say a rule. */
struct attempt {
    const struct import_rule *r;
    struct import_regex regex;
    char id[MAX_ID + 1];
    unsigned confidence;
    struct gw_span match[MAX_EXAMPLES], no_match[MAX_EXAMPLES];
    unsigned n_match, n_no_match;
};

void import_note(struct import_run *x, const char *fmt, ...)
{
    char text[300];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (x->notes.len > 0)
        gw_buf_adds(&x->notes, "; ");
    gw_buf_adds(&x->notes, text);
}

/* ---- YAML ------------------------------------------------------------------------------- */

/* Text between single quotes, on one line. */
static void put_quoted(struct gw_buf *out, struct gw_span s)
{
    gw_buf_addc(out, '\'');
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] == '\'')
            gw_buf_addc(out, '\'');
        gw_buf_addc(out,
                    (char)((unsigned char)s.ptr[i] < ' ' || s.ptr[i] == 0x7f ? ' ' : s.ptr[i]));
    }
    gw_buf_addc(out, '\'');
}

static void put_list(struct gw_buf *out, const char *key, const struct gw_span *texts, unsigned n)
{
    if (n == 0)
        return;
    gw_buf_printf(out, "  %s:\n", key);
    for (unsigned i = 0; i < n; i++) {
        gw_buf_adds(out, "    - ");
        put_quoted(out, texts[i]);
        gw_buf_addc(out, '\n');
    }
}

/* In base64: examples of secrets look live, and may hold anything. */
static void put_examples(struct gw_buf *out, const char *key, const struct gw_span *texts,
                         unsigned n)
{
    if (n == 0)
        return;
    gw_buf_printf(out, "  %s:\n", key);
    for (unsigned i = 0; i < n; i++) {
        gw_buf_adds(out, "    - '");
        gw_base64(out, texts[i]);
        gw_buf_adds(out, "'\n");
    }
}

static void put_around(struct gw_buf *out, const struct attempt *a)
{
    const struct import_rule *r = a->r;

    if (a->regex.near.len > 0) {
        gw_buf_printf(out, "  near: { within: [%u, 0], required: true, boost: 0, pattern: ",
                      a->regex.near_within);
        put_quoted(out, a->regex.near);
        gw_buf_adds(out, " }\n");
    }
    if (r->n_words > 0) {
        gw_buf_adds(out, "  context: { words: [");
        for (unsigned i = 0; i < r->n_words; i++) {
            gw_buf_adds(out, i == 0 ? "" : ", ");
            put_quoted(out, r->words[i]);
        }
        gw_buf_printf(out, "], boost: %d", r->boost);
        if (r->lang.len > 0) {
            gw_buf_adds(out, ", lang: ");
            put_quoted(out, r->lang);
        }
        gw_buf_adds(out, " }\n");
    }
    put_list(out, "reject", r->rejects, r->n_rejects < MAX_REJECTS ? r->n_rejects : MAX_REJECTS);
}

static void put_rule(struct gw_buf *out, const struct attempt *a)
{
    const struct import_rule *r = a->r;
    struct gw_span title = r->title.len > 0 ? r->title : r->id;

    if (title.len > MAX_TITLE) {
        title.len = MAX_TITLE;
        while (title.len > 0 && ((unsigned char)title.ptr[title.len] & 0xC0) == 0x80)
            title.len--;
    }
    gw_buf_printf(out, "- id: %s\n  title: ", a->id);
    put_quoted(out, title);
    if (r->type.len > 0)
        gw_buf_printf(out, "\n  type: %.*s", (int)r->type.len, r->type.ptr);
    gw_buf_printf(out, "\n  class: %s\n  severity: %s\n", r->class_,
                  strcmp(r->class_, "secret") == 0 ? "high" : "medium");
    put_list(out, "patterns", a->regex.patterns, a->regex.n_patterns);
    if (a->regex.nocase)
        gw_buf_adds(out, "  flags: i\n");
    gw_buf_adds(out, "  boundary: none\n");
    if (r->entropy > 0)
        gw_buf_printf(out, "  validate: ['entropy(%g)']\n", r->entropy);
    put_around(out, a);
    gw_buf_printf(out, "  confidence: %u\n", a->confidence);
    put_examples(out, "match_b64", a->match, a->n_match);
    put_examples(out, "no_match_b64", a->no_match, a->n_no_match);
    gw_buf_addc(out, '\n');
}

/* ---- trying ----------------------------------------------------------------------------- */

/* Writes the rule alone to the trial file and opens it. */
static enum gw_status open_attempt(struct import_run *x, struct attempt *a, struct dlp_rules **out,
                                   struct gw_err *err)
{
    struct gw_buf yaml = {NULL, 0, 0, false};
    struct gw_span any = GW_SPAN("x");
    unsigned n_match = a->n_match;
    FILE *f = NULL;
    bool ok;

    if (n_match == 0) /* a rule must have one; it is not run */
        a->match[a->n_match++] = any;
    put_rule(&yaml, a);
    a->n_match = n_match;
    f = fopen(x->trial, "we");
    ok = f != NULL && gw_buf_ok(&yaml) && fwrite(yaml.ptr, 1, yaml.len, f) == yaml.len;
    if (f != NULL && fclose(f) != 0)
        ok = false;
    gw_buf_fini(&yaml);
    if (!ok)
        return gw_fail(err, GW_EIO, "%s: cannot write there", x->trial);
    return dlp_rules_open(&x->trial, 1, &(struct dlp_rules_options){.without_examples = true}, out,
                          err);
}

static bool finds(struct import_run *x, const struct dlp_rules *rules, struct gw_span text)
{
    struct gw_arena *arena = gw_arena_new((size_t)64 << 20);
    struct dlp_report report = {.findings = NULL};
    struct dlp_doc *doc = NULL;
    bool found = arena != NULL && dlp_doc_parse_text(arena, text, &doc) == GW_OK &&
                 dlp_scan(x->scanner, rules, doc, arena, NULL, &report) == GW_OK &&
                 report.n_findings > 0;

    gw_arena_free(arena);
    return found;
}

/* Keeps the examples of the source that do what they say. */
static void keep_examples(struct import_run *x, const struct dlp_rules *rules, struct attempt *a)
{
    unsigned wrong = 0;

    for (unsigned i = 0; i < a->r->n_match; i++) {
        if (!finds(x, rules, a->r->match[i]))
            wrong++;
        else if (a->n_match < MAX_EXAMPLES)
            a->match[a->n_match++] = a->r->match[i];
    }
    if (wrong > 0)
        import_note(x, "%u of %u examples are not found", wrong, a->r->n_match);
    wrong = 0;
    for (unsigned i = 0; i < a->r->n_no_match; i++) {
        if (finds(x, rules, a->r->no_match[i]))
            wrong++;
        else if (a->n_no_match < MAX_EXAMPLES)
            a->no_match[a->n_no_match++] = a->r->no_match[i];
    }
    if (wrong > 0)
        import_note(x, "%u of %u negative examples are found", wrong, a->r->n_no_match);
}

/* Draws texts from the pattern until the rule finds one. */
static enum gw_status draw_example(struct import_run *x, const struct dlp_rules *rules,
                                   struct attempt *a)
{
    struct gw_buf text = {NULL, 0, 0, false};
    enum gw_status st = GW_ENOENT;

    for (uint64_t seed = 1; seed <= MAX_SAMPLES && st == GW_ENOENT; seed++) {
        gw_buf_clear(&text);
        if (a->regex.near.len > 0 &&
            dlp_pattern_sample(a->regex.near, a->regex.nocase, seed, &text, NULL) == GW_OK)
            gw_buf_addc(&text, ' ');
        if (a->r->n_words > 0) {
            gw_buf_add(&text, a->r->words[0]);
            gw_buf_addc(&text, ' ');
        }
        /* The last shape is the plain one where the first ones stand at an end. */
        if (dlp_pattern_sample(a->regex.patterns[seed % a->regex.n_patterns], a->regex.nocase, seed,
                               &text, NULL) != GW_OK ||
            !finds(x, rules, gw_buf_span(&text)))
            continue;
        a->match[0] = gw_arena_copy(x->arena, gw_buf_span(&text));
        a->n_match = a->match[0].ptr == NULL ? 0 : 1;
        st = a->n_match == 1 ? GW_OK : GW_ENOMEM;
    }
    gw_buf_fini(&text);
    return st;
}

/* Translates, compiles and tries the rule in one way. *why gets the reason when it is not possible. */
static enum gw_status try_one(struct import_run *x, struct attempt *a,
                              const struct import_regex_options *o, struct gw_err *why)
{
    struct dlp_rules *rules = NULL;
    enum gw_status st;

    a->n_match = a->n_no_match = 0;
    GW_TRY(import_regex(x->arena, a->r->pattern, o, &a->regex, &x->notes, why));
    GW_TRY(open_attempt(x, a, &rules, why));
    keep_examples(x, rules, a);
    st = a->n_match > 0 ? GW_OK : draw_example(x, rules, a);
    if (st == GW_ENOENT)
        (void)gw_fail(why, st, "no text was drawn from its pattern that it finds");
    dlp_rules_unref(rules);
    return st;
}

/* ---- one rule --------------------------------------------------------------------------- */

/* prefix-id in our letters, which no other rule of the run has. */
static void make_id(const struct import_run *x, const struct import_rule *r, char id[MAX_ID + 1])
{
    char base[MAX_ID + 1], line[MAX_ID + 16];
    size_t n = strlen(r->prefix);

    memcpy(base, r->prefix, n);
    for (size_t i = 0; i < r->id.len && n < MAX_ID - 4; i++) {
        char c = gw_ascii_lower(r->id.ptr[i]);
        bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');

        if (plain)
            base[n++] = c;
        else if (n > 0 && base[n - 1] != '-')
            base[n++] = '-';
    }
    while (n > 0 && base[n - 1] == '-')
        n--;
    base[n] = '\0';
    (void)snprintf(id, MAX_ID + 1, "%s", base);
    for (unsigned k = 2; k < 1000; k++) {
        (void)snprintf(line, sizeof(line), "- id: %s\n", id);
        if (x->yaml.len == 0 || memmem(x->yaml.ptr, x->yaml.len, line, strlen(line)) == NULL)
            return;
        (void)snprintf(id, MAX_ID + 1, "%.*s-%u", MAX_ID - 4, base, k);
    }
}

static unsigned confidence_of(const struct attempt *a)
{
    if (a->r->confidence > 0)
        return a->r->confidence;
    return a->regex.has_secret ? 70 : 80;
}

enum gw_status import_add(struct import_run *x, const struct import_rule *r, struct gw_err *err)
{
    static const struct import_regex_options ways[] = {
        {.whole = false},
        {.whole = false, .split_gap = true},
        {.whole = true},
        {.whole = true, .split_gap = true},
    };
    size_t n_notes = x->notes.len;
    struct attempt a = {.r = r};
    struct gw_err first = {GW_OK, ""};
    enum gw_status st = GW_EUNSUPPORTED;

    make_id(x, r, a.id);
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]) && r->left_out == NULL; i++) {
        struct import_regex_options o = ways[i];
        struct gw_err why = {GW_OK, ""};

        o.secret_group = r->secret_group;
        x->notes.len = n_notes;
        a.confidence = r->confidence > 0 ? r->confidence : 75;
        st = try_one(x, &a, &o, &why);
        if (st == GW_OK && o.whole)
            import_note(x, "reports all of the match");
        if (st == GW_OK || st == GW_EIO)
            break;
        if (first.code == GW_OK)
            first = why;
    }
    if (st == GW_EIO)
        return gw_fail(err, st, "%s: cannot write there", x->trial);
    if (st == GW_OK) {
        a.confidence = confidence_of(&a);
        put_rule(&x->yaml, &a);
        x->n_carried++;
    } else {
        const char *colon = strstr(first.text, ": pattern");

        x->n_left++;
        x->report(x->ctx, r->id, "",
                  r->left_out != NULL ? r->left_out : (colon != NULL ? colon + 2 : first.text));
        gw_buf_clear(&x->notes);
        return GW_OK;
    }
    gw_buf_addc(&x->notes, '\0');
    x->report(x->ctx, r->id, x->notes.ptr == NULL ? "" : x->notes.ptr, NULL);
    gw_buf_clear(&x->notes);
    return gw_buf_ok(&x->yaml) ? GW_OK : gw_fail(err, GW_ENOMEM, "out of memory");
}
