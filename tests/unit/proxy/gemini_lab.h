/* tests/unit/proxy/gemini_lab.h - what the tests of Gemini's dialect share. */
#ifndef TESTS_UNIT_PROXY_GEMINI_LAB_H
#define TESTS_UNIT_PROXY_GEMINI_LAB_H

#include "tests/unit/proxy/api_lab.h"

/* JSON with ' for ", which no text here holds; valid until the eighth call after. */
static inline const char *q(const char *s)
{
    static char texts[8][8192];
    static unsigned at;
    char *out = texts[at++ % 8];
    size_t i = 0;

    for (; s[i] != '\0' && i + 1 < sizeof(texts[0]); i++)
        out[i] = (char)(s[i] == '\'' ? '"' : s[i]);
    out[i] = '\0';
    return out;
}

/* A request through the common form and back: what is kept, byte for byte. */
static inline bool back(const char *body, const char *want, const char *dropped)
{
    return lab_gives(API_GEMINI, API_GEMINI, q(body), q(want), dropped);
}

static inline bool refused(const char *body, enum gw_status st, const char *param)
{
    return lab_refuses(API_GEMINI, API_GEMINI, q(body), st, param);
}

/* JSON that most tests need. */
#define HI    "'contents':[{'parts':[{'text':'hi'}],'role':'user'}]"
#define HI_IN "{" HI
#define MODEL(parts)                                                                               \
    "{'contents':[{'parts':[{'text':'hi'}],'role':'user'},{'role':'model','parts':[" parts "]}]}"
#define MODEL_OUT(parts)                                                                           \
    "{'contents':[{'parts':[{'text':'hi'}],'role':'user'},{'parts':[" parts "],'role':'model'}]}"
#define CALL(name)             "{'functionCall':{'name':'" name "'}}"
#define CALL_OUT(name, id)     "{'functionCall':{'name':'" name "','id':'" id "','args':{}}}"
#define ANSWER(name, response) "{'functionResponse':{'name':'" name "','response':" response "}}"
#define ANSWER_OUT(name, id, response)                                                             \
    "{'functionResponse':{'name':'" name "','id':'" id "','response':" response "}}"

#endif
