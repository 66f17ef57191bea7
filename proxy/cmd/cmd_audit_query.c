/* proxy/cmd/cmd_audit_query.c - `sluice audit query | export | report`. One thread. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit/audit.h"
#include "base/clock.h"
#include "proxy/cli.h"
#include "proxy/cmd/cmd_audit.h"
#include "proxy/config/config.h"
#include "proxy/store/store.h"

struct asked {
    struct audit_query q;
    const char *config, *spool, *format;
    struct cmd_audit_source source;
    bool json, help;
};

enum {
    OPT_SPOOL = 256,
    OPT_FROM,
    OPT_UNTIL,
    OPT_SINCE,
    OPT_REQUESTS,
    OPT_FORMAT,
    OPT_JSON,
};

static int set_time(const char *option, const char *text, int64_t *out)
{
    bool is_day;

    if (gw_clock_parse(text, out, &is_day))
        return 0;
    return cli_fail("audit", 2,
                    "--%s takes a day, 2026-11-21, or a moment, 2026-11-21T08:00:00Z, not %s",
                    option, text);
}

static int set_since(const char *text, int64_t *out)
{
    int64_t span;

    if (!proxy_key_span_parse(text, &span))
        return cli_fail("audit", 2, "--since takes days or hours, 7d or 24h, not %s", text);
    *out = gw_clock_wall_ms() - span;
    return 0;
}

static int set_count(const char *text, uint64_t *out)
{
    char *end;
    unsigned long long n = strtoull(text, &end, 10);

    if (text[0] < '0' || text[0] > '9' || *end != '\0')
        return cli_fail("audit", 2, "-n takes a number, not %s", text);
    *out = n;
    return 0;
}

/* Returns 0, or the exit status of a wrong command line. */
static int take_option(int c, struct asked *a)
{
    struct audit_filter *f = &a->q.filter;

    if (cmd_audit_filter_take(c, optarg, f))
        return 0;
    switch (c) {
    case 'c':
        a->config = optarg;
        return 0;
    case 'n':
        return set_count(optarg, &a->q.max);
    case 'h':
        a->help = true;
        return 0;
    case OPT_SPOOL:
        a->spool = optarg;
        return 0;
    case OPT_FROM:
        return set_time("from", optarg, &f->from_ms);
    case OPT_UNTIL:
        return set_time("until", optarg, &f->until_ms);
    case OPT_SINCE:
        return set_since(optarg, &f->from_ms);
    case OPT_REQUESTS:
        a->q.whole_requests = true;
        return 0;
    case OPT_FORMAT:
        a->format = optarg;
        return 0;
    case OPT_JSON:
        a->json = true;
        return 0;
    default:
        return cli_fail("audit", 2, "see sluice audit --help");
    }
}

static int parse(int argc, char **argv, struct asked *a)
{
    struct option longs[9 + CMD_AUDIT_FILTERS] = {{"config", required_argument, NULL, 'c'},
                                                  {"spool", required_argument, NULL, OPT_SPOOL},
                                                  {"from", required_argument, NULL, OPT_FROM},
                                                  {"until", required_argument, NULL, OPT_UNTIL},
                                                  {"since", required_argument, NULL, OPT_SINCE},
                                                  {"requests", no_argument, NULL, OPT_REQUESTS},
                                                  {"format", required_argument, NULL, OPT_FORMAT},
                                                  {"json", no_argument, NULL, OPT_JSON}};
    int c, status = 0;

    cmd_audit_filter_options(longs + 8);
    // NOLINTNEXTLINE(concurrency-mt-unsafe): commands are one thread
    while (status == 0 && (c = getopt_long(argc, argv, "c:n:h", longs, NULL)) != -1)
        status = take_option(c, a);
    if (status == 0 && optind < argc && a->spool == NULL)
        a->spool = argv[optind++];
    if (status == 0 && optind < argc)
        return cli_fail("audit", 2, "what is %s? See sluice audit --help", argv[optind]);
    if (status == 0 && a->config != NULL && a->spool != NULL && !cmd_audit_is_topic(a->spool))
        return cli_fail("audit", 2, "-c and --spool name the same thing: give one of them");
    return status;
}

/* What the index of the word is among names; -1: none of them. */
static int index_of(const char *word, const char *const *names, int n)
{
    for (int i = 0; i < n; i++)
        if (strcmp(word, names[i]) == 0)
            return i;
    return -1;
}

/* For people, on standard error, so that the records can be piped on. */
static void tell(const struct audit_query_result *r)
{
    (void)fprintf(stderr,
                  "%llu of %llu records; %llu decided requests: %llu to the model inside, %llu "
                  "private, %llu approved, %llu blocked\n",
                  (unsigned long long)r->matched, (unsigned long long)r->read,
                  (unsigned long long)r->requests, (unsigned long long)r->process,
                  (unsigned long long)r->private_, (unsigned long long)r->approved,
                  (unsigned long long)r->blocked);
}

static int run_query(struct asked *a, bool export_)
{
    static const char *const formats[] = {"lines", "json", "csv"};
    struct audit_query_result result;
    struct gw_err err;
    int format = a->format != NULL    ? index_of(a->format, formats, 3)
                 : a->json || export_ ? AUDIT_FORMAT_JSON
                                      : AUDIT_FORMAT_LINES;

    if (format < 0)
        return cli_fail("audit", 2, "--format is lines, json or csv, not %s", a->format);
    a->q.format = (enum audit_format)format;
    a->q.spool_dir = a->source.spool;
    a->q.kafka = a->source.is_topic ? &a->source.kafka : NULL;
    a->q.color = cli_color(stdout);
    if (audit_query(&a->q, stdout, &result, &err) != GW_OK)
        return cli_fail_err("audit", &err);
    if (!export_)
        tell(&result);
    return 0;
}

static int run_report(struct asked *a)
{
    static const char *const forms[] = {"markdown", "html", "json"};
    struct audit_report r = {.spool_dir = a->source.spool,
                             .kafka = a->source.is_topic ? &a->source.kafka : NULL,
                             .from_ms = a->q.filter.from_ms,
                             .until_ms = a->q.filter.until_ms};
    struct gw_err err;
    int form = a->format != NULL ? index_of(a->format, forms, 3)
               : a->json         ? AUDIT_REPORT_JSON
                                 : AUDIT_REPORT_MARKDOWN;

    if (form < 0)
        return cli_fail("audit", 2, "--format is markdown, html or json, not %s", a->format);
    if (cmd_audit_filter_given(&a->q.filter) != NULL)
        return cli_fail("audit", 2, "report takes a time, not --%s: see sluice audit --help",
                        cmd_audit_filter_given(&a->q.filter));
    r.form = (enum audit_report_form)form;
    return audit_report(&r, stdout, &err) == GW_OK ? 0 : cli_fail_err("audit", &err);
}

bool cmd_audit_asks(const char *name)
{
    static const char *const names[] = {"query", "export", "report"};

    return index_of(name, names, 3) >= 0;
}

int cmd_audit_query(int argc, char **argv, const char *usage)
{
    struct asked a = {0};
    int status = parse(argc, argv, &a);

    if (status == 0 && a.help) {
        (void)fputs(usage, stdout);
        return 0;
    }
    if (status == 0)
        status = cmd_audit_source(a.config, a.spool, NULL, &a.source);
    if (status == 0)
        status = strcmp(argv[0], "report") == 0 ? run_report(&a)
                                                : run_query(&a, strcmp(argv[0], "export") == 0);
    cmd_audit_source_fini(&a.source);
    return status;
}
