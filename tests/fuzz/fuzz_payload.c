/* Feeds bytes to everything that reads a file of subjects' keys: its header, its rows, an erasure in it; and to the reader of
 * PEM keys. What must hold: no crash; a row that is read is written as it was; an erasure leaves no key of its subject, and
 * the rows of others as they were. */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit/audit.h"
#include "audit/payload_keys.h"

enum { MAX_BYTES = 64 * PAYLOAD_ROW_BYTES };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The one file, made once a process. */
static const char *file(void)
{
    static char fast[] = "/dev/shm/sluice-fuzz-XXXXXX", slow[] = "/tmp/sluice-fuzz-XXXXXX";
    static const char *path;

    if (path == NULL) {
        int fd = mkstemp(fast);

        path = fast;
        if (fd < 0) {
            fd = mkstemp(slow);
            path = slow;
        }
        if (fd < 0)
            abort();
        (void)close(fd);
    }
    return path;
}

static void put(const char *path, const uint8_t *data, size_t size)
{
    int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);

    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    (void)close(fd);
}

static void check_rows(const uint8_t *before, const uint8_t *after, size_t size,
                       const unsigned char subject[GW_SHA256_BYTES])
{
    unsigned char again[PAYLOAD_ROW_BYTES];
    struct payload_row r;

    for (size_t at = PAYLOAD_ROW_BYTES; at + PAYLOAD_ROW_BYTES <= size; at += PAYLOAD_ROW_BYTES) {
        if (memcmp(before + at + 64, subject, GW_SHA256_BYTES) != 0) {
            if (memcmp(before + at, after + at, PAYLOAD_ROW_BYTES) != 0)
                abort();
        } else if (!payload_row_read(after + at, &r) || r.state != PAYLOAD_KEY_ERASED) {
            abort();
        }
        if (payload_row_read(before + at, &r)) {
            payload_row_write(&r, again);
            if (memcmp(again + 8, before + at + 8, 8) != 0)
                abort();
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t after[MAX_BYTES];
    unsigned char salt[PAYLOAD_SALT_BYTES], subject[GW_SHA256_BYTES], key[GW_X25519_BYTES];
    unsigned n_keys = 0, n_before = 0;
    struct gw_err err = {0};
    int fd = -1;

    if (size > sizeof(after))
        return 0;
    (void)gw_x25519_read_public((struct gw_span){(const char *)data, size}, key, &err);
    put(file(), data, size);
    if (payload_file_open(file(), false, &fd, salt, &err) != GW_OK)
        return 0;
    payload_subject(salt, GW_SPAN("ann"), subject);
    if (audit_payload_erase(file(), GW_SPAN("ann"), &n_keys, &n_before, &err) != GW_OK ||
        pread(fd, after, size, 0) != (ssize_t)size)
        abort();
    check_rows(data, after, size, subject);
    (void)close(fd);
    return 0;
}
