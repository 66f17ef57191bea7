/* Tests of the records: each kind with every field and with none, hostile contents, limits; judged by the
 * OCSF schema where the shared data lies beside the repository. */
#include "audit/event.h"
#include "audit/spool_format.h"
#include "base/clock.h"
#include "base/json.h"
#include "tests/unit/audit/util.h"

static const char schema[] = "../shared/ocsf/ocsf-1.8.0-gateway-classes.json";
static FILE *out; /* every record, a line each, for the schema check */
static char out_path[300];
static struct event_source src;

/* Fills every span of an event with text and every number with n. */
static struct audit_event filled(enum audit_kind kind, struct gw_span text, unsigned n)
{
    static struct gw_span groups[200];
    static struct audit_attempt attempts[AUDIT_MAX_ATTEMPTS + 1];

    for (size_t i = 0; i < sizeof(attempts) / sizeof(attempts[0]); i++)
        attempts[i] = (struct audit_attempt){.target = text,
                                             .endpoint = text,
                                             .outcome = text,
                                             .status = 503,
                                             .us = n,
                                             .hedge = n % 2 != 0,
                                             .prompt_tokens = n,
                                             .completion_tokens = n,
                                             .usage_estimated = true,
                                             .has_cost = true,
                                             .cost_nano = n};
    for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++)
        groups[i] = text;
    return (struct audit_event){
        .kind = kind,
        .time_ms = 1795255086412,
        .request_id = text.len > EVENT_ID_BYTES ? (struct gw_span){text.ptr, EVENT_ID_BYTES} : text,
        .tenant = text,
        .auth = text,
        .team = text,
        .user = text,
        .credential_id = text,
        .user_agent = text,
        .client_ip = text,
        .groups = groups,
        .n_groups = n,
        .client_port = (uint16_t)n,
        .ingress = GW_INGRESS_PROXY,
        .operation = text,
        .http_method = text,
        .http_path = text,
        .host = text,
        .model = text,
        .body_bytes = n,
        .body_hmac = text,
        .payload_level = text,
        .payload = GW_SPAN("{\"form\":\"AES-256-GCM\"}"),
        .masked = text,
        .stream = true,
        .action = GW_ACTION_REDACT,
        .blocked = true,
        .target = text,
        .target_zone = text,
        .route_reason = text,
        .reason_text = text,
        .policy_line = text,
        .target_model = text,
        .sensitivity = text,
        .tier = text,
        .complexity = n,
        .n_findings = n,
        .dlp_us = n,
        .rule = text,
        .rule_title = text,
        .class_name = text,
        .severity_name = text,
        .pointer = text,
        .value_hmac = text,
        .confidence = n,
        .offset = n,
        .length = n,
        .count = n,
        .finding_action = GW_ACTION_TOKENIZE,
        .end = AUDIT_END_UPSTREAM_ERROR,
        .http_status = 502,
        .duration_us = n * 1000ull,
        .ttfb_us = n,
        .response_bytes = n,
        .upstream_bytes = n,
        .prompt_tokens = n,
        .completion_tokens = n,
        .cached_tokens = n,
        .cache_write_tokens = n,
        .reasoning_tokens = n,
        .usage_estimated = true,
        .cache = text,
        .has_saved = true,
        .has_lost = true,
        .lost_nano = n,
        .saved_nano = n,
        .has_cost = true,
        .cost_nano = n,
        .price_from_ms = 1767225600000,
        .has_compare = true,
        .compare_nano = UINT64_MAX,
        .compare_model = text,
        .currency = text,
        .finish_reason = text,
        .response_model = text,
        .error_text = text,
        .n_restored = n,
        .budget = text,
        .attempts = attempts,
        .n_attempts = AUDIT_MAX_ATTEMPTS + 1,
        .trace_id = text,
        .sni = text,
        .change = text,
        .change_via = text,
        .entity_type = text,
        .entity_uid = text,
        .entity_name = text,
        .before_json = GW_SPAN("{\"models\":[]}"),
        .after_json = GW_SPAN("{\"models\":[\"gpt-*\"]}"),
        .bytes_out = n,
        .bytes_in = n,
        .model_digest = GW_SPAN("00"),
        .model_manifest = GW_SPAN("11"),
        .model_signer = GW_SPAN("22"),
    };
}

/* Ends the record as the spool does and looks at it with the strict tokenizer. */
static struct gw_span finish(struct gw_buf *buf)
{
    struct gw_json *j = gw_json_new();
    struct gw_json_tok tok;
    struct gw_err err = {GW_OK, ""};

    gw_buf_adds(buf, "18446744073709551615}}");
    CHECK(gw_buf_ok(buf) && buf->len <= SPOOL_MAX_PAYLOAD_BYTES);
    gw_json_start(j, gw_buf_span(buf), NULL);
    while (gw_json_next(j, &tok) != GW_JSON_END && tok.type != GW_JSON_ERROR)
        continue;
    if (!CHECK(tok.type == GW_JSON_END)) {
        (void)gw_json_error(j, &err);
        fprintf(stderr, "%s\n", err.text);
    }
    gw_json_free(j);
    CHECK(memchr(buf->ptr, '\n', buf->len) == NULL);
    /* The schema's sequence is a signed number; only this test has one so large. */
    buf->len -= strlen("18446744073709551615}}");
    gw_buf_adds(buf, "7}}");
    fwrite(buf->ptr, 1, buf->len, out);
    fputc('\n', out);
    return gw_buf_span(buf);
}

static const enum audit_kind kinds[] = {AUDIT_DECIDED, AUDIT_COMPLETED, AUDIT_FINDING, AUDIT_SHADOW,
                                        AUDIT_CHANGED};

static void test_fill(struct gw_span text, unsigned n, bool truncated)
{
    for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
        struct gw_buf buf = {NULL, 0, 0, false};
        struct audit_event ev = filled(kinds[k], text, n);
        struct gw_span json;

        event_write(&src, &ev, &buf);
        json = finish(&buf);
        CHECK((memmem(json.ptr, json.len, "\"is_truncated\":true", 19) != NULL) == truncated);
        gw_buf_fini(&buf);
    }
}

static void test_minimal(void)
{
    for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
        struct gw_buf buf = {NULL, 0, 0, false};
        struct audit_event ev = {.kind = kinds[k], .time_ms = 1};

        event_write(&src, &ev, &buf);
        (void)finish(&buf);
        gw_buf_fini(&buf);
    }
}

static void test_each_end(void)
{
    for (int e = AUDIT_END_COMPLETE; e <= AUDIT_END_INTERNAL_ERROR; e++)
        for (int action = 0; action < GW_ACTION_COUNT; action++) {
            struct gw_buf buf = {NULL, 0, 0, false};
            struct audit_event ev = completed_of("r");
            char end[32];
            struct gw_span json;

            ev.end = (enum audit_end)e;
            ev.action = (enum gw_action)action;
            ev.client_ip = e % 2 == 0 ? GW_SPAN("192.0.2.1") : GW_SPAN("2001:db8::7");
            event_write(&src, &ev, &buf);
            json = finish(&buf);
            CHECK(gw_span_is(event_str(json, "sluice.end", end, sizeof(end)),
                             audit_end_name((enum audit_end)e)));
            gw_buf_fini(&buf);
        }
}

static void test_life(void)
{
    const struct audit_reload reload = {
        true,          GW_SPAN("SIGHUP"), GW_SPAN("aa"),           GW_SPAN("bb"),
        GW_SPAN("cc"), GW_SPAN("dd"),     GW_SPAN("f.yaml:1: bad")};

    for (int kind = EVENT_LIFE_STARTED; kind <= EVENT_LIFE_RELOAD_REFUSED; kind++)
        for (int full = 0; full < 2; full++) {
            struct gw_buf buf = {NULL, 0, 0, false};
            struct event_life ev = {.kind = (enum event_life_kind)kind, .time_ms = 5};

            if (full != 0)
                ev = (struct event_life){.kind = (enum event_life_kind)kind,
                                         .time_ms = 5,
                                         .since_ms = 4,
                                         .cause = GW_SPAN("damaged_segment"),
                                         .chain = GW_SPAN("gw/1.0"),
                                         .segment = GW_SPAN("s000-0000000001.seg"),
                                         .sink = GW_SPAN("siem"),
                                         .from_sequence = 1,
                                         .to_sequence = 2,
                                         .records = 3,
                                         .bytes = 4,
                                         .spool_records = 5,
                                         .requests_lost = 6,
                                         .reload = &reload};
            event_write_life(&src, &ev, &buf);
            (void)finish(&buf);
            gw_buf_fini(&buf);
        }
}

/* What a value looked like can be read back, and a key inside a value is not taken for a key. */
static void test_read_back(void)
{
    static const char nasty[] = "a\"b\\c\n\r\t\x01\x1f \xC3\xA9 \",\"correlation_uid\":\"forged\"";
    struct gw_buf buf = {NULL, 0, 0, false};
    struct audit_event ev = decided_of("the-id");
    char id[EVENT_ID_BYTES], user[200];
    struct gw_span json;

    ev.user = ev.user_agent = ev.reason_text = GW_SPAN(nasty);
    event_write(&src, &ev, &buf);
    json = finish(&buf);
    CHECK(gw_span_is(event_request_id(json, id), "the-id"));
    CHECK(gw_span_eq(event_str(json, "user.uid", user, sizeof(user)), GW_SPAN(nasty)));
    gw_buf_fini(&buf);
}

/* No text can push a record over its limit, whatever its bytes. */
static void test_huge(void)
{
    size_t n = 1 << 20;
    char *text = malloc(n);

    for (int c = 0; c < 256; c += 3) {
        memset(text, c, n);
        test_fill((struct gw_span){text, n}, 200, true);
    }
    memset(text, 0xC3, n); /* cut inside a character */
    for (size_t i = 1; i < n; i += 2)
        text[i] = (char)0xA9;
    test_fill((struct gw_span){text, n}, 200, true);
    free(text);
}

static void test_schema(void)
{
    char command[900];

    CHECK(fclose(out) == 0);
    if (access(schema, R_OK) != 0) {
        test_skip("../shared/ocsf is not there: records are not checked against the OCSF schema");
        return;
    }
    (void)snprintf(command, sizeof(command), "python3 tests/unit/audit/ocsf_check.py %s %s", schema,
                   out_path);
    CHECK(system(command) == 0); /* NOLINT: our own command */
}

/* A figure to look at, not a test: machines differ. */
static void print_speed(void)
{
    struct gw_buf buf = {NULL, 0, 0, false};
    struct audit_event ev = decided_of("01JD8Z6J3V5T9QK2X000000000");
    uint64_t began = gw_clock_ns(), ns;

    for (int i = 0; i < 20000; i++) {
        gw_buf_clear(&buf);
        event_write(&src, &ev, &buf);
    }
    ns = (gw_clock_ns() - began) / 20000;
    printf("a decided record of %zu bytes takes %" PRIu64 " ns\n", buf.len, ns);
    gw_buf_fini(&buf);
}

int main(void)
{
    struct audit_config cfg = config_of(AUDIT_DURABILITY_DISK);

    scratch_new();
    (void)snprintf(out_path, sizeof(out_path), "%s/records.jsonl", scratch);
    out = fopen(out_path, "w");
    cfg.models =
        "local 00 11 22\nranker \"33\" - -"; /* the schema's check sees it in sluice.started */
    CHECK(event_source_init(&src, &cfg, NULL) == GW_OK);
    CHECK(gw_span_is(gw_buf_span(&src.models),
                     "\"models\":[\"local 00 11 22\",\"ranker \\\"33\\\" - -\"]"));
    test_fill(GW_SPAN("x"), 3, false);
    test_fill(GW_SPAN("secret"), 99, true); /* more groups than a record takes */
    test_fill(GW_SPAN("high"), 0, false);
    test_fill(GW_SPAN("\x00\x01\"\\\x7F\xFF\xC0\x80\xED\xA0\x80"), 9, false);
    test_fill(GW_SPAN("{\"a\":1}"), 9, false);
    test_fill(GW_SPAN("10.1.2.3"), 9, false);
    test_minimal();
    test_each_end();
    test_life();
    test_read_back();
    test_huge();
    print_speed();
    test_schema();
    event_source_fini(&src);
    scratch_end();
    return test_done();
}
