/* tests/unit/audit/tamper_lab.h - what somebody could do to the copy of a spool: change, remove, insert and swap records, and delete files. */
#ifndef TESTS_AUDIT_TAMPER_LAB_H
#define TESTS_AUDIT_TAMPER_LAB_H

#include "audit/leaf_file.h"
#include "tests/unit/audit/seal_lab.h"

/* The records of a segment in memory. */
struct segment {
    char *bytes;
    size_t n;
    size_t at[4096]; /* of each frame, and the end */
    size_t n_recs;
};

static inline struct segment load(const char *name)
{
    struct segment s = {.bytes = slurp(copy, name, &s.n)};
    size_t at = SPOOL_HEADER_BYTES, used, need;
    struct spool_rec rec;

    while (at < s.n && spool_frame_decode((unsigned char *)s.bytes + at, s.n - at, &rec, &used,
                                          &need) == SPOOL_FRAME_OK) {
        s.at[s.n_recs++] = at;
        at += used;
    }
    s.at[s.n_recs] = at;
    return s;
}

static inline void store(struct segment *s, const char *name)
{
    dump(copy, name, s->bytes, s->n);
    free(s->bytes);
}

/* Changes a digit in the record and, when asked, makes its checksum right again, as a forger would. */
static inline void change_record(struct segment *s, size_t i, bool fix_crc)
{
    unsigned char *p = (unsigned char *)s->bytes + s->at[i];
    char *user = memmem(p, s->at[i + 1] - s->at[i], "\"u-1\"", 5);
    struct spool_rec rec;
    size_t used, need;

    CHECK(spool_frame_decode(p, s->at[i + 1] - s->at[i], &rec, &used, &need) == SPOOL_FRAME_OK);
    CHECK(user != NULL);
    if (user != NULL)
        user[3] = '2';
    if (fix_crc)
        spool_frame_encode(&rec, p);
}

static inline void remove_record(struct segment *s, size_t i)
{
    memmove(s->bytes + s->at[i], s->bytes + s->at[i + 1], s->n - s->at[i + 1]);
    s->n -= s->at[i + 1] - s->at[i];
}

static inline void swap_records(struct segment *s, size_t i)
{
    const size_t a = s->at[i], b = s->at[i + 1], c = s->at[i + 2];
    char *two = malloc(c - a);

    memcpy(two, s->bytes + b, c - b);
    memcpy(two + (c - b), s->bytes + a, b - a);
    memcpy(s->bytes + a, two, c - a);
    free(two);
}

/* Puts a forged record with a sequence of its own between two. */
static inline void insert_record(struct segment *s, size_t i)
{
    const size_t len = s->at[i + 1] - s->at[i];
    char *grown = malloc(s->n + len);
    unsigned char *p = (unsigned char *)grown + s->at[i];
    struct spool_rec rec;
    size_t used, need;
    char *user;

    memcpy(grown, s->bytes, s->at[i]);
    memcpy(p, s->bytes + s->at[i], len);
    memcpy(grown + s->at[i] + len, s->bytes + s->at[i], s->n - s->at[i]);
    CHECK(spool_frame_decode(p, len, &rec, &used, &need) == SPOOL_FRAME_OK);
    user = memmem(p, len, "\"u-1\"", 5);
    if (user != NULL)
        user[3] = '9';
    spool_frame_encode(&rec, p);
    free(s->bytes);
    s->bytes = grown;
    s->n += len;
}

/* Names of the segments of the slot with most of them, in order. */
struct names {
    char seg[64][SPOOL_NAME_BYTES], leaf[64][SPOOL_NAME_BYTES];
    size_t n;
};

static inline struct names segments(unsigned slot)
{
    struct names names = {.n = 0};
    struct spool_file *files = NULL;
    size_t n = 0;
    int fd = open(copy, O_RDONLY | O_DIRECTORY);

    CHECK(spool_list(fd, &files, &n, NULL) == GW_OK);
    for (size_t i = 0; i < n && names.n < 64; i++) {
        if (files[i].slot != slot)
            continue;
        spool_name(names.seg[names.n], slot, files[i].segno);
        leaf_name(names.leaf[names.n++], slot, files[i].segno);
    }
    free(files);
    (void)close(fd);
    return names;
}

static inline void delete_in_copy(const char *name)
{
    char path[512];

    (void)snprintf(path, sizeof(path), "%s/%s", copy, name);
    CHECK(unlink(path) == 0);
}

/* Takes the links out of all records, as a version wrote them that knew none. */
static inline void unlink_records(struct segment *s)
{
    static const char mark[] = ",\"record_integrity\":{";

    for (size_t i = 0; i < s->n_recs; i++) {
        unsigned char *p = (unsigned char *)s->bytes + s->at[i];
        char *from = memmem(p, s->at[i + 1] - s->at[i], mark, sizeof(mark) - 1);
        char *end = memmem(p, s->at[i + 1] - s->at[i], "},\"metadata\":{", 14);
        struct spool_rec rec;
        size_t used, need, n = (size_t)(end - from);

        if (!CHECK(from != NULL && end > from))
            return;
        CHECK(spool_frame_decode(p, s->at[i + 1] - s->at[i], &rec, &used, &need) == SPOOL_FRAME_OK);
        memmove(from, end, (size_t)(s->bytes + s->n - end));
        s->n -= n;
        for (size_t k = i + 1; k <= s->n_recs; k++)
            s->at[k] -= n;
        rec.payload.len -= n;
        spool_frame_encode(&rec, p);
    }
}

#endif
