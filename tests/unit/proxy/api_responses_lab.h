/* tests/unit/proxy/api_responses_lab.h - the bench for OpenAI's Responses API: texts are written with ' for ", and ` for '. */
#ifndef TESTS_UNIT_PROXY_API_RESPONSES_LAB_H
#define TESTS_UNIT_PROXY_API_RESPONSES_LAB_H

#include "tests/unit/proxy/api_lab.h"

/* An event of a stream; rest: its members. */
#define EVENT(type, rest)                                                                          \
    "event: " type "\ndata: {'type':'" type "','sequence_number':7," rest "}\n\n"

static inline char *js(const char *text)
{
    char *s = strdup(text);

    for (char *p = s; p != NULL && *p != '\0'; p++)
        if (*p == '\'' || *p == '`')
            *p = *p == '`' ? '\'' : '"';
    return s;
}

static inline bool gives(enum api_dialect from, enum api_dialect to, const char *body,
                         const char *want, const char *dropped)
{
    char *a = js(body), *b = js(want);
    bool ok = lab_gives(from, to, a, b, dropped);

    free(a);
    free(b);
    return ok;
}

static inline bool refuses(enum api_dialect from, enum api_dialect to, const char *body,
                           const char *param)
{
    char *a = js(body);
    bool ok = lab_refuses(from, to, a, GW_EUNSUPPORTED, param);

    free(a);
    return ok;
}

static inline bool answers(enum api_dialect from, enum api_dialect to, const char *text,
                           struct lab_how how, bool as_events, const char *want)
{
    char *a = js(text), *b = js(want);
    bool ok = lab_answers(from, to, a, how, as_events, b);

    free(a);
    free(b);
    return ok;
}

#endif
