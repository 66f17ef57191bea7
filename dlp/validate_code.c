/* dlp/validate_code.c - does text read like source code? Thread: any; no state. */
#include <string.h>

#include "dlp/validate_impl.h"

/* What a line of code begins with, by its first byte; none begins with a capital. */
enum { MOST_STARTS = 8 };
static const struct gw_span code_starts[128][MOST_STARTS] = {
    ['#'] = {{"#include", 8}, {"#define", 7}, {"#ifdef", 6}, {"#endif", 6}},
    ['*'] = {{"* ", 2}},
    ['/'] = {{"//", 2}, {"/*", 2}},
    ['<'] = {{"<?php", 5}},
    ['@'] = {{"@", 1}},
    ['a'] = {{"async ", 6}, {"await ", 6}, {"alter table", 11}},
    ['b'] = {{"begin", 5}},
    ['c'] = {{"class ", 6}, {"const ", 6}, {"case ", 5}, {"catch", 5}, {"create table", 12}},
    ['d'] = {{"def ", 4}, {"done", 4}},
    ['e'] = {{"else", 4},
             {"elif ", 5},
             {"except", 6},
             {"enum ", 5},
             {"export ", 7},
             {"end", 3},
             {"esac", 4},
             {"echo ", 5}},
    ['f'] = {{"from ", 5}, {"func ", 5}, {"function", 8}, {"for (", 5}, {"fn ", 3}, {"fi", 2}},
    ['i'] = {{"import ", 7},
             {"if (", 4},
             {"impl ", 5},
             {"interface ", 10},
             {"insert into", 11},
             {"if __name__", 11}},
    ['l'] = {{"let ", 4}},
    ['m'] = {{"match ", 6}, {"module ", 7}},
    ['n'] = {{"namespace ", 10}},
    ['p'] = {{"package ", 8}, {"public ", 7}, {"private ", 8}, {"pub ", 4}, {"print(", 6}},
    ['r'] = {{"return ", 7}, {"return;", 7}, {"raise ", 6}},
    ['s'] = {{"static ", 7},
             {"switch (", 8},
             {"struct ", 7},
             {"select ", 7},
             {"self.", 5},
             {"set -", 5}},
    ['t'] = {{"try", 3}, {"typedef ", 8}, {"template<", 9}, {"this.", 5}, {"throw ", 6}},
    ['u'] = {{"using ", 6}, {"use ", 4}, {"update ", 7}},
    ['v'] = {{"var ", 4}},
    ['w'] = {{"while (", 7}, {"where ", 6}},
    ['y'] = {{"yield ", 6}},
};

/* Does " = " or " := " stand in it? */
static bool has_assignment(struct gw_span l)
{
    for (const char *p = l.ptr, *end = l.ptr + l.len;
         (p = memchr(p, '=', (size_t)(end - p))) != NULL; p++) {
        const char *before = p > l.ptr && p[-1] == ':' ? p - 1 : p;

        if (before > l.ptr && before[-1] == ' ' && p + 1 < end && p[1] == ' ')
            return true;
    }
    return false;
}

static bool is_code_line(struct gw_span l)
{
    char last;
    unsigned char first;

    while (l.len > 0 && dlp_is_space(l.ptr[0]))
        l = gw_span_from(l, 1);
    while (l.len > 0 && dlp_is_space(l.ptr[l.len - 1]))
        l.len--;
    if (l.len == 0)
        return false;
    last = l.ptr[l.len - 1];
    if (last == ';' || last == '{' || last == '}' || (last == ')' && l.len > 2))
        return true;
    if (gw_span_ends(l, GW_SPAN("; do")) || gw_span_ends(l, GW_SPAN("; then")))
        return true;
    first = (unsigned char)gw_ascii_lower(l.ptr[0]);
    for (unsigned i = 0; first < 128 && i < MOST_STARTS && code_starts[first][i].len > 0; i++) {
        struct gw_span w = code_starts[first][i];

        if (l.len >= w.len && gw_span_eq_nocase((struct gw_span){l.ptr, w.len}, w))
            return true;
    }
    return has_assignment(l);
}

/* At least num of the lines around the match (512 bytes each way) read like code. */
int dlp_validate_code_shape(const struct dlp_validate_in *in)
{
    size_t from = in->match_start > 512 ? in->match_start - 512 : 0;
    size_t to = in->text.len - in->match_end > 512 ? in->match_end + 512 : in->text.len;
    unsigned code = 0;
    unsigned lines = 0;

    for (size_t i = from; i < to;) {
        const char *nl = memchr(in->text.ptr + i, '\n', to - i);
        size_t end = nl == NULL ? to : (size_t)(nl - in->text.ptr);

        if (end > i) {
            lines++;
            code += is_code_line((struct gw_span){in->text.ptr + i, end - i});
        }
        i = end + 1;
    }
    if ((double)code < in->num)
        return DLP_VALIDATE_REJECT;
    return code * 3 >= lines ? 5 : -20;
}
