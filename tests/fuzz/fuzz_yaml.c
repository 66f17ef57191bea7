/* Fuzz target of base/yaml.c: any bytes give a tree or an error, and the typed readers take any node. */
#include <stdint.h>
#include <stdlib.h>

#include "base/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct gw_yaml *y = NULL;
    struct gw_err err = {0};

    if (gw_yaml_parse((struct gw_span){(const char *)data, size}, "fuzz.yaml", &y, &err) != GW_OK) {
        if (y != NULL || err.text[0] == '\0')
            abort();
        return 0;
    }
    for (const struct gw_yaml_node *n = gw_yaml_root(y); n != NULL;) {
        bool b;
        int64_t i;
        double d;

        (void)gw_yaml_bool(n, &b);
        (void)gw_yaml_int(n, &i);
        (void)gw_yaml_double(n, &d);
        (void)gw_yaml_duration_ms(n, &i);
        (void)gw_yaml_fail(y, n, &err, GW_EINVAL, "here");
        /* Depth first, without recursion: down, else along, else up and along. */
        if (n->first_child != NULL) {
            n = n->first_child;
            continue;
        }
        while (n != NULL && n->next == NULL)
            n = n->parent;
        if (n != NULL)
            n = n->next;
    }
    gw_yaml_free(y);
    return 0;
}
