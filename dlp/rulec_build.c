/* dlp/rulec_build.c - from rule files to a shared object: emit, re2c, cc, load, run every example,
 * rename into place. Blocks for seconds; the thread that calls it must be free to.
 *
 * The tools run without a shell, in a folder only we can read, with limits on time, memory and file
 * size. What exists at out_so is replaced only by an object that passed. */
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dlp/bundle.h"
#include "dlp/rulec.h"

enum { ARENA_BYTES = 512 << 20, TOOL_CPU_S = 300, MAX_PATH = 4096 };

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

static void limit(int what, rlim_t max)
{
    const struct rlimit l = {max, max};

    (void)setrlimit((__rlimit_resource_t)what, &l);
}

/* The child's side, between fork and exec: system calls only. */
_Noreturn static void become(const char *const *argv, const struct workshop *w, char *const *env)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    int log = open(w->log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    char *const *args = NULL;

    if (null < 0 || log < 0 || dup2(null, 0) < 0 || dup2(log, 1) < 0 || dup2(log, 2) < 0)
        _exit(126);
    memcpy(&args, &argv, sizeof(args)); /* exec changes nothing but was declared before const */
    limit(RLIMIT_CPU, TOOL_CPU_S);
    limit(RLIMIT_AS, (rlim_t)8 << 30);
    limit(RLIMIT_FSIZE, (rlim_t)1 << 30);
    limit(RLIMIT_CORE, 0);
    (void)execvpe(argv[0], args, env);
    _exit(127);
}

/* The first line a tool printed, for the message. */
static void first_line(const char *path, char *out, size_t size)
{
    FILE *f = fopen(path, "re");

    out[0] = '\0';
    if (f == NULL)
        return;
    if (fgets(out, (int)size, f) == NULL)
        out[0] = '\0';
    out[strcspn(out, "\n")] = '\0';
    (void)fclose(f);
}

static enum gw_status run_tool(const char *const *argv, const struct workshop *w,
                               struct gw_err *err)
{
    const char *path = getenv("PATH"); // NOLINT(concurrency-mt-unsafe): nobody here sets it
    char path_var[MAX_PATH], tmp_var[MAX_PATH + 16], line[200];
    char *env[] = {path_var, tmp_var, NULL};
    int status = 0, n = 0;
    pid_t pid = 0;

    n = snprintf(path_var, sizeof(path_var), "PATH=%s", path == NULL ? "/usr/bin:/bin" : path);
    if (n < 0 || (size_t)n >= sizeof(path_var))
        return gw_fail(err, GW_ELIMIT, "PATH is too long to run %s", argv[0]);
    (void)snprintf(tmp_var, sizeof(tmp_var), "TMPDIR=%s", w->dir);
    pid = fork();
    if (pid < 0)
        return gw_fail(err, GW_EIO, "%s: %s; cannot start a process", argv[0],
                       strerrorname_np(errno));
    if (pid == 0)
        become(argv, w, env);
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return gw_fail(err, GW_EIO, "%s: %s", argv[0], strerrorname_np(errno));
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return GW_OK;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
        return gw_fail(err, GW_ENOENT,
                       "%s is not installed; building rules needs re2c and a C compiler "
                       "(apt install re2c gcc)",
                       argv[0]);
    first_line(w->log, line, sizeof(line));
    return gw_fail(err, GW_EIO, "%s failed (%s %d): %s", argv[0],
                   WIFSIGNALED(status) ? "signal" : "status",
                   WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status), line);
}

static enum gw_status compile(const struct workshop *w, struct gw_err *err)
{
    const char *const re2c[] = {"re2c", RULEC_RE2C_FLAGS, "-o", w->c, w->re, NULL};
    const char *const cc[] = {
        "cc", "-std=c11", "-O2", "-w", "-shared", "-fPIC", "-fvisibility=hidden",
        "-o", w->so,      w->c,  NULL};

    GW_TRY(run_tool(re2c, w, err));
    return run_tool(cc, w, err);
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
        st = bundle_check_examples(r, err);
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
