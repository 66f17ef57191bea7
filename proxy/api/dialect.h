/* proxy/api/dialect.h - which chat API a request or an answer speaks. */
#ifndef PROXY_DIALECT_H
#define PROXY_DIALECT_H

enum api_dialect {
    API_CHAT,        /* OpenAI /v1/chat/completions */
    API_COMPLETIONS, /* OpenAI /v1/completions */
    API_RESPONSES,   /* OpenAI /v1/responses */
    API_ANTHROPIC,   /* Anthropic /v1/messages */
    API_GEMINI,      /* Google models/M:generateContent */
    API_DIALECT_COUNT
};
const char *api_dialect_name(enum api_dialect d); /* "openai", "completions", "responses", ... */

#endif
