/* proxy/cmd/cmd_policy.c - `sluice policy test`: what would happen to this request, and why.
 *
 * The same scan and the same decision as in the server, on one text or body; nothing is sent. One
 * thread. */
#include "proxy/cmd/cmd_policy.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "proxy/api/api.h"
#include "proxy/cli.h"
#include "proxy/cmd/cmd.h"
#include "proxy/cmd/cmd_config.h"
#include "proxy/cmd/cmd_rules.h"
#include "proxy/net/hmac_key.h"
#include "proxy/request/allow.h"
#include "proxy/request/media.h"
#include "proxy/request/roles.h"

static const char usage[] =
    "usage: sluice policy test [-c FILE] [--model M] [--user NAME] [--group G]... [--json]\n"
    "                          [--intercepted] [TEXT | FILE | -]\n"
    "\n"
    "Says what would happen to a request, and why: what the scan finds, which policy line each "
    "finding takes\n"
    "and what it does, how complex the prompt is, and where it would go. Nothing is sent.\n"
    "\n"
    "  TEXT | FILE | -     a prompt, a file, or standard input. A JSON body with \"messages\" is "
    "taken as the\n"
    "                      chat request that it is\n"
    "  -c, --config FILE   configuration (default: $SLUICE_CONFIG, else the built-in one)\n"
    "      --model M       the requested model (default: the body's, else auto)\n"
    "      --user NAME     the caller's key name\n"
    "      --group G       a group of the caller; may be repeated\n"
    "      --key NAME      the caller's key\n"
    "      --team T        the caller's team\n"
    "      --justified     the caller gives a reason (x-sluice-justification)\n"
    "      --pinned ZONES  an earlier request of the conversation was limited to these: "
    "process,private\n"
    "      --intercepted   the request came through the HTTPS proxy: one provider, no routes\n"
    "      --json          for machines\n"
    "\n"
    "examples:\n"
    "  sluice policy test 'My key is AKIA...'\n"
    "  sluice policy test -c sluice.yaml --group core --model gpt-4o - < prompt.txt\n"
    "\n"
    "exit status: 0 it would be allowed; 1 it would be refused, or it could not be tried; 2 wrong "
    "command line\n";

enum { MAX_INPUT_BYTES = 32 << 20, MAX_ARENA_BYTES = 1 << 30, MAX_GROUPS = 32 };

struct options {
    const char *config, *user, *input, *key, *team;
    unsigned pinned; /* OR of enum gw_zone; 0: not */
    struct gw_span model;
    bool justified;
    struct gw_span groups[MAX_GROUPS];
    unsigned n_groups;
    bool json, intercepted;
};

/* ---- input -------------------------------------------------------------------------------------- */

static enum gw_status read_stream(FILE *f, const char *name, struct gw_buf *out, struct gw_err *err)
{
    char part[16384];
    size_t n;

    while ((n = fread(part, 1, sizeof(part), f)) > 0) {
        if (out->len + n > MAX_INPUT_BYTES)
            return gw_fail(err, GW_ELIMIT, "%s: larger than 32 MiB", name);
        gw_buf_add(out, (struct gw_span){part, n});
    }
    if (ferror(f) != 0)
        return gw_fail(err, GW_EIO, "%s: %s", name, strerrordesc_np(errno));
    return gw_buf_ok(out) ? GW_OK : gw_fail(err, GW_ENOMEM, "out of memory");
}

/* The argument is a file when one has that name, else the prompt itself. */
static enum gw_status read_input(const char *input, struct gw_buf *out, struct gw_err *err)
{
    enum gw_status st;
    FILE *f;

    if (strcmp(input, "-") == 0)
        return read_stream(stdin, "standard input", out, err);
    f = access(input, F_OK) == 0 ? fopen(input, "re") : NULL;
    if (f == NULL && access(input, F_OK) == 0)
        return gw_fail(err, GW_EIO, "%s: %s", input, strerrordesc_np(errno));
    if (f == NULL) {
        gw_buf_adds(out, input);
        return gw_buf_ok(out) ? GW_OK : gw_fail(err, GW_ENOMEM, "out of memory");
    }
    st = read_stream(f, input, out, err);
    (void)fclose(f);
    return st;
}

/* ---- trying --------------------------------------------------------------------------------------- */

/* Reads what the router wants to know of a chat request; false (with err) when it is none. */
static bool read_chat(struct gw_arena *arena, struct gw_span body, struct cmd_policy_result *r,
                      struct gw_err *err)
{
    struct gw_json *json = gw_json_new();
    struct router_features *f = &r->in.features;
    struct api_request asked = {.dialect = API_CHAT};
    struct gw_json_node *root;
    const char *param;
    bool ok = false;

    if (json == NULL)
        (void)gw_fail(err, GW_ENOMEM, "out of memory");
    else
        ok = gw_json_tree(json, arena, body, NULL, &root, err) == GW_OK &&
             api_read_request(API_CHAT, root, arena, &asked, &param, err) == GW_OK;
    for (unsigned i = 0; ok && i < asked.n_messages; i++)
        router_features_add(f, api_role_name(asked.messages[i].role),
                            api_message_text(&asked.messages[i], arena));
    if (ok) {
        r->tree = root;
        r->in.media = media_of(&asked);
        f->tools = (uint16_t)(asked.n_tools < UINT16_MAX ? asked.n_tools : UINT16_MAX);
        f->schema = asked.format != API_FORMAT_TEXT;
        if (r->in.model.len == 0)
            r->in.model = asked.model;
    }
    gw_json_free(json);
    return ok;
}

static bool looks_like_chat(struct gw_span text)
{
    while (text.len > 0 && strchr(" \t\r\n", text.ptr[0]) != NULL)
        text = gw_span_from(text, 1);
    return text.len > 0 && text.ptr[0] == '{' &&
           memmem(text.ptr, text.len, "\"messages\"", 10) != NULL;
}

/* A body is parsed as the server would; everything else is a prompt. */
static enum gw_status read_document(struct gw_arena *arena, struct gw_span body,
                                    struct cmd_policy_result *r, struct dlp_doc **doc,
                                    struct gw_err *err)
{
    if (looks_like_chat(body)) {
        if (dlp_doc_parse_json(arena, body, NULL, doc, err) == GW_OK &&
            read_chat(arena, body, r, err))
            return GW_OK;
        (void)gw_fail_prefix(err, "as a chat request it would be answered with 400");
        return GW_EPARSE;
    }
    router_features_add(&r->in.features, GW_SPAN("user"), body);
    if (dlp_doc_parse_text(arena, body, doc) != GW_OK)
        return gw_fail(err, GW_ENOMEM, "out of memory");
    return GW_OK;
}

/* Whose words it stands in; a prompt is the user's. */
static enum router_field field_of(const struct cmd_policy_result *r, unsigned i,
                                  const struct roles *roles)
{
    const struct dlp_leaf leaf = dlp_doc_leaf(r->doc, r->report.findings[i].leaf);

    if (leaf.kind == DLP_LEAF_KEY)
        return ROUTER_FIELD_KEY;
    return roles == NULL ? ROUTER_FIELD_USER : roles_at(roles, r->body.ptr + leaf.raw_start);
}

/* The entry of the allowlist that takes finding i away, or NULL. */
static const struct proxy_config_allow *look_up(const struct cmd_policy_result *r, unsigned i,
                                                struct gw_span rule)
{
    const struct dlp_finding *found = &r->report.findings[i];
    const struct proxy_config_allow *allowed = NULL;
    struct gw_buf pointer = {0};
    const struct dlp_leaf leaf = dlp_doc_leaf(r->doc, found->leaf);
    struct allow_finding f = {
        .value = {leaf.text.ptr + found->start, found->end - found->start},
        .rule = rule,
        .who = &r->who,
        .now_ms = r->in.now_ms,
    };

    dlp_doc_pointer(r->doc, found->leaf, &pointer);
    f.pointer = gw_buf_span(&pointer);
    if (gw_buf_ok(&pointer))
        allowed = allow_find(r->cfg, r->hmac_key, &f);
    gw_buf_fini(&pointer);
    return allowed;
}

static enum gw_status find(struct gw_arena *arena, struct cmd_policy_result *r, struct gw_err *err)
{
    const struct dlp_scan_limits limits = {.report_from = r->cfg->dlp.report_from};
    struct dlp_scanner *scanner = dlp_scanner_new();
    struct router_finding *findings;
    const struct roles *roles = NULL;
    enum gw_status st = GW_ENOMEM;

    if (scanner != NULL)
        st = dlp_scan(scanner, r->rules, r->doc, arena, &limits, &r->report);
    dlp_scanner_free(scanner);
    if (st != GW_OK)
        return gw_fail(err, st, "the scan did not finish (%s): the server would answer 503",
                       gw_status_name(st));
    findings = gw_arena_array(arena, r->report.n_findings, sizeof(*findings));
    r->d.actions = gw_arena_alloc(arena, r->report.n_findings);
    r->d.always = gw_arena_alloc(arena, r->report.n_findings);
    r->d.would_actions = gw_arena_alloc(arena, r->report.n_findings);
    if (r->tree != NULL)
        roles = roles_new(arena, r->tree);
    r->d.lines = gw_arena_array(arena, r->report.n_findings, sizeof(*r->d.lines));
    r->allowed =
        gw_arena_array(arena, r->report.n_findings + 1, sizeof(const struct proxy_config_allow *));
    if (findings == NULL || r->allowed == NULL || r->d.actions == NULL || r->d.always == NULL ||
        r->d.lines == NULL || r->d.would_actions == NULL || (r->tree != NULL && roles == NULL))
        return gw_fail(err, GW_ENOMEM, "out of memory");
    for (unsigned i = 0; i < r->report.n_findings; i++) {
        const struct dlp_rule_info *info = dlp_rules_info(r->rules, r->report.findings[i].rule);

        findings[i] = (struct router_finding){.rule = gw_span_str(info->id),
                                              .class_ = info->class_,
                                              .severity = info->severity,
                                              .confidence = r->report.findings[i].confidence,
                                              .view = r->report.findings[i].view,
                                              .field = field_of(r, i, roles),
                                              .monitored = info->mode == DLP_MODE_MONITOR};
        r->allowed[i] = look_up(r, i, gw_span_str(info->id));
        findings[i].allowed = r->allowed[i] != NULL;
    }
    r->in.findings = findings;
    r->in.n_findings = r->report.n_findings;
    return GW_OK;
}

static enum gw_status simulate(struct gw_arena *arena, struct cmd_policy_result *r,
                               struct gw_err *err)
{
    struct router_decision other = {0};

    if (r->cfg->simulated == NULL)
        return GW_OK;
    other.actions = gw_arena_alloc(arena, r->in.n_findings);
    other.always = gw_arena_alloc(arena, r->in.n_findings);
    if (other.actions == NULL || other.always == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory");
    router_decide(r->cfg->simulated, &r->in, &other);
    router_compare(&r->d, &other, r->in.n_findings, &r->simulated);
    return GW_OK;
}

static enum gw_status try_body(const struct options *o, struct gw_arena *arena, struct gw_span body,
                               struct cmd_policy_result *r, struct gw_err *err)
{
    struct dlp_doc *doc = NULL;

    r->in.model = o->model;
    r->in.user = gw_span_str(o->user);
    r->in.key = gw_span_str(o->key);
    r->in.team = gw_span_str(o->team);
    r->in.now_ms = gw_clock_wall_ms();
    r->in.justified = o->justified;
    r->in.pinned = o->pinned != 0;
    r->in.pinned_zones = o->pinned;
    r->in.groups = o->groups;
    r->in.n_groups = o->n_groups;
    r->in.fixed = o->intercepted;
    r->in.fixed_zone = GW_ZONE_APPROVED;
    r->who = (struct proxy_principal){.user = r->in.user,
                                      .name = r->in.key,
                                      .id = r->in.key,
                                      .team = r->in.team,
                                      .groups = o->groups,
                                      .n_groups = o->n_groups};
    GW_TRY(read_document(arena, body, r, &doc, err));
    r->doc = doc;
    r->body = body;
    if (r->in.model.len == 0)
        r->in.model = GW_SPAN("auto");
    GW_TRY(find(arena, r, err));
    router_decide(r->cfg->policy, &r->in, &r->d);
    GW_TRY(simulate(arena, r, err));
    (void)router_complexity_score(&r->in.features, &r->complexity);
    return GW_OK;
}

static enum gw_status open_rules(const struct proxy_config *cfg, struct dlp_rules **out,
                                 struct gw_err *err)
{
    const struct proxy_config_list *list = &cfg->dlp.rules;
    struct cmd_rules_args args = {0};
    enum gw_status st;

    if (list->n == 1 && gw_span_is(list->items[0], "builtin"))
        return cmd_rules_open(&args, out, err);
    args.rules = calloc(list->n, sizeof(const char *));
    if (args.rules == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory");
    for (unsigned i = 0; i < list->n; i++)
        args.rules[args.n_rules++] = list->items[i].ptr;
    st = cmd_rules_open(&args, out, err);
    free(args.rules);
    return st;
}

/* Entries by HMAC hold where this user may read the gateway's key. */
static void load_key(const struct proxy_config *cfg, unsigned char key[HMAC_KEY_BYTES],
                     struct cmd_policy_result *r)
{
    if (cfg->allow.n_hmac != 0 && hmac_key_load(cfg->state_dir, false, key, NULL) == GW_OK)
        r->hmac_key = (struct gw_span){(const char *)key, HMAC_KEY_BYTES};
    else if (cfg->allow.n_hmac != 0)
        (void)fprintf(stderr,
                      "sluice policy: entries of the allowlist with value_hmac are left out: the "
                      "key in %s cannot be read\n",
                      cfg->state_dir);
}

static int test(const struct options *o, const struct proxy_config *cfg)
{
    unsigned char key[HMAC_KEY_BYTES];
    struct cmd_policy_result r = {.cfg = cfg};
    struct gw_arena *arena = gw_arena_new(MAX_ARENA_BYTES);
    struct dlp_rules *rules = NULL;
    struct gw_buf body = {0};
    struct gw_err err = {0};
    int status = 1;

    if (arena == NULL)
        (void)gw_fail(&err, GW_ENOMEM, "out of memory");
    else if (read_input(o->input, &body, &err) == GW_OK && open_rules(cfg, &rules, &err) == GW_OK) {
        r.rules = rules;
        load_key(cfg, key, &r);
        if (try_body(o, arena, gw_buf_span(&body), &r, &err) == GW_OK) {
            if (o->json)
                cmd_policy_print_json(&r);
            else
                cmd_policy_print_text(&r);
            status = r.d.blocked ? 1 : 0;
        }
    }
    if (err.code != GW_OK && r.d.reason_text[0] == '\0')
        status = cli_fail_err("policy", &err);
    explicit_bzero(key, sizeof(key));
    gw_buf_fini(&r.complexity);
    gw_buf_fini(&body);
    gw_arena_free(arena);
    dlp_rules_unref(rules);
    return status;
}

/* ---- the command -------------------------------------------------------------------------------------- */

/* "process,private" */
static bool read_zones(const char *text, unsigned *out)
{
    static const enum gw_zone zones[] = {GW_ZONE_PROCESS, GW_ZONE_PRIVATE, GW_ZONE_APPROVED};

    *out = 0;
    while (*text != '\0') {
        size_t n = strcspn(text, ",");
        unsigned zone = 0;

        for (unsigned i = 0; i < 3; i++)
            if (gw_span_is((struct gw_span){text, n}, gw_zone_name(zones[i])))
                zone = (unsigned)zones[i];
        if (zone == 0)
            return false;
        *out |= zone;
        text += n + (text[n] == ',');
    }
    return *out != 0;
}

/* Returns -1 to go on, else the exit status. */
static int parse_options(int argc, char **argv, struct options *o)
{
    static const struct option longs[] = {
        {"config", required_argument, NULL, 'c'}, {"model", required_argument, NULL, 'm'},
        {"user", required_argument, NULL, 'u'},   {"group", required_argument, NULL, 'g'},
        {"key", required_argument, NULL, 'k'},    {"team", required_argument, NULL, 't'},
        {"justified", no_argument, NULL, 'J'},    {"pinned", required_argument, NULL, 'p'},
        {"intercepted", no_argument, NULL, 'i'},  {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0}};
    int opt;

    // NOLINTNEXTLINE(concurrency-mt-unsafe): commands are one thread
    while ((opt = getopt_long(argc, argv, "c:h", longs, NULL)) != -1) {
        switch (opt) {
        case 'c':
            o->config = optarg;
            break;
        case 'm':
            o->model = gw_span_str(optarg);
            break;
        case 'u':
            o->user = optarg;
            break;
        case 'g':
            if (o->n_groups == MAX_GROUPS)
                return cli_fail("policy", 2, "more than %d groups", MAX_GROUPS);
            o->groups[o->n_groups++] = gw_span_str(optarg);
            break;
        case 'k':
            o->key = optarg;
            break;
        case 't':
            o->team = optarg;
            break;
        case 'J':
            o->justified = true;
            break;
        case 'p':
            if (!read_zones(optarg, &o->pinned))
                return cli_fail("policy", 2, "--pinned takes process, private, approved");
            break;
        case 'i':
            o->intercepted = true;
            break;
        case 'j':
            o->json = true;
            break;
        case 'h':
            (void)fputs(usage, stdout);
            return 0;
        default:
            (void)fputs("Try `sluice policy --help`.\n", stderr);
            return 2;
        }
    }
    if (optind >= argc || strcmp(argv[optind], "test") != 0)
        return cli_fail("policy", 2, "say `sluice policy test`; try `sluice policy --help`");
    if (argc - optind > 2)
        return cli_fail("policy", 2, "one TEXT, FILE or -: quote a prompt of several words");
    if (argc - optind == 2)
        o->input = argv[optind + 1];
    return -1;
}

int cmd_policy(int argc, char **argv)
{
    struct options o = {.user = "", .input = "-", .key = "", .team = ""};
    struct proxy_config *cfg = NULL;
    int status = parse_options(argc, argv, &o);

    if (status >= 0)
        return status;
    cfg = cmd_config_load("policy", o.config);
    if (cfg == NULL)
        return 1;
    status = test(&o, cfg);
    proxy_config_free(cfg);
    return status;
}
