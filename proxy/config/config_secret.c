/* proxy/config/config_secret.c - a provider's key from a file or the environment.
 *
 * A key never stands in the configuration itself: that file is read by more people and programs than may
 * know the key. What is read passes through one buffer that is wiped and ends in the configuration's
 * arena, which is wiped too. Used while a configuration is loaded, on that thread. */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proxy/config/config_private.h"

enum { MAX_SECRET = 8192 };

typedef void (*take_fn)(struct config_load *l, const struct gw_yaml_node *node,
                        struct gw_span bytes, struct proxy_config_secret *out);

/* Takes the bytes over when they can stand in a header field: printable ASCII, no spaces. */
static void take_key(struct config_load *l, const struct gw_yaml_node *node, struct gw_span bytes,
                     struct proxy_config_secret *out)
{
    while (bytes.len > 0 && strchr(" \t\r\n", bytes.ptr[bytes.len - 1]) != NULL)
        bytes.len--;
    if (bytes.len == 0) {
        config_error(l, node, "%s is empty", out->source);
        return;
    }
    for (size_t i = 0; i < bytes.len; i++) {
        if (bytes.ptr[i] <= 0x20 || bytes.ptr[i] >= 0x7F) {
            config_error(l, node,
                         "%s holds a space, a line break or a byte that is not ASCII: it "
                         "must hold the key alone",
                         out->source);
            return;
        }
    }
    out->value = config_copy(l, bytes);
}

static void take_document(struct config_load *l, const struct gw_yaml_node *node,
                          struct gw_span bytes, struct proxy_config_secret *out)
{
    if (bytes.len == 0)
        config_error(l, node, "%s is empty", out->source);
    else if (memchr(bytes.ptr, '\0', bytes.len) != NULL)
        config_error(l, node, "%s is not a text", out->source);
    else
        out->value = config_copy(l, bytes);
}

static void read_file(struct config_load *l, const struct gw_yaml_node *node, const char *path,
                      take_fn take, struct proxy_config_secret *out)
{
    char bytes[MAX_SECRET + 1];
    struct stat st;
    size_t used = 0;
    ssize_t n = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not stop the start */

    if (fd < 0 || fstat(fd, &st) != 0) {
        config_error(l, node, "cannot read the key: %s: %s", path, strerrordesc_np(errno));
        if (fd >= 0)
            (void)close(fd);
        return;
    }
    if (!S_ISREG(st.st_mode)) {
        config_error(l, node, "cannot read the key: %s is not a regular file", path);
        (void)close(fd);
        return;
    }
    if ((st.st_mode & (S_IRWXG | S_IRWXO)) != 0)
        config_warn(l, node, "%s can be read by others than its owner: chmod 600 %s", path, path);
    while (used < sizeof(bytes) && (n = read(fd, bytes + used, sizeof(bytes) - used)) > 0)
        used += (size_t)n;
    if (n < 0)
        config_error(l, node, "cannot read the key: %s: %s", path, strerrordesc_np(errno));
    else if (used > MAX_SECRET)
        config_error(l, node, "%s is larger than %d bytes: not a key", path, MAX_SECRET);
    else
        take(l, node, (struct gw_span){bytes, used}, out);
    explicit_bzero(bytes, sizeof(bytes));
    (void)close(fd);
}

void config_read_secret(struct config_load *l, const struct gw_yaml_node *node, bool document,
                        struct proxy_config_secret *out)
{
    take_fn take = document ? take_document : take_key;
    struct proxy_config_secret secret = {{NULL, 0}, ""};
    struct gw_span text;

    if (!config_scalar_text(l, node, &text))
        return;
    if (gw_span_starts(text, GW_SPAN("file:")) && text.len > 5) {
        secret.source = config_copy(l, text).ptr;
        if ((l->flags & PROXY_CONFIG_NO_SECRETS) == 0) {
            struct gw_span path = config_path(l, gw_span_from(text, 5));

            read_file(l, node, path.ptr, take, &secret);
        }
    } else if (gw_span_starts(text, GW_SPAN("env:")) && text.len > 4) {
        const char *value;

        secret.source = config_copy(l, text).ptr;
        value = getenv(secret.source + 4); // NOLINT(concurrency-mt-unsafe): before threads start
        if (value == NULL && (l->flags & PROXY_CONFIG_NO_SECRETS) == 0)
            config_error(l, node, "the environment has no %s: export it, or remove the target",
                         secret.source + 4);
        else if ((l->flags & PROXY_CONFIG_NO_SECRETS) == 0)
            take(l, node, gw_span_str(value), &secret);
    } else { /* the text is not repeated: it may be a key */
        config_error(
            l, node,
            "must be file:PATH or env:NAME. A key does not belong in this file, which more "
            "people can read: put it alone into a file of mode 600");
        return;
    }
    *out = secret;
}
