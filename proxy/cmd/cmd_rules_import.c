/* proxy/cmd/cmd_rules_import.c - sluice rules import: rules of other tools as rules of ours. One thread. */
#include <sys/stat.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proxy/cli.h"
#include "proxy/cmd/cmd_rules.h"
#include "proxy/import/import.h"

enum { ARENA_BYTES = 1 << 30 };

typedef enum gw_status import_fn(struct import_run *x, struct gw_span text, const char *name,
                                 struct gw_err *err);

struct importer {
    struct import_run run;
    import_fn *read;
    const char *what; /* the tool */
    struct gw_buf text;
    bool json;
    unsigned n_noted;
};

static void report(void *ctx, struct gw_span id, const char *note, const char *reason)
{
    struct importer *x = ctx;
    struct gw_buf out = {NULL, 0, 0, false};

    x->n_noted += reason == NULL && note[0] != '\0';
    if (x->json) {
        gw_buf_adds(&out, "{\"rule\":");
        gw_buf_add_json_str(&out, id);
        gw_buf_printf(&out, ",\"carried\":%s,\"%s\":", reason == NULL ? "true" : "false",
                      reason == NULL ? "note" : "reason");
        gw_buf_add_json_str(&out, gw_span_str(reason == NULL ? note : reason));
        printf("%.*s}\n", (int)out.len, out.ptr == NULL ? "" : out.ptr);
        gw_buf_fini(&out);
    } else if (reason != NULL) {
        printf("%sleft out%s  %.*s: %s\n", cli_paint(stdout, "red"), cli_paint(stdout, "reset"),
               (int)id.len, id.ptr, reason);
    } else if (note[0] != '\0') {
        printf("%snote%s      %.*s: %s\n", cli_paint(stdout, "yellow"), cli_paint(stdout, "reset"),
               (int)id.len, id.ptr, note);
    }
}

static bool is_yaml(const char *path)
{
    size_t n = strlen(path);

    return (n > 5 && strcmp(path + n - 5, ".yaml") == 0) ||
           (n > 4 && strcmp(path + n - 4, ".yml") == 0);
}

/* Folders hold other files as well; a file that was named is read whatever it is called. */
static int import_file(void *ctx, const char *path)
{
    struct importer *x = ctx;
    struct gw_err err;

    if (cmd_rules_read_file("rules import", path, &x->text) != 0)
        return 1;
    if (x->read(&x->run, gw_buf_span(&x->text), path, &err) != GW_OK)
        return cli_fail_err("rules import", &err);
    return 0;
}

static int import_found(void *ctx, const char *path)
{
    return is_yaml(path) ? import_file(ctx, path) : 0;
}

/* Each argument: a file as it is, of a folder its YAML files. */
static int read_all(struct importer *x, const struct cmd_rules_args *a)
{
    int status = 0;

    for (unsigned i = 1; i < a->n_files && status == 0; i++) {
        struct stat info;
        bool folder = stat(a->files[i], &info) == 0 && S_ISDIR(info.st_mode);

        status = folder ? cmd_rules_each_file("rules import", &a->files[i], 1, import_found, x)
                        : import_file(x, a->files[i]);
    }
    return status;
}

static int write_rules(const struct importer *x, const char *dir)
{
    char *path = NULL;
    FILE *f = NULL;
    bool ok;

    if (asprintf(&path, "%s/%s.yaml", dir, x->what) < 0)
        return cli_fail("rules import", 1, "out of memory");
    f = fopen(path, "we");
    ok = f != NULL &&
         fprintf(f,
                 "# Rules of %s, written by: sluice rules import. Examples are in base64.\n"
                 "# Look at them with sluice rules lint, and try them with sluice rules test.\n\n",
                 x->what) > 0 &&
         fwrite(x->run.yaml.ptr, 1, x->run.yaml.len, f) == x->run.yaml.len;
    if (f != NULL && fclose(f) != 0)
        ok = false;
    if (ok)
        (void)fprintf(stderr, "%u of %u rules carried over (%u with notes) to %s\n",
                      x->run.n_carried, x->run.n_carried + x->run.n_left, x->n_noted, path);
    else
        (void)cli_fail("rules import", 1, "%s: %s; give a folder that can be written", path,
                       strerrorname_np(errno));
    free(path);
    return ok ? 0 : 1;
}

static int import_all(struct importer *x, const struct cmd_rules_args *a)
{
    char *trial = NULL;
    int status;

    if (mkdir(a->out, 0755) != 0 && errno != EEXIST)
        return cli_fail("rules import", 1, "%s: %s; give a folder that can be written", a->out,
                        strerrorname_np(errno));
    if (asprintf(&trial, "%s/.import-%ld.yaml", a->out, (long)getpid()) < 0)
        return cli_fail("rules import", 1, "out of memory");
    x->run.trial = trial;
    x->run.report = report;
    x->run.ctx = x;
    x->run.arena = gw_arena_new(ARENA_BYTES);
    x->run.scanner = dlp_scanner_new();
    status = x->run.arena == NULL || x->run.scanner == NULL
                 ? cli_fail("rules import", 1, "out of memory")
                 : read_all(x, a);
    (void)unlink(trial);
    free(trial);
    if (status == 0 && x->run.n_carried == 0)
        status =
            cli_fail("rules import", 1, "nothing could be carried over (%u rules)", x->run.n_left);
    return status == 0 ? write_rules(x, a->out) : status;
}

int cmd_rules_import(const struct cmd_rules_args *a)
{
    static const struct {
        const char *name;
        import_fn *read;
    } tools[] = {{"gitleaks", import_gitleaks},
                 {"noseyparker", import_noseyparker},
                 {"presidio", import_presidio}};
    struct importer x = {.json = a->json};
    int status;

    if (a->n_files < 2 || a->out == NULL)
        return cli_fail("rules import", 2,
                        "say which tool, which files, and where to: gitleaks FILE.toml -o DIR");
    for (size_t i = 0; i < sizeof(tools) / sizeof(tools[0]); i++) {
        if (strcmp(a->files[0], tools[i].name) == 0) {
            x.what = tools[i].name;
            x.read = tools[i].read;
        }
    }
    if (x.read == NULL)
        return cli_fail("rules import", 2,
                        "%s: unknown; there are gitleaks, noseyparker (also Titus) and presidio",
                        a->files[0]);
    status = import_all(&x, a);
    gw_buf_fini(&x.text);
    gw_buf_fini(&x.run.yaml);
    gw_buf_fini(&x.run.notes);
    dlp_scanner_free(x.run.scanner);
    gw_arena_free(x.run.arena);
    return status;
}
