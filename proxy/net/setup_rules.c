/* proxy/net/setup_rules.c - the rules of a setup. On the thread that starts or reloads the server; builds take seconds.
 *
 * The dynamic linker knows an object by its path: a second one under the same path would be the first again, and one that
 * is overwritten while it is mapped would take the process down. So every object is loaded from a file of its own, which
 * is removed once it is mapped. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "proxy/net/setup_private.h"

enum { MAX_RULE_PATHS = 64, COPY_BYTES = 64 * 1024, MAX_PATH = 4096 };

static enum gw_status own_path(const struct setup *s, char out[MAX_PATH], struct gw_err *err)
{
    char id[GW_ULID_BYTES];

    gw_ulid(id);
    if (snprintf(out, MAX_PATH, "%s/rules-%s.so", s->cfg->state_dir, id) >= MAX_PATH)
        return gw_fail(err, GW_ELIMIT, "%s: the path is too long", s->cfg->state_dir);
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

static enum gw_status build(struct setup *s, const struct setup *like, const char *so,
                            struct gw_err *err)
{
    const struct proxy_config_list *list = &s->cfg->dlp.rules;
    const char *paths[MAX_RULE_PATHS];
    struct dlp_build b = {paths, 0, NULL, so};
    char digest[GW_SHA256_HEX_BYTES];

    if (list->n > MAX_RULE_PATHS)
        return gw_fail(err, GW_ELIMIT, "dlp.rules: at most %d files and folders", MAX_RULE_PATHS);
    for (unsigned i = 0; i < list->n; i++)
        paths[b.n_paths++] = list->items[i].ptr;
    if (like != NULL) { /* the same sources are the same rules: nothing to build */
        GW_TRY(dlp_rules_source_digest(paths, b.n_paths, digest, err));
        if (strcmp(digest, dlp_rules_digest(like->rules)) == 0) {
            s->rules = dlp_rules_ref(like->rules);
            return GW_OK;
        }
    }
    return dlp_rules_build(&b, err);
}

enum gw_status setup_open_rules(struct setup *s, const struct setup *like, struct gw_err *err)
{
    const struct proxy_config_list *list = &s->cfg->dlp.rules;
    char so[MAX_PATH];
    enum gw_status st;

    if (list->n == 0 || (list->n == 1 && gw_span_is(list->items[0], "builtin"))) {
        s->rules = dlp_rules_ref(dlp_rules_builtin());
        return GW_OK;
    }
    GW_TRY(own_path(s, so, err));
    if (list->n == 1 && gw_span_ends(list->items[0], GW_SPAN(".so")))
        st = copy_file(list->items[0].ptr, so, err);
    else
        st = build(s, like, so, err);
    if (st == GW_OK && s->rules == NULL)
        st = dlp_rules_load(so, &s->rules, err);
    (void)unlink(so); /* mapped, or never made */
    return st;
}
