/* proxy/cmd/cmd_models_sign.c - sluice models sign, and the manifest's part of verify. See cmd_models.h and
 * proxy/net/model_manifest.h. */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "proxy/cli.h"
#include "proxy/cmd/cmd_models.h"
#include "proxy/net/model_digest.h"
#include "proxy/net/model_manifest.h"

enum { OPT_KEY = 256, OPT_NEW_KEY, OPT_SOURCE, OPT_DIR, KEY_TEXT = 2 * GW_ED25519_KEY_BYTES };

/* There is no state directory here: nothing is noted. */
static const char nowhere[] = "/dev/null";

/* A new key's file, which must not be there. */
static enum gw_status make_key(const char *path, struct gw_err *err)
{
    unsigned char secret[GW_ED25519_KEY_BYTES];
    char text[KEY_TEXT + 2];
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool ok;

    if (fd < 0)
        return gw_fail(err, errno == EEXIST ? GW_EEXIST : GW_EIO, "cannot make %s: %s", path,
                       strerrordesc_np(errno));
    gw_random(secret, sizeof(secret));
    gw_hex(secret, sizeof(secret), text);
    text[KEY_TEXT] = '\n';
    ok = write(fd, text, KEY_TEXT + 1) == KEY_TEXT + 1 && fsync(fd) == 0;
    ok = close(fd) == 0 && ok;
    explicit_bzero(secret, sizeof(secret));
    explicit_bzero(text, sizeof(text));
    return ok ? GW_OK : gw_fail(err, GW_EIO, "cannot write %s", path);
}

/* 64 hex digits and a line's end. */
static enum gw_status read_key(const char *path, unsigned char out[GW_ED25519_KEY_BYTES],
                               struct gw_err *err)
{
    char text[KEY_TEXT + 2] = "";
    FILE *f = fopen(path, "re");
    struct gw_span hex;
    size_t n;
    bool ok;

    if (f == NULL)
        return gw_fail(err, GW_EIO, "cannot read %s: %s", path, strerrordesc_np(errno));
    n = fread(text, 1, sizeof(text) - 1, f);
    (void)fclose(f);
    hex = (struct gw_span){text, n != 0 && text[n - 1] == '\n' ? n - 1 : n};
    ok = model_manifest_unhex(hex, out, GW_ED25519_KEY_BYTES);
    explicit_bzero(text, sizeof(text));
    return ok ? GW_OK
              : gw_fail(err, GW_EPARSE,
                        "%s is no signing key: one is 64 hex digits (--new-key "
                        "makes it)",
                        path);
}

static int sign(const char *path, const char *key, const char *source)
{
    unsigned char secret[GW_ED25519_KEY_BYTES];
    char digest[GW_SHA256_HEX_BYTES];
    struct model_manifest m;
    struct gw_err err = {0};
    enum gw_status st = read_key(key, secret, &err);

    if (st == GW_OK)
        st = model_digest(path, nowhere, digest, &err);
    if (st == GW_OK)
        st = model_manifest_write(path, digest, source, secret, &m, &err);
    explicit_bzero(secret, sizeof(secret));
    if (st != GW_OK)
        return cli_fail_err("models sign", &err);
    printf("%s.manifest.jsonl: %s signed by %s\n", path, digest, m.signer);
    return 0;
}

int models_sign(int argc, char **argv)
{
    static const struct option options[] = {{"key", required_argument, NULL, OPT_KEY},
                                            {"new-key", no_argument, NULL, OPT_NEW_KEY},
                                            {"source", required_argument, NULL, OPT_SOURCE},
                                            {"dir", required_argument, NULL, OPT_DIR},
                                            {NULL, 0, NULL, 0}};
    const char *key = NULL, *source = NULL, *dir = NULL;
    char path[MODELS_PATH_BYTES];
    struct gw_err err = {0};
    bool make = false;

    // NOLINTNEXTLINE(concurrency-mt-unsafe): commands are one thread
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (c == OPT_KEY)
            key = optarg;
        else if (c == OPT_NEW_KEY)
            make = true;
        else if (c == OPT_SOURCE)
            source = optarg;
        else if (c == OPT_DIR)
            dir = optarg;
        else
            return 2;
    }
    if (argc - optind != 1 || key == NULL)
        return models_usage("sign takes one model and --key FILE");
    if (models_find(argv[optind], dir, path, &err) != GW_OK ||
        (make && make_key(key, &err) != GW_OK))
        return cli_fail_err("models sign", &err);
    return sign(path, key, source);
}

int models_verify_manifest(const char *path)
{
    char digest[GW_SHA256_HEX_BYTES];
    struct model_manifest m = {.digest = ""};
    struct gw_err err = {0};

    if (model_digest(path, nowhere, digest, &err) != GW_OK ||
        model_manifest_read(path, digest, &m, &err) != GW_OK)
        return cli_fail_err("models verify", &err);
    if (m.digest[0] != '\0')
        printf("%s: signed by %s\n", path, m.signer);
    return 0;
}
