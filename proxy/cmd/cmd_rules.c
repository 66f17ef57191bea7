/* proxy/cmd/cmd_rules.c - sluice rules: the command line, and its short parts list, build and schema. One thread; nothing here is on a request's way. */
#include "proxy/cmd/cmd_rules.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/cli.h"
#include "proxy/cmd/cmd.h"

static const char help[] =
    "Detection rules: write them, try them, see what they cost, take over those of others.\n"
    "\n"
    "usage: sluice rules list    [--json] [--rules PATH]...\n"
    "       sluice rules test    [--json] [--rules PATH]... [FILE... | -]\n"
    "       sluice rules explain [--json] [--rules PATH]... RULE... | --text TEXT|FILE|-\n"
    "       sluice rules lint    [--json] [PATH...]\n"
    "       sluice rules bench   [--json] [--rules PATH]... FILE|DIR...\n"
    "       sluice rules diff    [--json] OLD NEW FILE|DIR...\n"
    "       sluice rules import  [--json] gitleaks|noseyparker|presidio FILE|DIR... -o DIR\n"
    "       sluice rules build   -o FILE.so PATH...\n"
    "       sluice rules schema\n"
    "\n"
    "list     id, class, severity, confidence and title of every rule\n"
    "test     without FILE: runs the examples that the rules carry\n"
    "         with FILE (- is standard input): prints what is found there\n"
    "         --json: reads JSON Lines {\"id\",\"text\"} (standard input without FILE) and prints "
    "one line\n"
    "         "
    "{\"id\",\"findings\":[{\"type\",\"rule\",\"class\",\"start\",\"end\",\"confidence\"}]} for "
    "each;\n"
    "         start and end count characters, confidence goes from 0 to 100\n"
    "explain  what a rule looks for; or for a text every match, the parts of its confidence, and "
    "why it\n"
    "         is no finding where it is none\n"
    "lint     what works and could be better: overlaps, width, missing examples (default: rules/)\n"
    "bench    the cost of each rule on texts of yours: candidates, matches, ns; the speed of all\n"
    "diff     findings gained (+), lost (-) and changed (~) between two sets of rules\n"
    "import   writes rules of another tool as rules of ours, each of which compiles and finds its\n"
    "         example, and says what was not carried over and why (noseyparker: also Titus)\n"
    "build    compiles rule files, or every *.yaml in folders, into one shared object, after "
    "running\n"
    "         all their examples; needs re2c and a C compiler\n"
    "schema   prints the JSON Schema of a rule file, for editors\n"
    "\n"
    "--rules PATH  use these instead of the built-in rules: a shared object, rule files, or "
    "folders\n"
    "-o FILE       where build puts its result (replaced only by rules that pass); for import a "
    "folder\n"
    "OLD, NEW      a shared object, a rule file, a folder, or `builtin`\n"
    "\n"
    "examples:\n"
    "  sluice rules list\n"
    "  echo 'mail me at jane.roe@corp.example' | sluice rules test -\n"
    "  sluice rules explain --text 'mail me at jane.roe@corp.example'\n"
    "  sluice rules test --rules my-rules/ notes.txt\n"
    "  sluice rules lint my-rules/\n"
    "  sluice rules diff builtin my-rules/ src/\n"
    "  sluice rules import gitleaks .gitleaks.toml -o my-rules/\n"
    "  sluice rules build -o /etc/sluice/rules.so /etc/sluice/rules\n"
    "\n"
    "exit status: 0 done; 1 an example failed, rules do not build, lint has something to say, diff "
    "found a\n"
    "difference, import carried nothing over; 2 wrong command line (diff: also any other "
    "failure)\n";

static bool is_object(const char *path)
{
    size_t n = strlen(path);

    return n > 3 && strcmp(path + n - 3, ".so") == 0;
}

enum gw_status cmd_rules_open(const struct cmd_rules_args *a, struct dlp_rules **out,
                              struct gw_err *err)
{
    if (a->n_rules == 0) {
        *out = dlp_rules_builtin();
        return GW_OK;
    }
    if (!is_object(a->rules[0])) /* commands that run the examples say which fail */
        return dlp_rules_open(
            a->rules, a->n_rules,
            &(struct dlp_rules_options){.without_examples = true, .without_trial = true}, out, err);
    if (a->n_rules > 1)
        return gw_fail(err, GW_EINVAL, "--rules takes one shared object, or sources, not both");
    return dlp_rules_load(a->rules[0], out, err);
}

enum gw_status cmd_rules_open_one(const char *path, struct dlp_rules **out, struct gw_err *err)
{
    const struct cmd_rules_args a = {.rules = &path, .n_rules = strcmp(path, "builtin") != 0};

    return cmd_rules_open(&a, out, err);
}

/* ---- list ------------------------------------------------------------------------------- */

static void print_json(const struct dlp_rules *r)
{
    struct gw_buf out = {NULL, 0, 0, false};

    for (unsigned i = 0; i < dlp_rules_count(r); i++) {
        const struct dlp_rule_info *rule = dlp_rules_info(r, i);

        gw_buf_adds(&out, "{\"id\":");
        gw_buf_add_json_str(&out, gw_span_str(rule->id));
        gw_buf_adds(&out, ",\"type\":");
        gw_buf_add_json_str(&out, gw_span_str(rule->type));
        gw_buf_printf(&out, ",\"class\":\"%s\",\"severity\":\"%s\",\"confidence\":%u,\"title\":",
                      gw_class_name(rule->class_), gw_severity_name(rule->severity),
                      rule->confidence);
        gw_buf_add_json_str(&out, gw_span_str(rule->title));
        gw_buf_adds(&out, ",\"file\":");
        gw_buf_add_json_str(&out, gw_span_str(rule->file));
        gw_buf_adds(&out, "}\n");
    }
    (void)fwrite(out.ptr, 1, out.len, stdout);
    gw_buf_fini(&out);
}

static void print_table(const struct dlp_rules *r)
{
    int width = 2;

    for (unsigned i = 0; i < dlp_rules_count(r); i++) {
        int n = (int)strlen(dlp_rules_info(r, i)->id);

        width = n > width ? n : width;
    }
    printf("%s%-*s  %-12s  %-8s  %4s  %s%s\n", cli_paint(stdout, "bold"), width, "ID", "CLASS",
           "SEVERITY", "CONF", "TITLE", cli_paint(stdout, "reset"));
    for (unsigned i = 0; i < dlp_rules_count(r); i++) {
        const struct dlp_rule_info *rule = dlp_rules_info(r, i);

        printf("%-*s  %-12s  %-8s  %4u  %s\n", width, rule->id, gw_class_name(rule->class_),
               gw_severity_name(rule->severity), rule->confidence, rule->title);
    }
    printf("%s%u rules, sha256 %s%s\n", cli_paint(stdout, "dim"), dlp_rules_count(r),
           dlp_rules_digest(r), cli_paint(stdout, "reset"));
}

static int list(const struct cmd_rules_args *a)
{
    struct dlp_rules *r = NULL;
    struct gw_err err;

    if (a->n_files > 0)
        return cli_fail("rules list", 2, "%s: unexpected; to list other rules say --rules %s",
                        a->files[0], a->files[0]);
    if (cmd_rules_open(a, &r, &err) != GW_OK)
        return cli_fail_err("rules list", &err);
    if (a->json)
        print_json(r);
    else
        print_table(r);
    dlp_rules_unref(r);
    return 0;
}

/* ---- build ------------------------------------------------------------------------------ */

static int build(const struct cmd_rules_args *a)
{
    struct dlp_build b = {.paths = a->files, .n_paths = a->n_files, .out_so = a->out};
    struct dlp_rules *r = NULL;
    struct gw_err err;

    if (a->n_files == 0)
        return cli_fail("rules build", 2, "no rule files given; try sluice rules --help");
    if (a->out == NULL)
        return cli_fail("rules build", 2, "-o FILE.so is missing");
    if (dlp_rules_build(&b, &err) != GW_OK || dlp_rules_load(a->out, &r, &err) != GW_OK)
        return cli_fail_err("rules build", &err);
    printf("%s: %u rules, all examples pass, sha256 %s\n", a->out, dlp_rules_count(r),
           dlp_rules_digest(r));
    dlp_rules_unref(r);
    return 0;
}

/* ---- schema ----------------------------------------------------------------------------- */

static int schema(const struct cmd_rules_args *a)
{
    struct gw_buf out = {NULL, 0, 0, false};
    int status = 0;

    if (a->n_files > 0)
        return cli_fail("rules schema", 2, "%s: unexpected", a->files[0]);
    dlp_rules_schema(&out);
    if (!gw_buf_ok(&out) || fwrite(out.ptr, 1, out.len, stdout) != out.len)
        status = cli_fail("rules schema", 1, "cannot write the schema");
    gw_buf_fini(&out);
    return status;
}

/* ---- command line ----------------------------------------------------------------------- */

/* Takes the value of an option that needs one. */
static const char *value(int argc, char **argv, int *i)
{
    if (*i + 1 >= argc) {
        (void)cli_fail("rules", 2, "%s needs a value", argv[*i]);
        return NULL;
    }
    return argv[++*i];
}

/* Parses what follows the subcommand; false after a message. */
static bool parse(int argc, char **argv, struct cmd_rules_args *a)
{
    bool options = true;

    for (int i = 2; i < argc; i++) {
        const char *v = NULL;

        if (!options || argv[i][0] != '-' || argv[i][1] == '\0') {
            a->files[a->n_files++] = argv[i];
        } else if (strcmp(argv[i], "--") == 0) {
            options = false;
        } else if (strcmp(argv[i], "--json") == 0) {
            a->json = true;
        } else if (strcmp(argv[i], "-o") == 0 || strcmp(argv[i], "--rules") == 0 ||
                   strcmp(argv[i], "--text") == 0) {
            const char *option = argv[i];

            v = value(argc, argv, &i);
            if (v == NULL)
                return false;
            if (option[2] == 'r')
                a->rules[a->n_rules++] = v;
            else if (option[2] == 't')
                a->text = v;
            else
                a->out = v;
        } else {
            (void)cli_fail("rules", 2, "unknown option %s; try sluice rules --help", argv[i]);
            return false;
        }
    }
    return true;
}

int cmd_rules(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(const struct cmd_rules_args *a);
    } commands[] = {{"list", list},
                    {"test", cmd_rules_test},
                    {"explain", cmd_rules_explain},
                    {"lint", cmd_rules_lint},
                    {"bench", cmd_rules_bench},
                    {"diff", cmd_rules_diff},
                    {"import", cmd_rules_import},
                    {"build", build},
                    {"schema", schema}};
    struct cmd_rules_args a = {.json = false};
    int status = 2;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            (void)fputs(help, stdout);
            return 0;
        }
    }
    if (argc < 2) {
        (void)fputs(help, stderr);
        return 2;
    }
    a.rules = calloc((size_t)argc, sizeof(*a.rules));
    a.files = calloc((size_t)argc, sizeof(*a.files));
    if (a.rules == NULL || a.files == NULL) {
        status = cli_fail("rules", 1, "out of memory");
        goto out;
    }
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (strcmp(argv[1], commands[i].name) != 0)
            continue;
        if (parse(argc, argv, &a))
            status = commands[i].run(&a);
        goto out;
    }
    status = cli_fail("rules", 2, "unknown command %s; try sluice rules --help", argv[1]);
out:
    free(a.rules);
    free(a.files);
    return status;
}
