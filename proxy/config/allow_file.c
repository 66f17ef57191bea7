/* proxy/config/allow_file.c - see allow_file.h. */
#include "proxy/config/allow_file.h"

#include <sys/file.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/yaml.h"

enum { MAX_FILE = 4 << 20, MAX_TEXT = 400 };

/* ---- the line --------------------------------------------------------------------------- */

static bool is_hmac(struct gw_span hex)
{
    for (size_t i = 0; i < hex.len; i++)
        if (!((hex.ptr[i] >= '0' && hex.ptr[i] <= '9') || (hex.ptr[i] >= 'a' && hex.ptr[i] <= 'f')))
            return false;
    return hex.len == 64;
}

static bool is_day(struct gw_span day)
{
    for (size_t i = 0; i < day.len; i++)
        if (i == 4 || i == 7 ? day.ptr[i] != '-' : day.ptr[i] < '0' || day.ptr[i] > '9')
            return false;
    return day.len == 10;
}

static bool is_text(struct gw_span text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.ptr[i] < 0x20 || text.ptr[i] == 0x7F)
            return false;
    return text.len <= MAX_TEXT;
}

static enum gw_status check(const struct allow_entry *e, struct gw_err *err)
{
    if (!is_hmac(e->value_hmac))
        return gw_fail(err, GW_EINVAL,
                       "value_hmac must be 64 hex digits, as a record of a finding has them");
    if (e->owner.len == 0)
        return gw_fail(err, GW_EINVAL, "somebody must answer for it: name an owner");
    if (!is_day(e->expires))
        return gw_fail(err, GW_EINVAL, "expires must be a day such as 2026-01-31");
    if (!is_text(e->rule) || !is_text(e->path) || !is_text(e->user) || !is_text(e->owner) ||
        !is_text(e->reason))
        return gw_fail(err, GW_EINVAL, "a text is longer than %d bytes or not printable", MAX_TEXT);
    return GW_OK;
}

/* JSON's strings are YAML's. */
static void put(struct gw_buf *b, const char *key, struct gw_span text)
{
    if (text.len == 0)
        return;
    gw_buf_printf(b, ", %s: ", key);
    gw_buf_add_json_str(b, text);
}

static void put_line(struct gw_buf *b, const struct allow_entry *e, const char *id)
{
    gw_buf_printf(b, "  - { id: %s", id);
    put(b, "value_hmac", e->value_hmac);
    put(b, "rule", e->rule);
    put(b, "path", e->path);
    put(b, "user", e->user);
    put(b, "owner", e->owner);
    put(b, "expires", e->expires);
    put(b, "reason", e->reason);
    gw_buf_adds(b, " }\n");
}

/* ---- the file --------------------------------------------------------------------------- */

static enum gw_status read_all(int fd, const char *path, struct gw_buf *out, struct gw_err *err)
{
    char part[16384];
    ssize_t n;

    while ((n = read(fd, part, sizeof(part))) > 0) {
        gw_buf_add(out, (struct gw_span){part, (size_t)n});
        if (out->len > MAX_FILE)
            return gw_fail(err, GW_ELIMIT, "%s is larger than 4 MiB", path);
    }
    if (n < 0)
        return gw_fail(err, GW_EIO, "cannot read %s: %s", path, strerrordesc_np(errno));
    return gw_buf_ok(out) ? GW_OK : gw_fail(err, GW_ENOMEM, "out of memory");
}

/* What is there and what comes must make one list. */
static enum gw_status check_whole(struct gw_span text, const char *path, struct gw_err *err)
{
    struct gw_yaml *y = NULL;
    const struct gw_yaml_node *list;
    enum gw_status st = gw_yaml_parse(text, path, &y, err);

    if (st != GW_OK)
        return gw_fail_prefix(err, "with the entry");
    list = gw_yaml_get(gw_yaml_root(y), "allowlist");
    if (list == NULL || list->kind != GW_YAML_SEQUENCE)
        st = gw_fail(err, GW_EPARSE,
                     "%s: must end with the list of the key allowlist, one entry a line", path);
    gw_yaml_free(y);
    return st;
}

static enum gw_status append(int fd, const char *path, const struct allow_entry *e, const char *id,
                             struct gw_err *err)
{
    struct gw_buf text = {0};
    enum gw_status st = read_all(fd, path, &text, err);
    size_t had = text.len;

    if (st == GW_OK) {
        if (text.len == 0)
            gw_buf_adds(&text, "allowlist:\n");
        else if (text.ptr[text.len - 1] != '\n')
            gw_buf_addc(&text, '\n');
        put_line(&text, e, id);
        st = gw_buf_ok(&text) ? check_whole(gw_buf_span(&text), path, err)
                              : gw_fail(err, GW_ENOMEM, "out of memory");
    }
    if (st == GW_OK &&
        (lseek(fd, 0, SEEK_END) < 0 ||
         write(fd, text.ptr + had, text.len - had) != (ssize_t)(text.len - had) || fsync(fd) != 0))
        st = gw_fail(err, GW_EIO, "cannot write %s: %s", path, strerrordesc_np(errno));
    gw_buf_fini(&text);
    return st;
}

enum gw_status allow_file_add(const char *path, const struct allow_entry *e,
                              char id[ALLOW_ID_BYTES], struct gw_err *err)
{
    char name[ALLOW_ID_BYTES];
    enum gw_status st;
    int fd;

    if (path[0] == '\0')
        return gw_fail(err, GW_EINVAL,
                       "allowlist_file is not set, so there is no file to write to");
    GW_TRY(check(e, err));
    (void)snprintf(name, sizeof(name), "fp-%.12s", e->value_hmac.ptr);
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    if (fd < 0)
        return gw_fail(err, GW_EIO, "cannot write %s: %s", path, strerrordesc_np(errno));
    st = flock(fd, LOCK_EX) == 0
             ? append(fd, path, e, name, err)
             : gw_fail(err, GW_EIO, "cannot lock %s: %s", path, strerrordesc_np(errno));
    (void)close(fd); /* and unlocks */
    if (st == GW_OK)
        memcpy(id, name, sizeof(name));
    return st;
}
