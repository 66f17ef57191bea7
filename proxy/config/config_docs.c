/* proxy/config/config_docs.c - the table of keys as docs/config.md and as a JSON Schema for editors.
 *
 * Both are printed from the same table that parsing uses, so they cannot disagree with it. One thread. */
#include <string.h>

#include "base/buf.h"
#include "proxy/config/config_private.h"

static const char *type_words(enum config_type type)
{
    static const char *const words[] = {
        [CONFIG_SECTION] = "mapping",
        [CONFIG_NAMED] = "mapping of name: {...}",
        [CONFIG_ITEMS] = "list of {...}",
        [CONFIG_BOOL] = "true or false",
        [CONFIG_UINT] = "number",
        [CONFIG_BYTES] = "size (64KiB, 32MiB, 8GiB)",
        [CONFIG_DURATION] = "duration (250ms, 10s, 5m, 2h, 7d)",
        [CONFIG_STRING] = "text",
        [CONFIG_PATH] = "path",
        [CONFIG_ENUM] = "word",
        [CONFIG_ACTION] = "action",
        [CONFIG_SEVERITY] = "severity",
        [CONFIG_AT_LEAST] = "number or \">=N\"",
        [CONFIG_ZONE] = "zone",
        [CONFIG_ZONES] = "zone or list",
        [CONFIG_CLASSES] = "class or list",
        [CONFIG_WORDS] = "word or list",
        [CONFIG_LIST] = "text or list",
        [CONFIG_PATHS] = "path or list",
        [CONFIG_HOSTS] = "host or list",
        [CONFIG_ADDR] = "address:port or off",
        [CONFIG_URL] = "URL",
        [CONFIG_URLS] = "list of URLs",
        [CONFIG_SECRET] = "file:PATH or env:NAME",
        [CONFIG_SECRETS] = "list of file:PATH or env:NAME",
        [CONFIG_DOCUMENT] = "file:PATH or env:NAME",
        [CONFIG_RESOLVES] = "mapping of host: address",
        [CONFIG_NETS] = "address, range or list",
        [CONFIG_PORTS] = "port or list",
        [CONFIG_PAIRS] = "mapping",
        [CONFIG_MONEY] = "decimal (2.50)",
        [CONFIG_DATE] = "date (2026-01-31)",
        [CONFIG_PROPERTIES] = "mapping",
    };

    return words[type];
}

/* ---- Markdown --------------------------------------------------------------------------------- */

static void print_range(FILE *out, const struct config_key *key)
{
    if (key->type == CONFIG_UINT || key->type == CONFIG_AT_LEAST)
        (void)fprintf(out, ", %lld to %lld", (long long)key->min, (long long)key->max);
    if (key->type == CONFIG_DURATION)
        (void)fprintf(out, ", %lldms to %llds", (long long)key->min, (long long)(key->max / 1000));
    if (key->type == CONFIG_BYTES)
        (void)fprintf(out, ", %lld to %lld", (long long)key->min, (long long)key->max);
    for (unsigned i = 0; key->choices != NULL && key->choices[i] != NULL; i++)
        (void)fprintf(out, "%s `%s`", i == 0 ? ":" : ",", key->choices[i]);
}

static void print_cell(FILE *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '|')
            (void)fputc('\\', out);
        (void)fputc(*text, out);
    }
}

static void print_key(FILE *out, const struct config_key *key)
{
    (void)fprintf(out, "| `%s` | %s", key->path, type_words(key->type));
    print_range(out, key);
    if (key->def == config_required)
        (void)fputs(" | required | ", out);
    else if (key->def == NULL || key->def[0] == '\0')
        (void)fputs(" | | ", out);
    else
        (void)fprintf(out, " | `%s` | ", key->def);
    print_cell(out, key->help);
    (void)fputs(" |\n", out);
}

void proxy_config_print_docs(FILE *out)
{
    struct gw_span text = proxy_config_default_text();

    (void)fputs(
        "# Configuration reference\n\n"
        "<!-- Made by `sluice serve --print-docs` from the table in proxy/config/config_table.c. "
        "Do not "
        "edit. -->\n\n"
        "`sluice serve -c sluice.yaml`; without `-c`, the file that `$SLUICE_CONFIG` names, else "
        "the built-in\nconfiguration at the end of this page. YAML without anchors, tags and "
        "duplicate keys; JSON is YAML too.\n`sluice serve -c sluice.yaml --check` validates "
        "everything that a start would, reads the keys and looks for\nthe files, and names file, "
        "line and key of every problem. `sluice serve --print-schema` prints a JSON Schema\nfor "
        "editors. Relative paths start at the configuration's folder. `*` stands for a name "
        "of your choice,\n`[]` for each item of a list.\n\n"
        "| key | takes | default | what it is |\n| --- | --- | --- | --- |\n",
        out);
    for (unsigned i = 0; i < n_config_keys; i++)
        print_key(out, &config_keys[i]);
    (void)fprintf(out, "\n## Built-in configuration\n\n```yaml\n%.*s```\n", (int)text.len,
                  text.ptr);
}

/* ---- JSON Schema -------------------------------------------------------------------------------- */

static void put_words(struct gw_buf *b, const char *const *words, unsigned n)
{
    gw_buf_adds(b, "\"enum\":[");
    for (unsigned i = 0; i < n; i++) {
        gw_buf_adds(b, i == 0 ? "" : ",");
        gw_buf_add_json_str(b, gw_span_str(words[i]));
    }
    gw_buf_addc(b, ']');
}

/* The words of the vocabulary in base/types.h. */
static void put_vocabulary(struct gw_buf *b, enum config_type type)
{
    static const enum gw_zone zones[] = {GW_ZONE_PROCESS, GW_ZONE_PRIVATE, GW_ZONE_APPROVED};
    const char *words[16];
    unsigned n = 0;

    if (type == CONFIG_ACTION)
        for (; n < GW_ACTION_COUNT; n++)
            words[n] = gw_action_name((enum gw_action)n);
    else if (type == CONFIG_CLASSES)
        for (; n < GW_CLASS_COUNT; n++)
            words[n] = gw_class_name((enum gw_class)n);
    else
        for (; n < 3; n++)
            words[n] = gw_zone_name(zones[n]);
    put_words(b, words, n);
}

static const char *fixed_schema(enum config_type type)
{
    switch ((int)type) {
    case CONFIG_BOOL:
        return "\"type\":\"boolean\"";
    case CONFIG_STRING:
    case CONFIG_PATH:
        return "\"type\":[\"string\",\"number\"]";
    case CONFIG_BYTES:
        return "\"type\":[\"integer\",\"string\"],\"pattern\":\"^[0-9_]+(KiB|MiB|GiB)?$\"";
    case CONFIG_DURATION:
        return "\"type\":[\"integer\",\"string\"],\"pattern\":\"^([0-9_]+(ms|s|m|h|d)|0)$\"";
    case CONFIG_SEVERITY:
        return "\"type\":\"string\",\"pattern\":\"^(>= *)?(info|low|medium|high|critical)$\"";
    case CONFIG_AT_LEAST:
        return "\"type\":[\"integer\",\"string\"],\"pattern\":\"^(>= *)?[0-9]+$\"";
    case CONFIG_LIST:
    case CONFIG_PATHS:
    case CONFIG_HOSTS:
    case CONFIG_NETS:
        return "\"type\":[\"string\",\"number\",\"array\"],\"items\":{\"type\":[\"string\","
               "\"number\"]}";
    case CONFIG_PORTS:
        return "\"type\":[\"integer\",\"array\"],\"items\":{\"type\":\"integer\",\"minimum\":1,"
               "\"maximum\":65535}";
    case CONFIG_ADDR:
        return "\"type\":[\"string\",\"boolean\"]";
    case CONFIG_URL:
        return "\"type\":\"string\",\"pattern\":\"^https?://\"";
    case CONFIG_MONEY:
        return "\"type\":[\"number\",\"string\"],\"pattern\":\"^[0-9]+([.][0-9]{1,9})?$\"";
    case CONFIG_DATE:
        return "\"type\":\"string\",\"pattern\":\"^[0-9]{4}-[0-9]{2}-[0-9]{2}$\"";
    case CONFIG_URLS:
        return "\"type\":[\"string\",\"array\"],\"items\":{\"type\":\"string\",\"pattern\":"
               "\"^https?://\"}";
    case CONFIG_SECRETS:
        return "\"type\":[\"string\",\"array\"],\"items\":{\"type\":\"string\",\"pattern\":"
               "\"^(file|env):.\"}";
    case CONFIG_SECRET:
    case CONFIG_DOCUMENT:
        return "\"type\":\"string\",\"pattern\":\"^(file|env):.\"";
    default: /* mappings of free names */
        return "\"type\":\"object\",\"additionalProperties\":{\"type\":[\"string\",\"number\","
               "\"boolean\"]}";
    }
}

static void put_value(struct gw_buf *b, const struct config_key *key)
{
    unsigned n = 0;

    if (key->type == CONFIG_ENUM) {
        while (key->choices[n] != NULL)
            n++;
        put_words(b, key->choices, n);
    } else if (key->type == CONFIG_UINT) {
        gw_buf_printf(b, "\"type\":\"integer\",\"minimum\":%lld,\"maximum\":%lld",
                      (long long)key->min, (long long)key->max);
    } else if (key->type == CONFIG_ACTION || key->type == CONFIG_ZONE) {
        put_vocabulary(b, key->type);
    } else if (key->type == CONFIG_WORDS) {
        while (key->choices[n] != NULL)
            n++;
        gw_buf_adds(b, "\"anyOf\":[{");
        put_words(b, key->choices, n);
        gw_buf_adds(b, "},{\"type\":\"array\",\"items\":{");
        put_words(b, key->choices, n);
        gw_buf_adds(b, "}}]");
    } else if (key->type == CONFIG_ZONES || key->type == CONFIG_CLASSES) {
        gw_buf_adds(b, "\"anyOf\":[{");
        put_vocabulary(b, key->type);
        gw_buf_adds(b, "},{\"type\":\"array\",\"items\":{");
        put_vocabulary(b, key->type);
        gw_buf_adds(b, "}}]");
    } else {
        gw_buf_adds(b, fixed_schema(key->type));
    }
}

static void put_object(struct gw_buf *b, const char *prefix);

/* One key with all below it. */
static void put_key(struct gw_buf *b, const struct config_key *key)
{
    char below[100];
    bool alternative = strcmp(key->path, "policy[].then") == 0; /* a word or a mapping */

    gw_buf_adds(b, "{\"description\":");
    gw_buf_add_json_str(b, gw_span_str(key->help));
    gw_buf_addc(b, ',');
    (void)snprintf(below, sizeof(below), "%s%s", key->path,
                   key->type == CONFIG_NAMED   ? ".*"
                   : key->type == CONFIG_ITEMS ? "[]"
                                               : "");
    if (key->type == CONFIG_NAMED) {
        gw_buf_adds(b, "\"type\":\"object\",\"additionalProperties\":{");
        put_object(b, below);
        gw_buf_addc(b, '}');
    } else if (key->type == CONFIG_ITEMS) {
        gw_buf_adds(b, "\"type\":\"array\",\"items\":{");
        put_object(b, below);
        gw_buf_addc(b, '}');
    } else if (key->type == CONFIG_SECTION) {
        put_object(b, below);
    } else if (alternative) {
        gw_buf_adds(b, "\"anyOf\":[{");
        put_value(b, key);
        gw_buf_adds(b, "},{");
        put_object(b, below);
        gw_buf_adds(b, "}]");
    } else {
        put_value(b, key);
    }
    gw_buf_addc(b, '}');
}

/* The name of key right below prefix, or NULL when it is elsewhere. */
static const char *name_below(const struct config_key *key, const char *prefix)
{
    size_t n = strlen(prefix);
    const char *rest = key->path;

    if (n > 0) {
        if (strncmp(rest, prefix, n) != 0 || rest[n] != '.')
            return NULL;
        rest += n + 1;
    }
    return rest[strcspn(rest, ".[*")] == '\0' ? rest : NULL;
}

/* Recursion follows the table: four deep. */
static void put_object(struct gw_buf *b, const char *prefix)
{
    const char *between = "";

    gw_buf_adds(b, "\"type\":\"object\",\"additionalProperties\":false,\"properties\":{");
    for (unsigned i = 0; i < n_config_keys; i++) {
        const char *name = name_below(&config_keys[i], prefix);

        if (name == NULL)
            continue;
        gw_buf_printf(b, "%s\n\"%s\":", between, name);
        put_key(b, &config_keys[i]);
        between = ",";
    }
    gw_buf_adds(b, "},\"required\":[");
    between = "";
    for (unsigned i = 0; i < n_config_keys; i++) {
        const char *name = name_below(&config_keys[i], prefix);

        if (name == NULL || config_keys[i].def != config_required)
            continue;
        gw_buf_printf(b, "%s\"%s\"", between, name);
        between = ",";
    }
    gw_buf_addc(b, ']');
}

void proxy_config_print_schema(FILE *out)
{
    struct gw_buf b = {0};

    gw_buf_adds(&b, "{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\"title\":"
                    "\"sluice.yaml\",");
    put_object(&b, "");
    gw_buf_adds(&b, "}\n");
    if (gw_buf_ok(&b))
        (void)fwrite(b.ptr, 1, b.len, out);
    gw_buf_fini(&b);
}
