/* proxy/cmd/cmd_audit_prove.c - `sluice audit verify | head | prove | check`. One thread. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "audit/audit.h"
#include "base/buf.h"
#include "proxy/cli.h"
#include "proxy/cmd/cmd_audit.h"
#include "proxy/config/config.h"

enum { OPT_SPOOL = 256, OPT_KEY, OPT_LAST, OPT_CHECKPOINTS, OPT_WITNESS };
enum { MAX_FILE_BYTES = 64 << 20 };

struct proving {
    const char *config, *spool, *key, *last, *checkpoints, *witness;
    struct cmd_audit_source source;
    struct gw_buf key_text, last_text, witness_text;
    bool help;
};

static int parse(int argc, char **argv, struct proving *p)
{
    static const struct option longs[] = {{"config", required_argument, NULL, 'c'},
                                          {"spool", required_argument, NULL, OPT_SPOOL},
                                          {"key", required_argument, NULL, OPT_KEY},
                                          {"last-known", required_argument, NULL, OPT_LAST},
                                          {"checkpoints", required_argument, NULL, OPT_CHECKPOINTS},
                                          {"witness", required_argument, NULL, OPT_WITNESS},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    int c;

    // NOLINTNEXTLINE(concurrency-mt-unsafe): commands are one thread
    while ((c = getopt_long(argc, argv, "c:h", longs, NULL)) != -1) {
        if (c == 'c')
            p->config = optarg;
        else if (c == OPT_SPOOL)
            p->spool = optarg;
        else if (c == OPT_KEY)
            p->key = optarg;
        else if (c == OPT_LAST)
            p->last = optarg;
        else if (c == OPT_CHECKPOINTS)
            p->checkpoints = optarg;
        else if (c == OPT_WITNESS)
            p->witness = optarg;
        else if (c == 'h')
            p->help = true;
        else
            return cli_fail("audit", 2, "see sluice audit --help");
    }
    if (optind < argc && p->spool == NULL && strcmp(argv[0], "verify") == 0)
        p->spool = argv[optind++];
    if (p->config != NULL && p->spool != NULL && !cmd_audit_is_topic(p->spool))
        return cli_fail("audit", 2, "-c and --spool name the same thing: give one of them");
    if (cmd_audit_is_topic(p->spool) && strcmp(argv[0], "verify") != 0)
        return cli_fail("audit", 2, "%s reads a spool: proofs need the hashes beside it", argv[0]);
    if (cmd_audit_is_topic(p->spool) && p->witness != NULL)
        return cli_fail("audit", 2, "--witness reads a spool: cosignatures stand beside it");
    return 0;
}

/* Reads a file, "-" for standard input. Returns 0 or the exit status. */
static int read_text(const char *path, struct gw_buf *out)
{
    FILE *f = strcmp(path, "-") == 0 ? stdin : fopen(path, "rbe");
    char chunk[16384];
    size_t n;
    bool bad;

    if (f == NULL)
        return cli_fail("audit", 1, "%s: %s", path, strerrordesc_np(errno));
    while ((n = fread(chunk, 1, sizeof(chunk), f)) != 0 && out->len < MAX_FILE_BYTES)
        gw_buf_add(out, (struct gw_span){chunk, n});
    bad = ferror(f) != 0;
    if (f != stdin)
        (void)fclose(f);
    if (bad || !gw_buf_ok(out))
        return cli_fail("audit", 1, "%s: cannot be read", path);
    return out->len >= MAX_FILE_BYTES ? cli_fail("audit", 1, "%s: larger than 64 MiB", path) : 0;
}

static int failed(const struct gw_err *err)
{
    return cli_fail_err("audit", err);
}

static int run_verify(struct proving *p)
{
    const struct audit_verify v = {.spool_dir = p->source.spool,
                                   .kafka = p->source.is_topic ? &p->source.kafka : NULL,
                                   .keys = gw_buf_span(&p->key_text),
                                   .last_known = gw_buf_span(&p->last_text),
                                   .witnesses = gw_buf_span(&p->witness_text)};
    enum audit_verdict verdict = AUDIT_INTACT;
    struct gw_err err;

    if (audit_verify(&v, stdout, &verdict, &err) != GW_OK)
        return failed(&err);
    return (int)verdict;
}

static int run_check(struct proving *p, const char *path)
{
    struct gw_buf text = {0};
    enum audit_verdict verdict = AUDIT_INTACT;
    struct gw_err err;
    int status = read_text(path, &text);

    if (status == 0 && audit_check_proof(gw_buf_span(&text), gw_buf_span(&p->key_text), stdout,
                                         &verdict, &err) != GW_OK)
        status = failed(&err);
    gw_buf_fini(&text);
    return status != 0 ? status : (int)verdict;
}

static int run_prove(struct proving *p, const char *what, const char *arg)
{
    struct gw_buf older = {0};
    struct gw_err err;
    int status = 0;

    if (strcmp(what, "inclusion") == 0)
        return audit_prove_inclusion(p->source.spool, arg, stdout, &err) == GW_OK ? 0
                                                                                  : failed(&err);
    if (strcmp(what, "consistency") != 0)
        return cli_fail("audit", 2, "prove what? inclusion ID, or consistency FILE");
    status = read_text(arg, &older);
    if (status == 0 &&
        audit_prove_consistency(p->source.spool, gw_buf_span(&older), stdout, &err) != GW_OK)
        status = failed(&err);
    gw_buf_fini(&older);
    return status;
}

static int run(struct proving *p, const char *name, int n, char **args)
{
    struct gw_err err;

    if (strcmp(name, "check") == 0) {
        if (n != 1 || p->key == NULL)
            return cli_fail("audit", 2, "check takes a file with proofs, and --key FILE");
        return run_check(p, args[0]);
    }
    if (strcmp(name, "prove") == 0) {
        if (n != 2)
            return cli_fail("audit", 2, "prove takes `inclusion ID` or `consistency FILE`");
        return run_prove(p, args[0], args[1]);
    }
    if (n != 0)
        return cli_fail("audit", 2, "what is %s? See sluice audit --help", args[0]);
    if (strcmp(name, "verify") == 0)
        return run_verify(p);
    return audit_head(p->source.spool, stdout, &err) == GW_OK ? 0 : failed(&err);
}

bool cmd_audit_proves(const char *name)
{
    static const char *const names[] = {"verify", "head", "prove", "check"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

int cmd_audit_prove(int argc, char **argv, const char *usage)
{
    struct proving p = {0};
    int status = parse(argc, argv, &p);

    if (status == 0 && p.help) {
        (void)fputs(usage, stdout);
        return 0;
    }
    if (status == 0 && strcmp(argv[0], "check") != 0)
        status = cmd_audit_source(p.config, p.spool, p.checkpoints, &p.source);
    if (status == 0 && p.key != NULL)
        status = read_text(p.key, &p.key_text);
    if (status == 0 && p.last != NULL)
        status = read_text(p.last, &p.last_text);
    if (status == 0 && p.witness != NULL)
        status = read_text(p.witness, &p.witness_text);
    if (status == 0)
        status = run(&p, argv[0], argc - optind, argv + optind);
    gw_buf_fini(&p.key_text);
    gw_buf_fini(&p.last_text);
    gw_buf_fini(&p.witness_text);
    cmd_audit_source_fini(&p.source);
    return status;
}
