/* dlp/rulec_schema.c - the JSON Schema of a rule file, made of the tables by which files are read, so that the two cannot
 * differ. Thread: any. */
#include "dlp/author.h"
#include "dlp/rulec_yaml.h"

/* A YAML scalar is a text to us, whatever it looks like: 5 is "5". */
#define TEXT "{\"type\":[\"string\",\"number\",\"boolean\",\"null\"]}"

static void put_object(struct gw_buf *out, const struct rulec_key *keys);

/* Writes a key's schema, which is an object, with its help in it, @ and # filled in. Tables are nested two deep. */
// NOLINTNEXTLINE(misc-no-recursion): as below
static void put_value(struct gw_buf *out, const struct rulec_key *k)
{
    gw_buf_adds(out, "{\"description\":");
    gw_buf_add_json_str(out, gw_span_str(k->help));
    gw_buf_addc(out, ',');
    for (const char *p = k->schema + 1; *p != '\0'; p++) {
        if (*p == '@')
            put_object(out, k->kids);
        else if (*p == '#')
            gw_buf_adds(out, TEXT);
        else
            gw_buf_addc(out, *p);
    }
}

// NOLINTNEXTLINE(misc-no-recursion): tables of keys are constants, two deep
static void put_object(struct gw_buf *out, const struct rulec_key *keys)
{
    const char *comma = "";

    gw_buf_adds(out, "{\"type\":\"object\",\"additionalProperties\":false,\"required\":[");
    for (const struct rulec_key *k = keys; k->name != NULL; k++) {
        if (!k->needed)
            continue;
        gw_buf_printf(out, "%s\"%s\"", comma, k->name);
        comma = ",";
    }
    gw_buf_adds(out, "],\"properties\":{");
    for (const struct rulec_key *k = keys; k->name != NULL; k++) {
        gw_buf_printf(out, "%s\"%s\":", k == keys ? "" : ",", k->name);
        put_value(out, k);
    }
    gw_buf_adds(out, "}}");
}

static void put_newline(struct gw_buf *out, unsigned depth)
{
    gw_buf_addc(out, '\n');
    for (unsigned i = 0; i < depth; i++)
        gw_buf_adds(out, "  ");
}

/* Appends JSON without blanks to out, one value a line. */
static void indent(struct gw_buf *out, struct gw_span json)
{
    bool in_string = false;
    unsigned depth = 0;

    for (size_t i = 0; i < json.len; i++) {
        char c = json.ptr[i];
        bool opens = !in_string && (c == '{' || c == '['),
             closes = !in_string && (c == '}' || c == ']');

        if (closes && i > 0 && json.ptr[i - 1] != '{' && json.ptr[i - 1] != '[')
            put_newline(out, depth - 1);
        depth -= closes;
        gw_buf_addc(out, c);
        if (in_string && c == '\\' && i + 1 < json.len) {
            gw_buf_addc(out, json.ptr[++i]);
            continue;
        }
        if (c == '"')
            in_string = !in_string;
        depth += opens;
        if ((opens && i + 1 < json.len && json.ptr[i + 1] != '}' && json.ptr[i + 1] != ']') ||
            (!in_string && c == ','))
            put_newline(out, depth);
        else if (!in_string && c == ':')
            gw_buf_addc(out, ' ');
    }
    gw_buf_addc(out, '\n');
}

void dlp_rules_schema(struct gw_buf *out)
{
    struct gw_buf json = {NULL, 0, 0, false};

    gw_buf_adds(
        &json,
        "{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\","
        "\"title\":\"Sluice rule file\",\"description\":\"A list of rules, and of lists that "
        "rules name. Written by: sluice rules schema\",\"type\":[\"array\",\"null\"],"
        "\"items\":{\"type\":\"object\",\"if\":{\"required\":[\"list\"]},\"then\":");
    put_object(&json, rulec_list_keys);
    gw_buf_adds(&json, ",\"else\":{\"allOf\":[");
    put_object(&json, rulec_rule_keys);
    gw_buf_adds(&json,
                ",{\"oneOf\":[{\"required\":[\"pattern\"]},{\"required\":[\"patterns\"]}]},"
                "{\"anyOf\":[{\"required\":[\"match\"]},{\"required\":[\"match_b64\"]}]}]}}}");
    if (gw_buf_ok(&json))
        indent(out, gw_buf_span(&json));
    else
        out->failed = true;
    gw_buf_fini(&json);
}
