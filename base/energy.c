/* base/energy.c - see energy.h. */
#include "base/energy.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define POWERCAP "/sys/class/powercap"

struct zone {
    char dir[300];
    struct gw_energy_zone seen;
    uint64_t last_uj, range_uj; /* the counter goes from 0 to range_uj and begins again */
};

struct gw_energy {
    pthread_mutex_t lock; /* of the zones' counters */
    unsigned n;
    struct zone zones[GW_ENERGY_ZONES];
};

/* The first line of dir/name, without its end. */
static bool read_line(const char *dir, const char *name, char *out, int size)
{
    char path[400];
    FILE *f;
    bool ok;

    if (snprintf(path, sizeof(path), "%s/%s", dir, name) >= (int)sizeof(path))
        return false;
    f = fopen(path, "re");
    if (f == NULL)
        return false;
    ok = fgets(out, size, f) != NULL;
    (void)fclose(f);
    if (ok)
        out[strcspn(out, "\n")] = '\0';
    return ok && out[0] != '\0';
}

static bool read_number(const char *dir, const char *name, uint64_t *out)
{
    char line[32], *end;
    unsigned long long v;

    if (!read_line(dir, name, line, sizeof(line)) || line[0] < '0' || line[0] > '9')
        return false;
    errno = 0;
    v = strtoull(line, &end, 10);
    *out = v;
    return errno == 0 && *end == '\0';
}

/* Names become labels of metrics. */
static bool is_plain(const char *name)
{
    return name[strspn(
               name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")] == '\0';
}

/* The zone of a folder "intel-rapl:0" or, a part of that, "intel-rapl:0:1". False: not one that can be read. */
static bool open_zone(const char *root, const char *folder, struct zone *z)
{
    const char *part = strrchr(folder, ':');
    char whole[300] = "", name[32], above[32] = "";

    if (snprintf(z->dir, sizeof(z->dir), "%s/%s", root, folder) >= (int)sizeof(z->dir) ||
        !read_line(z->dir, "name", name, sizeof(name)) || !is_plain(name) ||
        !read_number(z->dir, "energy_uj", &z->last_uj) ||
        !read_number(z->dir, "max_energy_range_uj", &z->range_uj))
        return false;
    if (strchr(folder, ':') != part) {
        (void)snprintf(whole, sizeof(whole), "%s/%.*s", root, (int)(part - folder), folder);
        if (!read_line(whole, "name", above, sizeof(above)) || !is_plain(above))
            return false;
    }
    (void)snprintf(z->seen.name, sizeof(z->seen.name), "%s%s%s", above, above[0] != '\0' ? "/" : "",
                   name);
    return true;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct zone *)a)->seen.name, ((const struct zone *)b)->seen.name);
}

struct gw_energy *gw_energy_open(const char *root)
{
    struct gw_energy *e = calloc(1, sizeof(*e));
    DIR *dir = opendir(root == NULL ? POWERCAP : root);
    const struct dirent *d;

    while (e != NULL && dir != NULL && e->n < GW_ENERGY_ZONES && (d = readdir(dir)) != NULL) {
        /* "intel-rapl-mmio:0" is the package once more. AMD's are named intel-rapl, too. */
        if (strncmp(d->d_name, "intel-rapl:", strlen("intel-rapl:")) == 0)
            e->n += open_zone(root == NULL ? POWERCAP : root, d->d_name, &e->zones[e->n]);
    }
    if (dir != NULL)
        (void)closedir(dir);
    if (e == NULL || e->n == 0) {
        free(e);
        return NULL;
    }
    qsort(e->zones, e->n, sizeof(e->zones[0]), by_name);
    (void)pthread_mutex_init(&e->lock, NULL);
    return e;
}

void gw_energy_close(struct gw_energy *e)
{
    if (e == NULL)
        return;
    (void)pthread_mutex_destroy(&e->lock);
    free(e);
}

static void look(struct zone *z)
{
    uint64_t now, more;

    if (!read_number(z->dir, "energy_uj", &now))
        return;
    more = now >= z->last_uj ? now - z->last_uj : z->range_uj - z->last_uj + now;
    if (now < z->last_uj && z->last_uj > z->range_uj)
        more = now; /* it was beyond what it says is its end */
    z->seen.joules += (double)more / 1e6;
    z->last_uj = now;
}

unsigned gw_energy_read(struct gw_energy *e, struct gw_energy_zone out[GW_ENERGY_ZONES])
{
    if (e == NULL)
        return 0;
    (void)pthread_mutex_lock(&e->lock);
    for (unsigned i = 0; i < e->n; i++) {
        look(&e->zones[i]);
        out[i] = e->zones[i].seen;
    }
    (void)pthread_mutex_unlock(&e->lock);
    return e->n;
}
