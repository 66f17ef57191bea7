/* proxy/net/setup_rules.c - the rules of a setup. On the thread that starts or reloads the server.
 *
 * The dynamic linker knows an object by its path: a second one under the same path would be the first again, and one that
 * is overwritten while it is mapped would take the process down. So every object is loaded from a file of its own, which
 * is removed once it is mapped. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "proxy/net/setup_private.h"

enum { MAX_RULE_PATHS = 64, COPY_BYTES = 64 * 1024 };

/* What `dlp.rules` names, each object as a copy of its own. */
struct rule_paths {
    const char *path[MAX_RULE_PATHS];
    char *copies[MAX_RULE_PATHS];
    unsigned n, n_copies;
};

static enum gw_status own_path(const struct setup *s, char **out, struct gw_err *err)
{
    char id[GW_ULID_BYTES];

    gw_ulid(id);
    if (asprintf(out, "%s/rules-%s.so", s->cfg->state_dir, id) < 0)
        return gw_fail(err, GW_ENOMEM, "out of memory");
    return GW_OK;
}

static enum gw_status copy_bytes(int from, int to)
{
    char buf[COPY_BYTES];
    ssize_t n;

    while ((n = read(from, buf, sizeof(buf))) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 || write(to, buf, (size_t)n) != n)
            return GW_EIO;
    }
    return GW_OK;
}

static enum gw_status copy_file(const char *from, const char *to, struct gw_err *err)
{
    int in = open(from, O_RDONLY | O_CLOEXEC), out = -1;
    enum gw_status st = GW_OK;

    if (in < 0)
        return gw_fail(err, GW_EIO, "%s: %s", from, strerrordesc_np(errno));
    out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (out < 0 || copy_bytes(in, out) != GW_OK)
        st = gw_fail(err, GW_EIO, "cannot copy %s to %s: %s", from, to, strerrordesc_np(errno));
    (void)close(in);
    if (out >= 0)
        (void)close(out);
    return st;
}

static enum gw_status add_path(const struct setup *s, struct gw_span item, struct rule_paths *p,
                               struct gw_err *err)
{
    if (p->n == MAX_RULE_PATHS)
        return gw_fail(err, GW_ELIMIT, "dlp.rules: at most %d files and folders", MAX_RULE_PATHS);
    p->path[p->n] = item.ptr;
    if (gw_span_ends(item, GW_SPAN(".so"))) {
        GW_TRY(dlp_rules_check_trust(item.ptr, err));
        GW_TRY(own_path(s, &p->copies[p->n_copies], err));
        p->path[p->n] = p->copies[p->n_copies++];
        GW_TRY(copy_file(item.ptr, p->path[p->n], err));
    }
    p->n++;
    return GW_OK;
}

enum gw_status setup_open_rules(struct setup *s, const struct setup *like, struct gw_err *err)
{
    const struct proxy_config_list *list = &s->cfg->dlp.rules;
    struct rule_paths p = {.n = 0};
    enum gw_status st = GW_OK;

    if (list->n == 0) {
        s->rules = dlp_rules_builtin();
        return GW_OK;
    }
    for (unsigned i = 0; i < list->n && st == GW_OK; i++)
        st = add_path(s, list->items[i], &p, err);
    if (st == GW_OK)
        st = dlp_rules_open(
            p.path, p.n, &(struct dlp_rules_options){.earlier = like == NULL ? NULL : like->rules},
            &s->rules, err);
    for (unsigned i = 0; i < p.n_copies; i++) {
        (void)unlink(p.copies[i]); /* mapped, or never made */
        free(p.copies[i]);
    }
    /* The same sources are the same rules, and those may have native matchers by now. */
    if (st == GW_OK && like != NULL &&
        strcmp(dlp_rules_digest(s->rules), dlp_rules_digest(like->rules)) == 0) {
        dlp_rules_unref(s->rules);
        s->rules = dlp_rules_ref(like->rules);
    }
    return st;
}
