/* Unit tests of proxy/answer/filter.c: scanned, then restored; growing texts and whole answers. */
#include <string.h>

#include "proxy/answer/filter.h"
#include "tests/test.h"

#define KEY                                                                                        \
    "AKIA"                                                                                         \
    "QXJ7TPL4MZ3NWVYB"
#define MAIL "jane.doe@acme-corp.org"

static struct dlp_scanner *scanner;
static struct dlp_rules *rules;
static struct dlp_vault *vault;
static char placeholder[128];
static enum gw_action action;
static unsigned n_decided;

static enum gw_action decide(void *ctx, const struct dlp_guard_finding *f)
{
    (void)ctx;
    n_decided++;
    CHECK(f->already_out == 0);
    return dlp_rules_info(rules, f->rule)->class_ == GW_CLASS_SECRET ? action : GW_ACTION_ALERT;
}

static bool make_vault(void)
{
    struct gw_arena *arena = gw_arena_new(8 << 20);
    struct dlp_doc *doc = NULL;
    struct dlp_report report = {0};
    struct gw_buf out = {0};
    enum gw_action actions[64];
    bool ok;

    vault = dlp_vault_new(GW_SPAN("key"));
    for (unsigned i = 0; i < 64; i++)
        actions[i] = GW_ACTION_TOKENIZE;
    ok = dlp_doc_parse_text(arena, GW_SPAN(MAIL), &doc) == GW_OK &&
         dlp_scan(scanner, rules, doc, arena, NULL, &report) == GW_OK && report.n_findings == 1 &&
         dlp_doc_edit(doc, rules, &report, actions, vault, &out) == GW_OK && out.len < 100;
    if (ok)
        memcpy(placeholder, out.ptr, out.len);
    gw_buf_fini(&out);
    gw_arena_free(arena);
    return ok;
}

static struct filter_config config(bool scan, bool restore)
{
    return (struct filter_config){.vault = restore ? vault : NULL,
                                  .scanner = scan ? scanner : NULL,
                                  .rules = rules,
                                  .decide = decide};
}

static void test_growing(void)
{
    struct filter_config cfg = config(true, true);
    struct gw_buf text = {0}, out = {0};
    struct filter *f = filter_new(&cfg, 0);

    /* What is put back is the user's own: no finding. */
    gw_buf_printf(&text, "Dear %s, your key is " KEY ".", placeholder);
    action = GW_ACTION_REDACT;
    n_decided = 0;
    for (size_t i = 0; i < text.len; i++)
        CHECK(filter_feed(f, (struct gw_span){text.ptr + i, 1}, &out) == GW_OK);
    CHECK(filter_held(f) > 0);
    CHECK(filter_finish(f, &out) == GW_OK && filter_held(f) == 0);
    CHECK(gw_span_is(gw_buf_span(&out), "Dear " MAIL ", your key is DLP_AWS_ACCESS_KEY_REDACTED."));
    CHECK(filter_restored(f) == 1 && n_decided == 1);
    filter_free(f);

    action = GW_ACTION_BLOCK;
    gw_buf_clear(&out);
    f = filter_new(&cfg, 0);
    gw_buf_addc(&text, ' ');
    CHECK(filter_feed(f, gw_buf_span(&text), &out) == GW_EDENIED);
    CHECK(memmem(out.ptr, out.len, "AKIA", 4) == NULL);
    filter_free(f);

    cfg = config(false, false); /* nothing to do */
    gw_buf_clear(&out);
    f = filter_new(&cfg, 1);
    CHECK(filter_feed(f, GW_SPAN("as it "), &out) == GW_OK);
    CHECK(filter_release(f, &out) == GW_OK && filter_held(f) == 0);
    CHECK(filter_feed(f, GW_SPAN("is"), &out) == GW_OK && filter_finish(f, &out) == GW_OK);
    CHECK(gw_span_is(gw_buf_span(&out), "as it is") && filter_restored(f) == 0);
    filter_free(f);
    filter_free(NULL);

    cfg = config(true, false);
    gw_buf_clear(&out);
    f = filter_new(&cfg, 0);
    CHECK(filter_is_empty(f));
    CHECK(filter_feed(f, GW_SPAN("so far"), &out) == GW_OK && filter_held(f) > 0);
    CHECK(!filter_is_empty(f));
    CHECK(filter_release(f, &out) == GW_OK && filter_held(f) == 0);
    CHECK(gw_span_is(gw_buf_span(&out), "so far"));
    filter_free(f);
    gw_buf_fini(&text);
    gw_buf_fini(&out);
}

/* Appends format with ^ for the placeholder. */
static void put(struct gw_buf *out, const char *format)
{
    for (; *format != '\0'; format++) {
        if (*format == '^')
            gw_buf_adds(out, placeholder);
        else
            gw_buf_addc(out, *format);
    }
}

/* A whole answer; ^ stands for the placeholder. */
static void whole(bool scan, const char *format, enum gw_status st, const char *want_format)
{
    struct filter_config cfg = config(scan, true);
    struct gw_arena *arena = gw_arena_new(16 << 20);
    struct gw_buf body = {0}, out = {0}, want = {0};
    unsigned n = 0;

    put(&body, format);
    put(&want, want_format);
    if (!CHECK(filter_json(&cfg, arena, gw_buf_span(&body), &out, &n) == st) ||
        (st == GW_OK && !CHECK(gw_span_eq(gw_buf_span(&out), gw_buf_span(&want)))))
        fprintf(stderr, "  got %.*s\n  want %s\n", (int)out.len, out.ptr, want_format);
    gw_buf_fini(&body);
    gw_buf_fini(&out);
    gw_buf_fini(&want);
    gw_arena_free(arena);
}

static void test_whole(void)
{
    action = GW_ACTION_REDACT;
    whole(true, "{\"a\": \"to ^\" , \"b\":[1.50,\"" KEY "\"]}", GW_OK,
          "{\"a\": \"to " MAIL "\" , \"b\":[1.50,\"DLP_AWS_ACCESS_KEY_REDACTED\"]}");
    whole(false, "{\"a\": \"to ^\" , \"b\":[1.50,\"" KEY "\"]}", GW_OK,
          "{\"a\": \"to " MAIL "\" , \"b\":[1.50,\"" KEY "\"]}");
    whole(true, "{\"arguments\":\"{\\\"to\\\":\\\"^\\\",\\\"k\\\":\\\"" KEY "\\\"}\"}", GW_OK,
          "{\"arguments\":\"{\\\"to\\\":\\\"" MAIL
          "\\\",\\\"k\\\":\\\"DLP_AWS_ACCESS_KEY_REDACTED\\\"}\"}");
    whole(true, "{\"a\":\"nothing\",\"a\":\"twice\"}", GW_OK,
          "{\"a\":\"nothing\",\"a\":\"twice\"}");
    /* Token by token, and as numbers, it would still be there. */
    whole(true,
          "{\"c\":[{\"text\":\"" KEY
          "\",\"logprobs\":{\"content\":[{\"token\":\"AK\",\"bytes\":[65,75]}]},"
          "\"x\":1},{\"logprobs\":[{\"logprobs\":1}]},{\"logprobs\":null}]}",
          GW_OK,
          "{\"c\":[{\"text\":\"DLP_AWS_ACCESS_KEY_REDACTED\",\"logprobs\":null,\"x\":1},"
          "{\"logprobs\":[]},{\"logprobs\":null}]}");
    whole(true, "{\"text\":\"^\",\"logprobs\":{\"a\":1}}", GW_OK,
          "{\"text\":\"" MAIL "\",\"logprobs\":{\"a\":1}}");
    whole(true, "not JSON ^", GW_EPARSE, "");
    action = GW_ACTION_BLOCK;
    whole(true, "{\"a\":\"^ " KEY "\"}", GW_EDENIED, "");
    action = GW_ACTION_ALERT;
    whole(true, "{\"a\":\"^ " KEY "\"}", GW_OK, "{\"a\":\"" MAIL " " KEY "\"}");
}

/* Answers that are no JSON. */
static void plain(bool scan, const char *format, enum gw_status st, const char *want_format)
{
    struct filter_config cfg = config(scan, true);
    struct gw_buf body = {0}, out = {0}, want = {0};
    unsigned n = 0;

    put(&body, format);
    put(&want, want_format);
    if (!CHECK(filter_plain(&cfg, gw_buf_span(&body), &out, &n) == st) ||
        (st == GW_OK && !CHECK(gw_span_eq(gw_buf_span(&out), gw_buf_span(&want)))))
        fprintf(stderr, "  got %.*s\n  want %s\n", (int)out.len, out.ptr, want_format);
    CHECK(st != GW_OK || (n == 1) == (strchr(format, '^') != NULL));
    gw_buf_fini(&body);
    gw_buf_fini(&out);
    gw_buf_fini(&want);
}

static void test_plain(void)
{
    action = GW_ACTION_REDACT;
    plain(true, "<h1>502</h1> \xFF to ^ with " KEY, GW_OK,
          "<h1>502</h1> \xFF to " MAIL " with DLP_AWS_ACCESS_KEY_REDACTED");
    plain(false, "to ^ with " KEY, GW_OK, "to " MAIL " with " KEY);
    plain(true, "", GW_OK, "");
    plain(true,
          " {\"cut\": \"to ^, \\u0041KIA"
          "QYLPMN5HFIQR7XYA",
          GW_OK, " {\"cut\": \"to " MAIL ", DLP_AWS_ACCESS_KEY_REDACTED");
    action = GW_ACTION_BLOCK;
    plain(true, "with " KEY, GW_EDENIED, "");
}

/* What a provider has signed stays as it is, or ends the answer. */
static void test_signed(void)
{
    action = GW_ACTION_MASK;
    whole(true,
          "{\"content\":[{\"type\":\"thinking\",\"thinking\":\"to ^\",\"signature\":\"c2ln\"},{"
          "\"type\":\"text\",\"text\":\"" KEY
          " to ^\"},{\"signature\":\"c2ln\",\"thinking\":\"^\"}]}",
          GW_OK,
          "{\"content\":[{\"type\":\"thinking\",\"thinking\":\"to ^\",\"signature\":\"c2ln\"},{"
          "\"type\":\"text\",\"text\":\"******************** to " MAIL
          "\"},{\"signature\":\"c2ln\",\"thinking\":\"^\"}]}");
    whole(true,
          "{\"content\":[{\"signature\":\"c2ln\",\"type\":\"thinking\",\"thinking\":\"" KEY "\"}]}",
          GW_EDENIED, "");
    /* A tool's argument of that name is no such block; one without a signature is, as it is in a stream, where nobody
     * knows yet. */
    whole(true, "{\"input\":{\"thinking\":\"to ^\"},\"b\":{\"thinking\":\"^\",\"signature\":\"\"}}",
          GW_OK,
          "{\"input\":{\"thinking\":\"to " MAIL "\"},\"b\":{\"thinking\":\"" MAIL
          "\",\"signature\":\"\"}}");
    whole(true, "[{\"type\":\"thinking\",\"thinking\":\"^\"},\"^\"]", GW_OK,
          "[{\"type\":\"thinking\",\"thinking\":\"^\"},\"" MAIL "\"]");
    /* What nobody but its provider reads is no text. */
    whole(true,
          "[{\"type\":\"redacted_thinking\",\"data\":\"" KEY "\"},{\"thoughtSignature\":\"" KEY
          "\"},{\"encrypted_content\":\"" KEY "\"},{\"signature\":\"" KEY
          "\",\"type\":\"thinking\",\"thinking\":\"a\"},{\"data\":\"" KEY "\"}]",
          GW_OK,
          "[{\"type\":\"redacted_thinking\",\"data\":\"" KEY "\"},{\"thoughtSignature\":\"" KEY
          "\"},{\"encrypted_content\":\"" KEY "\"},{\"signature\":\"" KEY
          "\",\"type\":\"thinking\",\"thinking\":\"a\"},{\"data\":\"********************\"}]");
}

/* The beginning of a placeholder is held, and no timer lets it go. */
static void test_half(void)
{
    struct filter_config cfg = config(false, true);
    struct filter *f = filter_new(&cfg, 0);
    struct gw_buf out = {0};

    CHECK(filter_feed(f, GW_SPAN("to DLP_E"), &out) == GW_OK);
    CHECK(filter_held(f) == 0 && !filter_is_empty(f) && filter_release(f, &out) == GW_OK);
    CHECK(gw_span_is(gw_buf_span(&out), "to "));
    CHECK(filter_finish(f, &out) == GW_OK && filter_is_empty(f));
    CHECK(gw_span_is(gw_buf_span(&out), "to DLP_E"));
    gw_buf_fini(&out);
    filter_free(f);
}

int main(void)
{
    scanner = dlp_scanner_new();
    rules = dlp_rules_builtin();
    if (!CHECK(make_vault()))
        return test_done();
    test_growing();
    test_half();
    test_whole();
    test_plain();
    test_signed();
    dlp_vault_free(vault);
    dlp_scanner_free(scanner);
    return test_done();
}
