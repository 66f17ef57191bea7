/* dlp/rulec_build.c - from rule files to a shared object: emit, re2c, cc, load, run every example,
 * rename into place. Blocks for seconds; the thread that calls it must be free to.
 *
 * The tools run confined (dlp/confine.h) in a folder only we can read. What exists at out_so is replaced only by an object that passed. */
#include <sys/stat.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dlp/bundle.h"
#include "dlp/confine.h"
#include "dlp/rulec.h"

enum { ARENA_BYTES = 512 << 20, TOOL_S = 300, MAX_PATH = 4096 };

/* The names used during one build, all inside a private folder beside the output. */
struct workshop {
    char dir[MAX_PATH], re[MAX_PATH], c[MAX_PATH], so[MAX_PATH], log[MAX_PATH];
};

static enum gw_status write_file(const char *path, struct gw_span text, struct gw_err *err)
{
    FILE *f = fopen(path, "we");
    bool ok = f != NULL && fwrite(text.ptr, 1, text.len, f) == text.len;

    if (f != NULL && fclose(f) != 0)
        ok = false;
    return ok ? GW_OK
              : gw_fail(err, GW_EIO, "%s: %s; cannot write there", path, strerrorname_np(errno));
}

/* ---- tools ------------------------------------------------------------------------------ */

static enum gw_status compile(const struct workshop *w, struct gw_err *err)
{
    const struct confine c = {.dir = w->dir, .log = w->log, .max_s = TOOL_S};
    const char *const re2c[] = {"re2c", RULEC_RE2C_FLAGS, "-o", "rules.c", "rules.re", NULL};
    const char *const cc[] = {
        "cc", "-std=c11", "-O2",     "-w", "-shared", "-fPIC", "-fvisibility=hidden",
        "-o", "rules.so", "rules.c", NULL};

    GW_TRY(confine_run(re2c, &c, err));
    return confine_run(cc, &c, err);
}

/* ---- check ------------------------------------------------------------------------------ */

static enum gw_status check_object(const char *so, const char *digest, struct gw_err *err)
{
    struct dlp_rules *r = NULL;
    enum gw_status st = GW_OK;

    GW_TRY(dlp_rules_load(so, &r, err));
    if (strcmp(dlp_rules_digest(r), digest) != 0)
        st = gw_fail(err, GW_ECORRUPT, "%s: not the object that was just built; try again", so);
    else
        st = bundle_check_examples(r, NULL, err);
    dlp_rules_unref(r);
    return st;
}

/* ---- the whole -------------------------------------------------------------------------- */

static enum gw_status open_workshop(const char *out_so, struct workshop *w, struct gw_err *err)
{
    const char *slash = strrchr(out_so, '/');
    int dir_len = slash == NULL ? 1 : (int)(slash - out_so + 1);
    int n = snprintf(w->dir, sizeof(w->dir) - 16, "%.*s%s.sluice-rules-XXXXXX", dir_len,
                     slash == NULL ? "." : out_so, slash == NULL ? "/" : "");

    if (n < 0 || n >= (int)sizeof(w->dir) - 16)
        return gw_fail(err, GW_ELIMIT, "%.80s...: the path is too long", out_so);
    if (mkdtemp(w->dir) == NULL)
        return gw_fail(err, GW_EIO, "%s: %s; cannot make a folder beside the output", out_so,
                       strerrorname_np(errno));
    (void)snprintf(w->re, sizeof(w->re), "%.*s/rules.re", MAX_PATH - 16, w->dir);
    (void)snprintf(w->c, sizeof(w->c), "%.*s/rules.c", MAX_PATH - 16, w->dir);
    (void)snprintf(w->so, sizeof(w->so), "%.*s/rules.so", MAX_PATH - 16, w->dir);
    (void)snprintf(w->log, sizeof(w->log), "%.*s/log", MAX_PATH - 16, w->dir);
    return GW_OK;
}

static void close_workshop(const struct workshop *w)
{
    (void)unlink(w->re);
    (void)unlink(w->c);
    (void)unlink(w->so);
    (void)unlink(w->log);
    (void)rmdir(w->dir);
}

static enum gw_status build_object(const char *out_so, const struct rulec_set *set,
                                   struct gw_span source, struct gw_err *err)
{
    struct workshop w = {.dir = ""};
    enum gw_status st = GW_OK;

    GW_TRY(open_workshop(out_so, &w, err));
    st = write_file(w.re, source, err);
    if (st == GW_OK)
        st = compile(&w, err);
    if (st == GW_OK)
        st = check_object(w.so, set->digest, err);
    if (st == GW_OK && rename(w.so, out_so) != 0)
        st = gw_fail(err, GW_EIO, "%s: %s; cannot put the rules there", out_so,
                     strerrorname_np(errno));
    close_workshop(&w);
    return st;
}

enum gw_status dlp_rules_build(const struct dlp_build *build, struct gw_err *err)
{
    struct gw_arena *arena = gw_arena_new(ARENA_BYTES);
    struct rulec_set set = {.arena = arena};
    struct gw_buf source = {NULL, 0, 0, false};
    enum gw_status st =
        arena == NULL ? gw_fail(err, GW_ENOMEM, "out of memory for the rules") : GW_OK;

    if (st == GW_OK)
        st = rulec_load_paths(&set, build->paths, build->n_paths, err);
    if (st == GW_OK)
        st = rulec_emit(&set, BUNDLE_SYMBOL, &source, err);
    if (st == GW_OK && build->out_c != NULL)
        st = write_file(build->out_c, gw_buf_span(&source), err);
    if (st == GW_OK && build->out_so != NULL)
        st = build_object(build->out_so, &set, gw_buf_span(&source), err);
    gw_buf_fini(&source);
    gw_arena_free(arena);
    return st;
}

enum gw_status dlp_rules_source_digest(const char *const *paths, unsigned n_paths, char digest[65],
                                       struct gw_err *err)
{
    struct gw_arena *arena = gw_arena_new(ARENA_BYTES);
    struct rulec_set set = {.arena = arena};
    enum gw_status st =
        arena == NULL ? gw_fail(err, GW_ENOMEM, "out of memory for the rules") : GW_OK;

    if (st == GW_OK)
        st = rulec_load_paths(&set, paths, n_paths, err);
    if (st == GW_OK)
        memcpy(digest, set.digest, sizeof(set.digest));
    gw_arena_free(arena);
    return st;
}
