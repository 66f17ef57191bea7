/* proxy/request/media.c - see media.h. */
#include "proxy/request/media.h"

#include "router/router.h"

static unsigned medium_of(const struct api_part *p)
{
    switch (p->kind) {
    case API_PART_IMAGE:
        return 1u << ROUTER_MEDIUM_IMAGE;
    case API_PART_FILE:
        return 1u << ROUTER_MEDIUM_FILE;
    case API_PART_AUDIO:
        return 1u << ROUTER_MEDIUM_AUDIO;
    case API_PART_TEXT:
    case API_PART_REASONING:
    case API_PART_REFUSAL:
    case API_PART_TOOL_CALL:
    case API_PART_TOOL_RESULT:
    default:
        return 0;
    }
}

static unsigned media_of_part(const struct api_part *p)
{
    unsigned media = medium_of(p);

    for (unsigned i = 0; i < p->n_parts; i++) /* of a tool's result, which nests no further */
        media |= medium_of(&p->parts[i]);
    return media;
}

unsigned media_of(const struct api_request *a)
{
    unsigned media = 0;

    for (unsigned i = 0; i < a->n_messages; i++)
        for (unsigned k = 0; k < a->messages[i].n_parts; k++)
            media |= media_of_part(&a->messages[i].parts[k]);
    return media;
}
