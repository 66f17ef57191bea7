/* proxy/tls/ca.c - the CA's files: made by `sluice ca init`, read at start and by `ca export`. */
#include "proxy/tls/ca.h"

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/bn.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "proxy/dirs.h"
#include "proxy/tls/x509.h"

enum { CA_DAYS = 3650, MAX_PEM_BYTES = 1 << 20 };

static enum gw_status path_in(const char *dir, const char *name, char *out, size_t size,
                              struct gw_err *err)
{
    if (snprintf(out, size, "%s/%s", dir, name) >= (int)size)
        return gw_fail(err, GW_ELIMIT, "%s: the path is too long", dir);
    return GW_OK;
}

/* A new file that must not exist, written completely. */
static enum gw_status write_new(const char *path, mode_t mode, BIO *content, struct gw_err *err)
{
    char *bytes;
    long len = BIO_get_mem_data(content, &bytes);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    bool ok;

    if (fd < 0)
        return gw_fail(err, errno == EEXIST ? GW_EEXIST : GW_EIO, "cannot write %s: %s%s", path,
                       strerrordesc_np(errno),
                       errno == EEXIST ? "; a CA is never overwritten" : "");
    ok = write(fd, bytes, (size_t)len) == len && fsync(fd) == 0;
    (void)close(fd);
    if (!ok) {
        (void)unlink(path);
        return gw_fail(err, GW_EIO, "cannot write %s", path);
    }
    return GW_OK;
}

static X509 *make_ca(EVP_PKEY *key, const char *name)
{
    X509 *cert = x509_new(key, CA_DAYS);

    if (cert == NULL)
        return NULL;
    if (!x509_set_subject(cert, name) ||
        X509_set_issuer_name(cert, X509_get_subject_name(cert)) != 1 ||
        !x509_add_ext(cert, cert, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") ||
        !x509_add_ext(cert, cert, NID_key_usage, "critical,keyCertSign,cRLSign") ||
        !x509_add_ext(cert, cert, NID_subject_key_identifier, "hash") ||
        X509_sign(cert, key, EVP_sha256()) == 0) {
        X509_free(cert);
        return NULL;
    }
    return cert;
}

/* A key without its certificate would stand in the way of the next try. */
static enum gw_status write_cert_beside(const char *key_path, const char *cert_path, BIO *pem,
                                        struct gw_err *err)
{
    enum gw_status st = write_new(cert_path, 0644, pem, err);

    if (st != GW_OK)
        (void)unlink(key_path);
    return st;
}

enum gw_status ca_init(const char *dir, const char *name, struct gw_err *err)
{
    char cert_path[4096], key_path[4096];
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = key == NULL ? NULL : make_ca(key, name);
    BIO *cert_pem = BIO_new(BIO_s_mem()), *key_pem = BIO_new(BIO_s_mem());
    enum gw_status st = gw_fail(err, GW_ENOMEM, "the CA could not be made");

    if (cert == NULL || cert_pem == NULL || key_pem == NULL ||
        PEM_write_bio_X509(cert_pem, cert) != 1 ||
        PEM_write_bio_PrivateKey(key_pem, key, NULL, NULL, 0, NULL, NULL) != 1)
        goto out;
    st = path_in(dir, "ca.pem", cert_path, sizeof(cert_path), err);
    if (st == GW_OK)
        st = path_in(dir, "ca.key", key_path, sizeof(key_path), err);
    if (st == GW_OK && access(cert_path, F_OK) == 0)
        st = gw_fail(err, GW_EEXIST, "%s is there already; a CA is never overwritten", cert_path);
    if (st == GW_OK)
        st = dirs_make(dir, err);
    if (st == GW_OK)
        st = write_new(key_path, 0600, key_pem, err);
    if (st == GW_OK)
        st = write_cert_beside(key_path, cert_path, cert_pem, err);
out:
    BIO_free(cert_pem);
    BIO_free(key_pem);
    X509_free(cert);
    EVP_PKEY_free(key);
    return st;
}

enum gw_status ca_read(const char *dir, char **pem, size_t *len, struct gw_err *err)
{
    char path[4096];
    FILE *f;
    char *bytes;
    size_t n;

    GW_TRY(path_in(dir, "ca.pem", path, sizeof(path), err));
    f = fopen(path, "re");
    if (f == NULL)
        return gw_fail(err, errno == ENOENT ? GW_ENOENT : GW_EIO,
                       "cannot read %s: %s; make a CA with `sluice ca init`", path,
                       strerrordesc_np(errno));
    bytes = malloc(MAX_PEM_BYTES);
    n = bytes == NULL ? 0 : fread(bytes, 1, MAX_PEM_BYTES, f);
    (void)fclose(f);
    if (n == 0 || n == MAX_PEM_BYTES) {
        free(bytes);
        return gw_fail(err, GW_ECORRUPT, "%s is not a certificate", path);
    }
    *pem = bytes;
    *len = n;
    return GW_OK;
}

/* The key is worth every AI conversation of the organisation: nobody else may read it. */
static enum gw_status check_mode(const char *path, struct gw_err *err)
{
    struct stat st;

    if (stat(path, &st) != 0)
        return gw_fail(err, GW_EIO, "cannot read %s: %s", path, strerrordesc_np(errno));
    if ((st.st_mode & 077) != 0)
        return gw_fail(err, GW_EDENIED, "%s can be read by others; run: chmod 600 %s", path, path);
    return GW_OK;
}

/* An encrypted key is an error: nobody sits at a terminal to be asked. */
// NOLINTNEXTLINE(readability-non-const-parameter): OpenSSL's type
static int no_password(char *buf, int size, int writing, void *ctx)
{
    (void)buf;
    (void)size;
    (void)writing;
    (void)ctx;
    return -1;
}

enum gw_status x509_load_ca(const char *dir, X509 **cert, EVP_PKEY **key, struct gw_err *err)
{
    char cert_path[4096], key_path[4096];
    FILE *f;

    *cert = NULL;
    *key = NULL;
    GW_TRY(path_in(dir, "ca.pem", cert_path, sizeof(cert_path), err));
    GW_TRY(path_in(dir, "ca.key", key_path, sizeof(key_path), err));
    if (access(cert_path, F_OK) != 0 && access(key_path, F_OK) != 0)
        return GW_OK;
    GW_TRY(check_mode(key_path, err));
    f = fopen(cert_path, "re");
    if (f != NULL) {
        *cert = PEM_read_X509(f, NULL, NULL, NULL);
        (void)fclose(f);
    }
    f = fopen(key_path, "re");
    if (f != NULL) {
        *key = PEM_read_PrivateKey(f, NULL, no_password, NULL);
        (void)fclose(f);
    }
    if (*cert == NULL || *key == NULL || X509_check_private_key(*cert, *key) != 1) {
        X509_free(*cert);
        EVP_PKEY_free(*key);
        *cert = NULL;
        *key = NULL;
        return gw_fail(err, GW_EINVAL, "%s and ca.key beside it are not a certificate and its key",
                       cert_path);
    }
    return GW_OK;
}
