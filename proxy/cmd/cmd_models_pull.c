/* proxy/cmd/cmd_models_pull.c - sluice models pull. One thread. */
#include <sys/stat.h>

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/cli.h"
#include "proxy/cmd/cmd_models.h"
#include "proxy/fetch/fetch.h"

enum { OPT_SHA256 = 256, OPT_DIR, OPT_QUIET };

/* Makes the folder and those above it. */
static enum gw_status make_folders(const char *dir, struct gw_err *err)
{
    char path[MODELS_PATH_BYTES];
    size_t n = strlen(dir);

    if (n == 0 || n >= sizeof(path))
        return gw_fail(err, GW_EINVAL, "the folder of models has no name, or one that is too long");
    memcpy(path, dir, n + 1);
    for (size_t i = 1; i <= n; i++) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        path[i] = '\0';
        if (mkdir(path, 0755) != 0 && errno != EEXIST)
            return gw_fail(err, GW_EIO, "cannot make the folder %s", path);
        path[i] = i < n ? '/' : '\0';
    }
    return GW_OK;
}

/* The final name: -o, else `name` in the folder of models. */
static enum gw_status choose_path(struct gw_span name, const char *output, const char *dir_flag,
                                  char out[MODELS_PATH_BYTES], struct gw_err *err)
{
    char dir[MODELS_PATH_BYTES];
    int n;

    if (output != NULL) {
        n = snprintf(out, MODELS_PATH_BYTES, "%s", output);
    } else {
        if (name.len == 0 || name.ptr[0] == '.')
            return gw_fail(err, GW_EINVAL, "the source has no file name: choose one with -o");
        GW_TRY(models_dir(dir_flag, dir, err));
        GW_TRY(make_folders(dir, err));
        n = snprintf(out, MODELS_PATH_BYTES, "%s/%.*s", dir, (int)name.len, name.ptr);
    }
    return n < 0 || n >= MODELS_PATH_BYTES ? gw_fail(err, GW_ELIMIT, "the path is too long")
                                           : GW_OK;
}

/* known: NULL when the source was spelled out. */
static int pull(const struct fetch_job *job, const struct models_known *known)
{
    static const char *const said[] = {[FETCH_DONE] = "fetched",
                                       [FETCH_ALREADY] = "already there",
                                       [FETCH_UNPROVEN] = "already there, never compared"};
    char hex[FETCH_HEX_BYTES] = "";
    enum fetch_result result;
    struct gw_err err = {0};
    enum gw_status st;

    if (known != NULL && known->members != NULL) {
        st = fetch_folder(job, known->members, known->n_members, &result, &err);
        (void)snprintf(hex, sizeof(hex), "%s", job->sha256);
    } else {
        st = fetch_file(job, &result, hex, &err);
    }
    if (st != GW_OK)
        return cli_fail_err("models pull", &err);
    printf("%s: %s, sha256 %s\n", job->path, said[result], hex);
    return 0;
}

int models_pull(int argc, char **argv)
{
    static const struct option options[] = {{"sha256", required_argument, NULL, OPT_SHA256},
                                            {"dir", required_argument, NULL, OPT_DIR},
                                            {"quiet", no_argument, NULL, OPT_QUIET},
                                            {NULL, 0, NULL, 0}};
    char path[MODELS_PATH_BYTES];
    const char *output = NULL, *dir = NULL;
    const struct models_known *known;
    struct fetch_job job = {.path = path};
    struct gw_err err = {0};

    // NOLINTNEXTLINE(concurrency-mt-unsafe): commands are one thread
    for (int c; (c = getopt_long(argc, argv, "o:q", options, NULL)) != -1;) {
        if (c == OPT_SHA256)
            job.sha256 = optarg;
        else if (c == OPT_DIR)
            dir = optarg;
        else if (c == 'o')
            output = optarg;
        else if (c == OPT_QUIET || c == 'q')
            job.quiet = true;
        else
            return 2;
    }
    if (argc - optind > 1)
        return models_usage("pull takes one model");
    known = models_known(argv[optind]); /* NULL at the end of argv: the default */
    if (known == NULL && strchr(argv[optind], ':') == NULL)
        return models_usage("that is neither a source nor the name of a model that pull knows");
    job.source = known != NULL ? known->source : argv[optind];
    if (known != NULL && job.sha256 == NULL)
        job.sha256 = known->sha256;
    if (choose_path(known != NULL ? gw_span_str(known->file) : fetch_source_name(job.source),
                    output, dir, path, &err) != GW_OK)
        return cli_fail_err("models pull", &err);
    return pull(&job, known);
}
