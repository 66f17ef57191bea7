/* dlp/confine.c - runs a tool as a child that can do little harm, see the header. */
#include "dlp/confine.h"

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

enum {
    MAX_PATH = 4096,
    MAX_DESCRIPTORS = 256,
    MAX_FILE_BYTES = 256 << 20,
    POLL_NS = 2000000,
    CANNOT_START = 126,
    NOT_INSTALLED = 127,
};

/* The strings of the child's environment. */
struct surroundings {
    char path[MAX_PATH], tmp[MAX_PATH];
    char *env[4];
};

static enum gw_status surround(const struct confine *c, struct surroundings *s, struct gw_err *err)
{
    const char *path = getenv("PATH"); // NOLINT(concurrency-mt-unsafe): nobody here sets it
    int n = snprintf(s->path, sizeof(s->path), "PATH=%s", path == NULL ? "/usr/bin:/bin" : path);
    int m = snprintf(s->tmp, sizeof(s->tmp), "TMPDIR=%s", c->dir);
    static char locale[] = "LC_ALL=C";

    if (n < 0 || (size_t)n >= sizeof(s->path) || m < 0 || (size_t)m >= sizeof(s->tmp))
        return gw_fail(err, GW_ELIMIT, "PATH, or the path of a folder, is too long to run tools");
    s->env[0] = s->path;
    s->env[1] = s->tmp;
    s->env[2] = locale;
    s->env[3] = NULL;
    return GW_OK;
}

/* ---- the child, between fork and exec: system calls only -------------------------------- */

static void limit(int what, rlim_t max)
{
    const struct rlimit l = {max, max};

    (void)setrlimit((__rlimit_resource_t)what, &l);
}

static void give_up_rights(const struct confine *c)
{
    sigset_t none;

    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL); // NOLINT(concurrency-mt-unsafe): one thread
    (void)signal(SIGPIPE, SIG_DFL);              // NOLINT(concurrency-mt-unsafe): one thread
    (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    /* An empty network; without the right to make one, inside a user namespace; else it stays as it is. */
    if (unshare(CLONE_NEWNET) != 0)
        (void)unshare(CLONE_NEWUSER | CLONE_NEWNET);
    limit(RLIMIT_CPU, c->max_s);
    limit(RLIMIT_AS, (rlim_t)4 << 30);
    limit(RLIMIT_FSIZE, MAX_FILE_BYTES);
    limit(RLIMIT_NOFILE, MAX_DESCRIPTORS);
    limit(RLIMIT_CORE, 0);
}

_Noreturn static void become(const char *const *argv, const struct confine *c,
                             const struct surroundings *s, pid_t parent)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    int log = open(c->log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    char *const *args = NULL;

    if (null < 0 || log < 0 || dup2(null, 0) < 0 || dup2(log, 1) < 0 || dup2(log, 2) < 0 ||
        chdir(c->dir) != 0 || close_range(3, ~0U, 0) != 0)
        _exit(CANNOT_START);
    (void)setpgid(0, 0);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) /* it ended before that */
        _exit(CANNOT_START);
    give_up_rights(c);
    memcpy(&args, &argv, sizeof(args)); /* exec changes nothing but was declared before const */
    (void)execvpe(argv[0], args, s->env);
    _exit(NOT_INSTALLED);
}

/* ---- the parent ------------------------------------------------------------------------- */

/* Waits for the child's end; ends it when its time is over. */
static enum gw_status await(pid_t pid, const struct confine *c, int *status)
{
    const struct timespec tick = {0, POLL_NS};
    uint64_t deadline = gw_clock_ns() + (uint64_t)c->max_s * GW_NS_PER_MS * 1000;
    enum gw_status st = GW_OK;

    for (;;) {
        pid_t ended = waitpid(pid, status, WNOHANG);

        if (ended == pid)
            break;
        if (ended < 0 && errno != EINTR)
            return GW_EIO;
        if (gw_clock_ns() > deadline)
            st = GW_ETIMEDOUT;
        if (c->stop != NULL && atomic_load_explicit(c->stop, memory_order_relaxed))
            st = GW_ECANCELED;
        if (st != GW_OK && kill(-pid, SIGKILL) != 0) /* before it has its group */
            (void)kill(pid, SIGKILL);
        (void)nanosleep(&tick, NULL);
    }
    (void)kill(-pid, SIGKILL); /* what it may have left behind */
    return st;
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

static enum gw_status explain(const char *tool, const struct confine *c, int status,
                              struct gw_err *err)
{
    char line[200];

    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return GW_OK;
    if (WIFEXITED(status) && WEXITSTATUS(status) == NOT_INSTALLED)
        return gw_fail(err, GW_ENOENT,
                       "%s is not installed; building rules needs re2c and a C compiler "
                       "(apt install re2c gcc)",
                       tool);
    first_line(c->log, line, sizeof(line));
    return gw_fail(err, GW_EIO, "%s failed (%s %d): %s", tool,
                   WIFSIGNALED(status) ? "signal" : "status",
                   WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status), line);
}

enum gw_status confine_run(const char *const *argv, const struct confine *c, struct gw_err *err)
{
    struct surroundings s = {.path = ""};
    enum gw_status st = surround(c, &s, err);
    pid_t parent = getpid(), pid = 0;
    int status = 0;

    if (st != GW_OK)
        return st;
    pid = fork();
    if (pid < 0)
        return gw_fail(err, GW_EIO, "%s: %s; cannot start a process", argv[0],
                       strerrordesc_np(errno));
    if (pid == 0)
        become(argv, c, &s, parent);
    st = await(pid, c, &status);
    if (st == GW_ETIMEDOUT)
        return gw_fail(err, st, "%s: ended after %u seconds", argv[0], c->max_s);
    if (st == GW_ECANCELED)
        return gw_fail(err, st, "%s: stopped", argv[0]);
    if (st != GW_OK)
        return gw_fail(err, st, "%s: %s; cannot wait for it", argv[0], strerrordesc_np(errno));
    return explain(argv[0], c, status, err);
}
