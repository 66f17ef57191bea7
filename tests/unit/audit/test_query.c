/* Tests of audit_query() and audit_report(): what is asked for is what comes, whichever record says it. */
#include "tests/unit/audit/util.h"

enum { DAY_MS = 86400000 };
static const int64_t monday = 1736121600000; /* 2025-01-06T00:00:00Z */

/* Request i of the plan. The expectations below are counted on these lines, not on what the code under test says. */
static const struct planned {
    const char *id, *user, *team, *zone, *class_name, *rule, *where;
    enum gw_action action;
    bool blocked;
    enum audit_end end;
    int day;
    uint64_t prompt, answer, cost_nano, compare_nano;
} plan[] = {
    {"r-1", "ann", "blue", "process", "phi", "icd10", "/messages/0/content", GW_ACTION_ALLOW, false,
     AUDIT_END_COMPLETE, 0, 10, 5, 0, 2000000000},
    {"r-2", "ann", "blue", "approved", NULL, NULL, NULL, GW_ACTION_ALLOW, false, AUDIT_END_COMPLETE,
     0, 100, 50, 1250000001, 0},
    {"r-3", "Bob", "red", "approved", "secret", "aws-access-key-id", "/messages/0/content",
     GW_ACTION_REDACT, false, AUDIT_END_COMPLETE, 1, 20, 7, 500000000, 0},
    {"r-4", "Bob", "red", "", "secret", "github-pat", "/messages/0/content", GW_ACTION_BLOCK, true,
     AUDIT_END_BLOCKED, 1, 0, 0, 0, 0},
    {"r-5", "=cmd|' /C calc'!A0", "", "approved", "pii", "email-address", "answer", GW_ACTION_ALLOW,
     false, AUDIT_END_TIMEOUT, 1, 3, 0, 0, 0},
    {"r-6", "ann", "blue", "private", "phi", "npi", "/messages/1/content", GW_ACTION_ALLOW, false,
     AUDIT_END_CLIENT_ABORT, 2, 1, 1, 0, 0},
};
enum { N_PLANNED = sizeof(plan) / sizeof(plan[0]) };

static struct audit_event event_of(const struct planned *p, enum audit_kind kind, int64_t time_ms)
{
    struct audit_event ev = kind == AUDIT_COMPLETED ? completed_of(p->id) : decided_of(p->id);

    ev.kind = kind;
    ev.time_ms = time_ms;
    ev.user = gw_span_str(p->user);
    ev.team = gw_span_str(p->team);
    ev.target_zone = gw_span_str(p->zone);
    ev.target = p->zone[0] == 'p' ? GW_SPAN("local") : GW_SPAN("openai");
    ev.action = p->action;
    ev.blocked = p->blocked;
    return ev;
}

static void emit(struct audit_chan *ch, const struct planned *p)
{
    const int64_t at = monday + p->day * DAY_MS + 3600000;
    struct audit_event ev = event_of(p, AUDIT_FINDING, at);
    /* Its members have the names of the whole request's, and are no part of them. */
    const struct audit_attempt lost = {.target = GW_SPAN("other"),
                                       .outcome = GW_SPAN("status"),
                                       .status = 500,
                                       .prompt_tokens = 777,
                                       .completion_tokens = 777,
                                       .has_cost = true,
                                       .cost_nano = 7770000000};

    ev.finding_action = p->action;
    ev.rule = p->rule == NULL ? GW_SPAN("") : gw_span_str(p->rule);
    ev.class_name = p->class_name == NULL ? GW_SPAN("") : gw_span_str(p->class_name);
    ev.pointer = p->where == NULL ? GW_SPAN("") : gw_span_str(p->where);
    if (p->class_name != NULL)
        CHECK(audit_emit(ch, &ev, NULL, NULL) == GW_OK);
    ev = event_of(p, AUDIT_DECIDED, at + 1);
    CHECK(audit_emit(ch, &ev, NULL, NULL) == GW_OK);
    ev = event_of(p, AUDIT_COMPLETED, at + 500);
    ev.ends_decided = true;
    ev.end = p->end;
    ev.prompt_tokens = p->prompt;
    ev.completion_tokens = p->answer;
    ev.has_cost = p->cost_nano != 0;
    ev.cost_nano = p->cost_nano;
    ev.has_compare = p->compare_nano != 0;
    ev.compare_nano = p->compare_nano;
    ev.compare_model = GW_SPAN("gpt-4o");
    ev.currency = GW_SPAN("USD");
    ev.price_from_ms = monday;
    ev.attempts = &lost;
    ev.n_attempts = 1;
    CHECK(audit_emit(ch, &ev, NULL, NULL) == GW_OK);
}

static void fill(void)
{
    struct audit_config cfg = config_of(AUDIT_DURABILITY_PROCESS);
    struct audit_chan *ch[2] = {NULL, NULL};
    struct audit *a = NULL;

    CHECK(audit_open(&cfg, &a, NULL) == GW_OK);
    for (int i = 0; i < 2; i++)
        CHECK(audit_chan_open(a, &ch[i], NULL) == GW_OK);
    for (int i = 0; i < N_PLANNED; i++)
        emit(ch[i % 2], &plan[i]);
    for (int i = 0; i < 2; i++)
        audit_chan_close(ch[i]);
    audit_close(a, 0);
}

static char *ask(struct audit_query q, struct audit_query_result *r)
{
    char *text = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);
    struct gw_err err = {GW_OK, ""};

    q.spool_dir = scratch;
    if (!CHECK(audit_query(&q, f, r, &err) == GW_OK))
        fprintf(stderr, "%s\n", err.text);
    fclose(f);
    return text;
}

/* Which of r-1 to r-6 the text names, a bit each. */
static unsigned named(const char *text)
{
    unsigned bits = 0;

    for (int i = 0; i < N_PLANNED; i++) {
        char id[16];

        (void)snprintf(id, sizeof(id), "\"%s\"", plan[i].id);
        bits |= (unsigned)(strstr(text, id) != NULL) << (i + 1);
    }
    return bits;
}

#define R(n) (1U << (n))

static void test_filters(void)
{
    static const struct {
        struct audit_filter f;
        bool whole;
        unsigned want, records;
    } cases[] = {
        {{.record = "finding"}, false, R(1) | R(3) | R(4) | R(5) | R(6), 5},
        {{.record = "sluice.*"}, false, 0, 2},
        {{.record = NULL}, true, R(1) | R(2) | R(3) | R(4) | R(5) | R(6), 3 * N_PLANNED - 1},
        {{.class_name = "phi"}, false, R(1) | R(6), 2},
        {{.class_name = "PHI"}, true, R(1) | R(6), 6},
        {{.rule = "aws-*"}, true, R(3), 3},
        {{.user = "bob"}, false, R(3) | R(4), 6},
        {{.user = "bo"}, false, 0, 0},
        {{.team = "blue", .record = "decided"}, false, R(1) | R(2) | R(6), 3},
        {{.zone = "process", .record = "decided"}, false, R(1), 1},
        {{.end = "timeout"}, false, R(5), 1},
        {{.end = "timeout"}, true, R(5), 3},
        {{.request = "r-4"}, false, R(4), 3},
        {{.model = "auto", .record = "decided", .action = "redact"}, false, R(3), 1},
        {{.model = "smollm2", .record = "completed", .end = "client_abort"}, false, R(6), 1},
        /* a finding has no zone, a decision no class: only whole requests have both */
        {{.class_name = "phi", .zone = "private"}, false, 0, 0},
        {{.class_name = "phi", .zone = "private"}, true, R(6), 3},
        {{.class_name = "phi", .zone = "approved"}, true, 0, 0},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct audit_query q = {
            .filter = cases[i].f, .whole_requests = cases[i].whole, .format = AUDIT_FORMAT_JSON};
        struct audit_query_result r;
        char *text = ask(q, &r);

        if (!CHECK(named(text) == cases[i].want && r.matched == cases[i].records))
            fprintf(stderr, "case %zu: %x, %llu records\n", i, named(text),
                    (unsigned long long)r.matched);
        CHECK(r.read == 3 * N_PLANNED - 1 + 2);
        free(text);
    }
}

static void test_times_and_ends(void)
{
    struct audit_query_result r;
    struct audit_query q = {.filter = {.from_ms = monday + DAY_MS, .until_ms = monday + 2 * DAY_MS},
                            .format = AUDIT_FORMAT_JSON};
    char *text = ask(q, &r);

    CHECK(named(text) == (R(3) | R(4) | R(5)) && r.matched == 9 && r.blocked == 1 &&
          r.approved == 2 && r.requests == 3);
    free(text);
    q = (struct audit_query){.filter = {.record = "completed"}, .max = 2};
    text = ask(q, &r);
    CHECK(r.matched == 2 && strstr(text, "r-1 ") < strstr(text, "r-2 "));
    free(text);
    q = (struct audit_query){.filter = {.user = "*calc*"}, .format = AUDIT_FORMAT_CSV};
    text = ask(q, &r);
    CHECK(strncmp(text, "time,record,uid,", 16) == 0);
    CHECK(strstr(text, ",'=cmd|' /C calc'!A0,") != NULL); /* no formula */
    CHECK(strstr(text, "2025-01-07T01:00:00.001Z,ai.request.decided,") != NULL);
    free(text);
    q = (struct audit_query){.filter = {.request = "r-2", .record = "completed"},
                             .format = AUDIT_FORMAT_CSV};
    text = ask(q, &r);
    CHECK(strstr(text, ",complete,200,100,50,1.250000001,,USD,") != NULL);
    free(text);
}

static char *report(struct audit_report r)
{
    char *text = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);
    struct gw_err err = {GW_OK, ""};

    r.spool_dir = scratch;
    if (!CHECK(audit_report(&r, f, &err) == GW_OK))
        fprintf(stderr, "%s\n", err.text);
    fclose(f);
    return text;
}

static void test_report(void)
{
    static const char *const lines[] = {

        "| ann | 3 | 2 | 1 | 0 | 0 | 2 | 0 | 167 | 1.26 USD | 2.00 USD |",
        "| Bob | 2 | 0 | 1 | 1 | 0 | 2 | 1 | 27 | 0.50 USD | 0.00 USD |",
        "| 2025-01-07 | 3 | 0 | 2 | 1 | 1 | 2 | 1 | 30 | 0.50 USD | 0.00 USD |",
        "| blue | 3 |",
        "| phi | 2 |",
        "| secret | 2 |",
    };
    char *text = report((struct audit_report){.form = AUDIT_REPORT_MARKDOWN});

    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        if (!CHECK(strstr(text, lines[i]) != NULL))
            fprintf(stderr, "not in the report: %s\n", lines[i]);
    CHECK(strstr(text, "4 requests had findings: 2 were answered inside, 1 blocked, 1 sent outside "
                       "with values hidden, 0 sent outside as they were. 1 had findings in their "
                       "answers.") != NULL);
    CHECK(strstr(text, "From 2025-01-06T01:00 to 2025-01-08T01:00 UTC.") != NULL);
    CHECK(strstr(text, "=cmd\\|' /C calc'!A0") != NULL);
    free(text);
    text = report((struct audit_report){
        .form = AUDIT_REPORT_JSON, .from_ms = monday + DAY_MS, .until_ms = monday + 2 * DAY_MS});
    CHECK(
        strstr(text, "\"day\":\"2025-01-07\",\"team\":\"red\",\"user\":\"Bob\",\"requests\":2,") !=
        NULL);
    CHECK(strstr(text, "ann") == NULL && strstr(text, "\"cost\":0.500000000,") != NULL);
    free(text);
    text = report((struct audit_report){.form = AUDIT_REPORT_HTML});
    CHECK(strstr(text, "<svg") != NULL && strstr(text, "<script") == NULL &&
          strstr(text, "http") == NULL && strstr(text, "<td>ann</td>") != NULL);
    free(text);
    text = report((struct audit_report){.form = AUDIT_REPORT_MARKDOWN, .until_ms = monday});
    CHECK(strstr(text, "No request ended in this time.") != NULL);
    free(text);
}

static void test_failures(void)
{
    struct audit_query_result r;
    struct gw_err err = {GW_OK, ""};
    FILE *full = fopen("/dev/full", "we");

    CHECK(audit_query(&(struct audit_query){.spool_dir = "/nonexistent/spool"}, stdout, &r, &err) ==
          GW_ENOENT);
    CHECK(audit_report(&(struct audit_report){.spool_dir = "/nonexistent/spool"}, stdout, &err) ==
          GW_ENOENT);
    if (full == NULL)
        return;
    CHECK(audit_query(&(struct audit_query){.spool_dir = scratch}, full, &r, &err) == GW_EIO);
    (void)fclose(full);
}

static void test_dates(void)
{
    int64_t ms = 0;
    bool is_day = false;

    CHECK(gw_clock_parse("2025-01-06", &ms, &is_day) && ms == monday && is_day);
    CHECK(gw_clock_parse("2025-01-06T08:00:01Z", &ms, &is_day) && ms == monday + 28801000 &&
          !is_day);
    CHECK(!gw_clock_parse("2026-02-30", &ms, &is_day) &&
          !gw_clock_parse("2025-01-06T08", &ms, &is_day));
    CHECK(!gw_clock_parse("", &ms, &is_day) && !gw_clock_parse("yesterday", &ms, &is_day));
}

int main(void)
{
    scratch_new();
    fill();
    test_filters();
    test_times_and_ends();
    test_report();
    test_failures();
    test_dates();
    scratch_end();
    return test_done();
}
