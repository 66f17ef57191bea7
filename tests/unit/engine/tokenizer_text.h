/* tests/unit/engine/tokenizer_text.h - opens one kind of vocabulary out of the text of a tokenizer.json, as pieces.c does
 * for all kinds. */
#ifndef TESTS_UNIT_ENGINE_TOKENIZER_TEXT_H
#define TESTS_UNIT_ENGINE_TOKENIZER_TEXT_H

#include "base/json_tree.h"
#include "engine/unigram.h"
#include "engine/wordpiece.h"

/* Either is NULL: the other one is opened. */
static inline enum gw_status open_text(struct gw_span text, struct wordpiece **wp,
                                       struct unigram **u, struct gw_err *err)
{
    const struct gw_json_limits limits = {.max_keys = 600000};
    struct gw_arena *arena = gw_arena_new(64 << 20);
    struct gw_json *json = gw_json_new();
    struct gw_json_node *root = NULL;
    enum gw_status st = gw_json_tree(json, arena, text, &limits, &root, err);

    if (st == GW_OK)
        st = wp != NULL ? wordpiece_open(root, arena, wp, err) : unigram_open(root, arena, u, err);
    gw_json_free(json);
    gw_arena_free(arena);
    return st;
}

#endif
