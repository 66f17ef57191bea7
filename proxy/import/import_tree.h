/* proxy/import/import_tree.h - a foreign pattern as a tree. Private to import_regex.c, which reads it, and import_tree.c,
 * which changes and writes it. */
#ifndef PROXY_IMPORT_TREE_H
#define PROXY_IMPORT_TREE_H

#include "proxy/import/import_regex.h"

enum { IMPORT_INFINITE = -1 };

enum import_kind {
    IMPORT_ATOM,   /* text of ours for one character */
    IMPORT_CAT,    /* the kids one after the other */
    IMPORT_ALT,    /* one of the kids */
    IMPORT_GROUP,  /* the only kid */
    IMPORT_REPEAT, /* the only kid min to max times */
    IMPORT_ASSERT, /* nothing, at a place */
};

struct import_node {
    enum import_kind kind;
    struct gw_span text; /* ATOM */
    bool wide;           /* ATOM: nearly any byte, as . is */
    unsigned capture;    /* GROUP: its number; 0: none */
    bool secret;         /* GROUP: is reported */
    char assert;         /* ASSERT: b, ^ or $; 0: taken away */
    int min, max;        /* REPEAT; max may be IMPORT_INFINITE */
    struct import_node *kid, *next;
};

/* Writes what [:alpha:] and the like stand for when rest begins with one; returns its length, or 0. */
size_t import_posix_class(struct gw_span rest, struct gw_buf *out);

/* Changes the tree to what our notation can say and writes it to out (but for out->nocase). As import_regex(). */
enum gw_status import_tree_write(struct gw_arena *arena, struct import_node *root,
                                 const struct import_regex_options *o, struct import_regex *out,
                                 struct gw_buf *notes, struct gw_err *err);

#endif
