/* The identifier schemes against the public vectors of python-stdnum, where they are present: of each
 * system that we claim, valid numbers must pass and numbers with a wrong checksum must not. */
#include <string.h>

#include "dlp/validate.h"
#include "tests/test.h"

/* Their module, our scheme. Left out: do.cedula (their vectors are its exceptions to the checksum), es.nif
 * and gb.vat (several kinds of numbers in one), il.idnr (leading zeros left away).
 * Some vectors of mk.edb carry a Cyrillic country code, which is not ours to strip: hence nine of ten. */
static const struct {
    const char *module, *scheme;
} systems[] = {
    {"al.nipt", "al_nipt"},    {"ar.cbu", "ar_cbu"},   {"au.tfn", "au_tfn"},
    {"br.cpf", "br_cpf"},      {"cl.rut", "cl_rut"},   {"cn.uscc", "cn_uscc"},
    {"do.rnc", "do_rnc"},      {"ec.ruc", "ec_ruc"},   {"gb.utr", "gb_utr"},
    {"gh.tin", "gh_tin"},      {"gr.amka", "gr_amka"}, {"gr.vat", "gr_afm"},
    {"hr.oib", "hr_oib"},      {"id.npwp", "id_npwp"}, {"in_.aadhaar", "in_aadhaar"},
    {"in_.gstin", "in_gstin"}, {"in_.pan", "in_pan"},  {"it.iva", "it_iva"},
    {"ke.pin", "ke_pin"},      {"kr.brn", "kr_brn"},   {"kr.rrn", "kr_rrn"},
    {"md.idno", "md_idno"},    {"mk.edb", "mk_edb"},   {"mx.curp", "mx_curp"},
    {"nz.ird", "nz_ird"},      {"pe.ruc", "pe_ruc"},   {"pl.pesel", "pl_pesel"},
    {"pl.regon", "pl_regon"},  {"pt.cc", "pt_cc"},     {"ro.cnp", "ro_cnp"},
    {"ru.inn", "ru_inn"},      {"tw.ubn", "tw_ubn"},
};

enum { N_SYSTEMS = sizeof(systems) / sizeof(systems[0]) };

/* Copies the JSON string behind `name": "` to out; escapes end it, the vectors we use have none. */
static bool field(const char *line, const char *name, char *out, size_t max)
{
    const char *p = strstr(line, name);
    size_t n = 0;

    if (p == NULL)
        return false;
    for (p += strlen(name); *p != '\0' && *p != '"' && *p != '\\' && n + 1 < max; p++)
        out[n++] = *p;
    out[n] = '\0';
    return *p == '"';
}

static bool passes(const char *scheme, const char *text)
{
    struct dlp_validate_in in = {.text = gw_span_str(text), .str = gw_span_str(scheme)};

    in.end = in.match_end = in.text.len;
    return in.end > 0 && dlp_validator_find("id")->validate(&in) == 0;
}

int main(void)
{
    FILE *f = fopen("../shared/dlp-dev/stdnum.jsonl", "re");
    unsigned valid[N_SYSTEMS] = {0};
    unsigned passed[N_SYSTEMS] = {0};
    unsigned invalid = 0;
    unsigned refused = 0;
    char line[4096];

    if (f == NULL) {
        test_skip("../shared/dlp-dev/stdnum.jsonl is not here");
        return test_done();
    }
    while (fgets(line, sizeof(line), f) != NULL) {
        char module[64];
        char text[256];

        if (!field(line, "\"id\": \"stdnum/", module, sizeof(module)) ||
            !field(line, "\"text\": \"", text, sizeof(text)) || strchr(module, '/') == NULL)
            continue;
        *strchr(module, '/') = '\0';
        for (unsigned i = 0; i < N_SYSTEMS; i++) {
            if (strcmp(module, systems[i].module) != 0)
                continue;
            if (strstr(line, "not_expect") == NULL) {
                valid[i]++;
                passed[i] += passes(systems[i].scheme, text);
            } else if (strstr(line, "InvalidChecksum") != NULL) {
                invalid++;
                refused += !passes(systems[i].scheme, text);
            }
        }
    }
    (void)fclose(f);
    for (unsigned i = 0; i < N_SYSTEMS; i++)
        if (!CHECK(passed[i] * 10 >= valid[i] * 9))
            fprintf(stderr, "  %s: %u of %u valid numbers pass\n", systems[i].module, passed[i],
                    valid[i]);
    CHECK(refused * 100 >= invalid * 97);
    printf("invalid checksums refused: %u of %u\n", refused, invalid);
    return test_done();
}
