/* proxy/cmd/cmd_dlp_staged.c - what a commit would hold: asks git for names and contents. One thread. */
#include <sys/wait.h>

#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "proxy/cli.h"
#include "proxy/cmd/cmd_dlp_scan.h"

enum { MAX_ARGS = 8 };

/* Starts git with a pipe at its standard output. Returns the pipe's end, or -1 with errno set. */
static int git(const char *const *argv, unsigned n, pid_t *pid)
{
    char *args[MAX_ARGS + 1] = {NULL};
    posix_spawn_file_actions_t actions;
    int ends[2], error;

    memcpy(args, argv, n * sizeof(args[0])); /* posix_spawn does not write to them */
    if (pipe(ends) != 0)
        return -1;
    (void)posix_spawn_file_actions_init(&actions);
    (void)posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    (void)posix_spawn_file_actions_addclose(&actions, ends[0]);
    (void)posix_spawn_file_actions_addclose(&actions, ends[1]);
    error = posix_spawnp(pid, "git", &actions, NULL, args, environ);
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)close(ends[1]);
    if (error == 0)
        return ends[0];
    (void)close(ends[0]);
    errno = error;
    return -1;
}

/* Closes the pipe and waits; false when git said no. */
static bool finish(int fd, pid_t pid)
{
    int status = 0;

    (void)close(fd);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool read_names(int fd, struct gw_buf *names)
{
    char bytes[4096];
    ssize_t n;

    while ((n = read(fd, bytes, sizeof(bytes))) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        gw_buf_add(names, (struct gw_span){bytes, (size_t)n});
    }
    return gw_buf_ok(names);
}

static int scan_staged(const char *name, int (*each)(void *ctx, const char *name, int fd),
                       void *ctx)
{
    struct gw_buf object = {NULL, 0, 0, false};
    int fd, status;
    pid_t pid = 0;

    gw_buf_printf(&object, ":%s", name);
    if (!gw_buf_ok(&object))
        return cli_fail("dlp scan", 3, "out of memory");
    fd = git((const char *const[]){"git", "cat-file", "blob", object.ptr}, 4, &pid);
    gw_buf_fini(&object);
    if (fd < 0)
        return cli_fail("dlp scan", 3, "git: %s",
                        strerror(errno)); // NOLINT(concurrency-mt-unsafe): one thread
    status = each(ctx, name, fd);
    /* A submodule is no blob; a file that was skipped early leaves git with a closed pipe. */
    (void)finish(fd, pid);
    return status;
}

int cmd_dlp_staged(int (*each)(void *ctx, const char *name, int fd), void *ctx)
{
    static const char *const diff[] = {
        "git",
        "diff",
        "--cached",
        "--name-only",
        "-z",
        "--no-ext-diff",
        "--diff-filter=ACMRT",
        "--no-relative",
    };
    struct gw_buf names = {NULL, 0, 0, false};
    int fd, status = 0;
    pid_t pid = 0;
    bool ok;

    fd = git(diff, sizeof(diff) / sizeof(diff[0]), &pid);
    if (fd < 0)
        return cli_fail("dlp scan", 3, "git: %s; --staged needs it",
                        strerror(errno)); // NOLINT(concurrency-mt-unsafe): one thread
    ok = read_names(fd, &names);
    if (!finish(fd, pid) || !ok) {
        gw_buf_fini(&names);
        return cli_fail("dlp scan", 3, "git diff --cached failed; --staged works in a repository");
    }
    for (size_t at = 0; at < names.len && status == 0; at += strlen(names.ptr + at) + 1)
        status = scan_staged(names.ptr + at, each, ctx);
    gw_buf_fini(&names);
    return status;
}
