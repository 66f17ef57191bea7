/* proxy/local/local_front.c - see local_front.h. */
#include "proxy/local/local_front.h"

#include "engine/engine.h"
#include "proxy/local/local_calls.h"
#include "proxy/local/local_python.h"
#include "proxy/local/local_tools.h"

#define THINK     "<think>"
#define THINK_END "</think>"

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

void local_front_init(struct local_front *f, unsigned says, bool tools)
{
    *f = (struct local_front){.state = FRONT_PLAIN};
    if (tools)
        f->forms = says & ~(unsigned)(ENGINE_SAYS_THINK | ENGINE_SAYS_THINKING);
    if ((says & ENGINE_SAYS_THINKING) != 0)
        f->state = FRONT_THOUGHT;
    else if ((says & ENGINE_SAYS_THINK) != 0)
        f->state = FRONT_START;
}

void local_front_fini(struct local_front *f)
{
    gw_buf_fini(&f->held);
    gw_buf_fini(&f->thought);
    gw_buf_fini(&f->text);
}

static void plain(struct local_front *f, char c);

/* What was held is text after all; each byte may begin something else. */
static void give_held(struct local_front *f)
{
    struct gw_buf held = f->held;

    f->held = (struct gw_buf){0};
    f->state = FRONT_PLAIN;
    for (size_t i = 0; i < held.len; i++)
        plain(f, held.ptr[i]);
    gw_buf_fini(&held);
}

/* ---- what it thinks -------------------------------------------------------------------------- */

static void start(struct local_front *f, char c)
{
    size_t space = 0;

    gw_buf_addc(&f->held, c);
    while (space < f->held.len && is_space(f->held.ptr[space]))
        space++;
    if (!gw_span_starts(GW_SPAN(THINK), gw_span_from(gw_buf_span(&f->held), space)) ||
        f->held.len > LOCAL_TOOLS_MAX_CALL) {
        give_held(f);
    } else if (f->held.len - space == sizeof(THINK) - 1) {
        f->skipped += f->held.len;
        gw_buf_clear(&f->held);
        f->state = FRONT_THOUGHT;
    }
}

/* held: white space, then what may be the end's marker. */
static void think(struct local_front *f, char c)
{
    size_t space = 0;
    struct gw_span tail;

    f->skipped++;
    gw_buf_addc(&f->held, c);
    while (space < f->held.len && is_space(f->held.ptr[space]))
        space++;
    tail = gw_span_from(gw_buf_span(&f->held), space);
    if (gw_span_is(tail, THINK_END)) {
        gw_buf_clear(&f->held);
        f->state = FRONT_BEHIND;
        return;
    }
    if (gw_span_starts(GW_SPAN(THINK_END), tail) && f->held.len <= LOCAL_TOOLS_MAX_CALL)
        return; /* also white space alone */
    if (!f->any && !is_space(c) && tail.len == 1)
        gw_buf_drop(&f->held, space); /* at the beginning */
    f->any = true;
    /* All but a last byte that may begin the marker or be white space. */
    if (tail.len > 1 && (c == '<' || is_space(c))) {
        gw_buf_add(&f->thought, (struct gw_span){f->held.ptr, f->held.len - 1});
        gw_buf_clear(&f->held);
        gw_buf_addc(&f->held, c);
        return;
    }
    gw_buf_add(&f->thought, gw_buf_span(&f->held));
    gw_buf_clear(&f->held);
}

static void behind(struct local_front *f, char c)
{
    if (is_space(c)) {
        f->skipped++;
        return;
    }
    f->state = FRONT_PLAIN;
    f->any = false;
    plain(f, c);
}

/* ---- calls ------------------------------------------------------------------------------------ */

/* Whether text is the beginning of an object whose first member can be a call's. */
static bool is_object_of_call(struct gw_span text)
{
    static const char *const keys[] = {"\"name\"", "\"type\"", "\"parameters\"", "\"arguments\""};
    size_t at = 1;

    while (at < text.len && is_space(text.ptr[at]))
        at++;
    text = gw_span_from(text, at);
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        if (gw_span_starts(gw_span_str(keys[i]), text) ||
            gw_span_starts(text, gw_span_str(keys[i])))
            return true;
    return false;
}

/* The longest key, and as much space in front of it as anybody writes. */
enum { OBJECT_BYTES = 64 };

/* Looks whether held can still become a marker, or is one. */
static bool may_be_marker(struct local_front *f)
{
    struct gw_span held = gw_buf_span(&f->held);
    bool whole = false;

    if (local_calls_marker(f->forms, held, &whole) != NULL) {
        if (whole)
            f->state = FRONT_CALLS;
        return true;
    }
    if ((f->forms & ENGINE_SAYS_PYTHON) != 0 && !f->any && local_python_may_be_list(held, &whole)) {
        if (whole)
            f->state = FRONT_CALLS;
        return true;
    }
    if ((f->forms & ENGINE_SAYS_LLAMA) == 0 || f->any || held.ptr[0] != '{' ||
        !is_object_of_call(held))
        return false;
    if (held.len >= OBJECT_BYTES)
        f->state = FRONT_CALLS;
    return true;
}

static void plain(struct local_front *f, char c)
{
    gw_buf_addc(&f->held, c);
    while (f->state == FRONT_PLAIN && f->held.len != 0 && !may_be_marker(f)) {
        f->any = f->any || !is_space(f->held.ptr[0]);
        gw_buf_addc(&f->text, f->held.ptr[0]);
        gw_buf_drop(&f->held, 1);
    }
}

void local_front_give_up(struct local_front *f)
{
    gw_buf_add(&f->text, gw_buf_span(&f->held));
    gw_buf_fini(&f->held);
    f->state = FRONT_PLAIN;
    f->forms = 0;
    f->any = true;
}

void local_front_take(struct local_front *f, struct gw_span text)
{
    for (size_t i = 0; i < text.len; i++) {
        switch (f->state) {
        case FRONT_START:
            start(f, text.ptr[i]);
            break;
        case FRONT_THOUGHT:
            think(f, text.ptr[i]);
            break;
        case FRONT_BEHIND:
            behind(f, text.ptr[i]);
            break;
        case FRONT_PLAIN:
            if (f->forms == 0 && f->held.len == 0) {
                gw_buf_add(&f->text, gw_span_from(text, i));
                return;
            }
            plain(f, text.ptr[i]);
            break;
        case FRONT_CALLS:
        default:
            gw_buf_addc(&f->held, text.ptr[i]);
            if (f->held.len > LOCAL_TOOLS_MAX_CALL)
                local_front_give_up(f);
            break;
        }
    }
}

void local_front_end(struct local_front *f)
{
    if (f->state == FRONT_THOUGHT) {
        gw_buf_add(&f->thought, gw_buf_span(&f->held));
        gw_buf_fini(&f->held);
    } else if (f->state == FRONT_PLAIN && f->held.len != 0 && f->held.ptr[0] == '{') {
        f->state = FRONT_CALLS; /* a short object */
    } else if (f->state != FRONT_CALLS) {
        gw_buf_add(&f->text, gw_buf_span(&f->held));
        gw_buf_fini(&f->held);
    }
}
