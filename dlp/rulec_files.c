/* dlp/rulec_files.c - finds rule files, reads them in name order, digests them. Does file I/O.
 * Thread: one at a time per set. */
#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "dlp/rulec.h"

enum { MAX_FILES = 4096, MAX_DEPTH = 8, MAX_FILE_BYTES = 4 << 20 };

/* One file: where it is, and its name below the path that was given. */
struct file {
    char *path;
    const char *name; /* inside path */
};

struct files {
    struct file *f;
    unsigned n;
};

static enum gw_status add_file(struct files *all, const char *path, size_t name_at,
                               struct gw_err *err)
{
    struct file *grown = NULL;
    char *copy = NULL;

    if (all->n == MAX_FILES)
        return gw_fail(err, GW_ELIMIT, "%s: more than %d rule files", path, MAX_FILES);
    grown = realloc(all->f, (all->n + 1) * sizeof(*grown));
    if (grown == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory for the list of rule files");
    all->f = grown;
    copy = strdup(path);
    if (copy == NULL)
        return gw_fail(err, GW_ENOMEM, "out of memory for the list of rule files");
    all->f[all->n].path = copy;
    all->f[all->n++].name = copy + name_at;
    return GW_OK;
}

static bool is_rule_file(const char *name)
{
    size_t n = strlen(name);

    return name[0] != '.' && ((n > 5 && strcmp(name + n - 5, ".yaml") == 0) ||
                              (n > 4 && strcmp(name + n - 4, ".yml") == 0));
}

/* Adds path, or the rule files below it. depth 0: path was given by the user, so any name will do. */
static enum gw_status add_path(struct files *all, const char *path, size_t name_at, unsigned depth,
                               struct gw_err *err)
{
    struct stat info;
    struct dirent *entry = NULL;
    DIR *dir = NULL;
    enum gw_status st = GW_OK;

    if (stat(path, &info) != 0)
        return gw_fail(err, errno == ENOENT ? GW_ENOENT : GW_EIO,
                       "%s: %s; give a rule file or folder", path, strerrorname_np(errno));
    if (!S_ISDIR(info.st_mode))
        return depth == 0 || is_rule_file(path + name_at) ? add_file(all, path, name_at, err)
                                                          : GW_OK;
    if (depth > MAX_DEPTH)
        return gw_fail(err, GW_ELIMIT, "%s: folders are nested deeper than %d", path, MAX_DEPTH);
    dir = opendir(path);
    if (dir == NULL)
        return gw_fail(err, GW_EIO, "%s: %s; the folder cannot be read", path,
                       strerrorname_np(errno));
    while (st == GW_OK &&
           (entry = readdir(dir)) != NULL) { // NOLINT(concurrency-mt-unsafe): own stream
        char *below = NULL;
        size_t n = strlen(path);

        if (entry->d_name[0] == '.' || (entry->d_type == DT_REG && !is_rule_file(entry->d_name)))
            continue;
        if (asprintf(&below, "%s%s%s", path, path[n - 1] == '/' ? "" : "/", entry->d_name) < 0) {
            st = gw_fail(err, GW_ENOMEM, "out of memory for the list of rule files");
            break;
        }
        st = add_path(all, below, depth == 0 ? (size_t)(strrchr(below, '/') + 1 - below) : name_at,
                      depth + 1, err);
        free(below);
    }
    (void)closedir(dir);
    return st;
}

static int by_name(const void *a, const void *b)
{
    const struct file *x = a, *y = b;
    int order = strcmp(x->name, y->name);

    return order != 0 ? order : strcmp(x->path, y->path);
}

static enum gw_status read_file(const char *path, struct gw_buf *out, struct gw_err *err)
{
    FILE *f = fopen(path, "re");
    size_t n = 1;

    if (f == NULL)
        return gw_fail(err, GW_EIO, "%s: %s; the file cannot be read", path,
                       strerrorname_np(errno));
    gw_buf_clear(out);
    while (n > 0 && out->len <= MAX_FILE_BYTES && gw_buf_reserve(out, 65536)) {
        n = fread(out->ptr + out->len, 1, 65536, f);
        out->len += n;
        out->ptr[out->len] = '\0';
    }
    if (ferror(f)) {
        (void)fclose(f);
        return gw_fail(err, GW_EIO, "%s: reading failed", path);
    }
    (void)fclose(f);
    if (!gw_buf_ok(out))
        return gw_fail(err, GW_ENOMEM, "%s: out of memory", path);
    if (out->len > MAX_FILE_BYTES)
        return gw_fail(err, GW_ELIMIT, "%s: larger than 4 MiB; split it", path);
    return GW_OK;
}

/* A file's share of the digest: name, NUL, length in decimal, NUL, bytes. */
static void digest_file(struct gw_hash *h, const char *name, struct gw_span text)
{
    char length[24];
    int n = snprintf(length, sizeof(length), "%zu", text.len);

    gw_hash_add(h, (struct gw_span){name, strlen(name) + 1});
    gw_hash_add(h, (struct gw_span){length, (size_t)n + 1});
    gw_hash_add(h, text);
}

enum gw_status rulec_load_paths(struct rulec_set *set, const char *const *paths, unsigned n_paths,
                                struct gw_err *err)
{
    struct files all = {NULL, 0};
    struct gw_buf text = {NULL, 0, 0, false};
    struct gw_hash *h = gw_hash_new();
    unsigned char digest[GW_SHA256_BYTES];
    enum gw_status st = h == NULL ? gw_fail(err, GW_ENOMEM, "out of memory for the digest") : GW_OK;

    for (unsigned i = 0; i < n_paths && st == GW_OK; i++) {
        const char *slash = strrchr(paths[i], '/');

        if (paths[i][0] == '\0')
            st = gw_fail(err, GW_EINVAL, "an empty path; give a rule file or folder");
        else
            st = add_path(&all, paths[i], slash == NULL ? 0 : (size_t)(slash + 1 - paths[i]), 0,
                          err);
    }
    if (st == GW_OK && all.n == 0)
        st = gw_fail(err, GW_ENOENT, "%s: no *.yaml files there", n_paths == 0 ? "." : paths[0]);
    if (all.n > 0)
        qsort(all.f, all.n, sizeof(*all.f), by_name);
    for (unsigned i = 0; i < all.n && st == GW_OK; i++) {
        st = read_file(all.f[i].path, &text, err);
        if (st == GW_OK) {
            digest_file(h, all.f[i].name, gw_buf_span(&text));
            st = rulec_load_text(set, gw_buf_span(&text), all.f[i].path, err);
        }
    }
    if (st == GW_OK)
        st = rulec_check_lists(set, err);
    if (st == GW_OK && set->n_rules == 0)
        st = gw_fail(err, GW_EINVAL, "%s: no rules in the files there", paths[0]);
    if (st == GW_OK) {
        gw_hash_final(h, digest);
        gw_hex(digest, sizeof(digest), set->digest);
    } else {
        gw_hash_free(h);
    }
    for (unsigned i = 0; i < all.n; i++)
        free(all.f[i].path);
    free(all.f);
    gw_buf_fini(&text);
    return st;
}
