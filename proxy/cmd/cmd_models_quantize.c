/* proxy/cmd/cmd_models_quantize.c - sluice models quantize. One thread of its own, and the engine's. */
#include <getopt.h>
#include <stdio.h>

#include "engine/engine.h"
#include "proxy/cli.h"
#include "proxy/cmd/cmd_models.h"
#include "proxy/fetch/fetch.h"

enum { OPT_DIR = 256, OPT_TYPE, OPT_THREADS, MAX_THREADS = 1024 };

struct options {
    const char *dir, *type, *out;
    unsigned long threads;
};

static void show(void *ctx, uint64_t done, uint64_t total)
{
    (void)ctx;
    cli_progress("quantizing", done, total);
}

/* False: getopt, or this, has said what is wrong. */
static bool parse(int argc, char **argv, struct options *o)
{
    static const struct option options[] = {{"dir", required_argument, NULL, OPT_DIR},
                                            {"type", required_argument, NULL, OPT_TYPE},
                                            {"threads", required_argument, NULL, OPT_THREADS},
                                            {"output", required_argument, NULL, 'o'},
                                            {NULL, 0, NULL, 0}};

    // NOLINTNEXTLINE(concurrency-mt-unsafe): commands are one thread
    for (int c; (c = getopt_long(argc, argv, "o:", options, NULL)) != -1;) {
        if (c == OPT_DIR)
            o->dir = optarg;
        else if (c == OPT_TYPE)
            o->type = optarg;
        else if (c == 'o')
            o->out = optarg;
        else if (c != OPT_THREADS || !models_number(optarg, 1, MAX_THREADS, &o->threads))
            return false;
    }
    return true;
}

int models_quantize(int argc, char **argv)
{
    struct options o = {.type = "Q4_K_M"};
    char path[MODELS_PATH_BYTES], hex[FETCH_HEX_BYTES];
    struct engine_quantize q;
    struct gw_err err = {0};

    if (!parse(argc, argv, &o))
        return 2;
    if (argc - optind != 1 || o.out == NULL)
        return models_usage("quantize takes one model, and -o FILE");
    if (models_find(argv[optind], o.dir, path, &err) != GW_OK)
        return cli_fail_err("models quantize", &err);
    q = (struct engine_quantize){.model_path = path,
                                 .type = o.type,
                                 .out_path = o.out,
                                 .threads = (unsigned)o.threads,
                                 .progress = show};
    if (engine_quantize(&q, &err) != GW_OK || fetch_hash(o.out, "hashing", hex, &err) != GW_OK ||
        fetch_note(o.out, hex, &err) != GW_OK)
        return cli_fail_err("models quantize", &err);
    printf("%s: %s, %.1f MB, sha256 %s\n", o.out, o.type, (double)q.bytes / 1e6, hex);
    return 0;
}
