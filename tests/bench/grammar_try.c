/* tests/bench/grammar_try.c - the other half of grammar.py: reads requests, a line each, and answers each with a line.
 *
 *   try  OPEN TAB SCHEMA TAB TEXT     "whole", "beginning", "no", or "refused: why"
 *   draw OPEN TAB SCHEMA TAB SEED     an answer drawn byte by byte, or "refused: why" or "long"
 *
 * OPEN is "o" for schemas as JSON Schema has them, "c" for ordered and closed ones. Words are separated by one tab; texts are
 * compact JSON and so hold neither tabs nor line ends. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "engine/matcher.h"

enum { MAX_BYTES = 3000, CLOSE_AFTER = 60 };

static uint64_t state;

static uint32_t rnd(uint32_t n)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 33) % n;
}

static const char *try_text(struct engine_grammar *g, struct gw_span text)
{
    struct matcher *m = matcher_new(g, false);
    const char *verdict = "no";

    if (m != NULL && matcher_accept(m, text))
        verdict = matcher_done(m) ? "whole" : "beginning";
    if (m != NULL && m->failed)
        verdict = "failed";
    matcher_free(m);
    return verdict;
}

/* Draws bytes; after a while those that close something are taken first. */
static bool draw(struct engine_grammar *g, struct gw_buf *out)
{
    static const char closing[] = "}]\"";
    struct matcher *m = matcher_new(g, false);
    bool ok = false;

    while (m != NULL && out->len < MAX_BYTES) {
        unsigned char bytes[256];
        uint32_t n = 0;

        for (unsigned b = 0; b < 256; b++)
            if (matcher_step(m, m->at, (unsigned char)b) != MATCHER_DEAD)
                bytes[n++] = (unsigned char)b;
        ok = matcher_done(m) && (n == 0 || out->len > CLOSE_AFTER || rnd(8) == 0);
        if (ok || n == 0)
            break;
        if (out->len > CLOSE_AFTER)
            for (const char *c = closing; *c != '\0'; c++)
                if (memchr(bytes, *c, n) != NULL) {
                    bytes[0] = (unsigned char)*c;
                    n = 1;
                    break;
                }
        gw_buf_addc(out, (char)bytes[rnd(n)]);
        (void)matcher_accept(m, (struct gw_span){out->ptr + out->len - 1, 1});
        matcher_tidy(m);
    }
    matcher_free(m);
    return ok;
}

static void answer(char *line)
{
    struct engine_format f = {.kind = ENGINE_FORMAT_SCHEMA};
    struct engine_grammar *g = NULL;
    char *rest = line, *what = strsep(&rest, "\t"), *schema = strsep(&rest, "\t");
    struct gw_buf out = {0};
    struct gw_err err;

    if (schema == NULL || rest == NULL) {
        puts("what?");
        return;
    }
    f.text = gw_span_str(schema);
    f.ordered = f.closed = what[strlen(what) - 1] == 'c';
    if (engine_grammar_new(&f, &g, &err) != GW_OK) {
        printf("refused: %s\n", err.text);
        return;
    }
    if (what[0] == 't') {
        puts(try_text(g, gw_span_str(rest)));
    } else {
        state = strtoull(rest, NULL, 10) * 2 + 1;
        if (draw(g, &out))
            for (size_t i = 0; i < out.len; i++) /* white space of JSON becomes a space */
                putchar(out.ptr[i] == '\n' || out.ptr[i] == '\t' ? ' ' : out.ptr[i]);
        else
            fputs("long", stdout);
        puts("");
    }
    gw_buf_fini(&out);
    engine_grammar_unref(g);
}

int main(void)
{
    char *line = NULL;
    size_t cap = 0;

    while (getline(&line, &cap, stdin) > 0) {
        line[strcspn(line, "\n")] = '\0';
        answer(line);
        (void)fflush(stdout);
    }
    free(line);
    return 0;
}
