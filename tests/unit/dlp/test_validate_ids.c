/* Every number system with a check digit: a number drawn for it passes, and of all numbers that differ in one digit
 * no more pass than the system's own rule cannot tell apart. */
#include <stdint.h>
#include <string.h>

#include "dlp/validate.h"
#include "tests/test.h"

/* clang-format off: a table */
static const struct {
    const char *scheme, *value;
    unsigned
        percent; /* of one-digit changes that pass: weights that share a factor with the modulus, ten written as 0 */
} systems[] = {
    {"ar_cbu", "9536561505488636371166", 0},
    {"ar_cuit", "30834408216", 0},
    {"at_svnr", "7229280161", 0},
    {"at_tin", "121172712", 0},
    {"at_uid", "ATU95286261", 0},
    {"au_abn", "41924564994", 0},
    {"au_acn", "878755661", 10},
    {"au_tfn", "818357475", 0},
    {"az_voen", "8903132602", 2},
    {"be_nrn", "48091385322", 2},
    {"be_ogm", "407558609952", 0},
    {"be_vat", "0975194745", 0},
    {"bg_egn", "8303187077", 0},
    {"bg_pnf", "8840435303", 0},
    {"bg_vat", "338863665", 2},
    {"br_cnpj", "23453740029837", 0},
    {"br_cpf", "51334160830", 0},
    {"by_unp", "758355615", 0},
    {"ca_bc_phn", "9509800318", 0},
    {"ca_bn", "863710182", 0},
    {"ca_sin", "246590483", 0},
    {"ch_ahv", "7562772270652", 0},
    {"ch_esr", "333054108160458776393294226", 0},
    {"ch_uid", "CHE800844120", 0},
    {"ch_vat", "CHE834058645MWST", 0},
    {"cl_rut", "444015950", 0},
    {"cn_id", "110101197608085938", 0},
    {"cn_uscc", "91275494354984554T", 0},
    {"co_nit", "8990768416", 0},
    {"cy_vat", "62319010U", 0},
    {"cz_dic", "23492601", 9},
    {"cz_rc", "8930116107", 0},
    {"de_steuerid", "81378246097", 0},
    {"de_vat", "147331291", 0},
    {"dk_cvr", "93813863", 0},
    {"do_cedula", "98030460855", 0},
    {"do_rnc", "205772977", 0},
    {"ean", "0421897766105", 0},
    {"ec_cedula", "1858752957", 0},
    {"ee_ik", "17909180290", 2},
    {"ee_kmkr", "200733106", 0},
    {"ee_registrikood", "88531372", 2},
    {"es_catastro", "1957574BI692347940XM", 0},
    {"es_ccc", "48907909378433892378", 0},
    {"es_cif", "D29466703", 0},
    {"es_cups", "ES2395952493614543XD", 0},
    {"es_dni", "55912774G", 0},
    {"es_nuss", "410271834630", 0},
    {"es_nie", "Z3054181Q", 0},
    {"es_nif", "64074676B", 0},
    {"fi_hetu", "150445-2995", 0},
    {"fi_ytunnus", "95681821", 0},
    {"figi", "BBG83668HH42", 0},
    {"fr_nir", "160069118715638", 0},
    {"fr_siren", "083972976", 0},
    {"fr_siret", "90454774255095", 0},
    {"fr_spi", "3620384541130", 0},
    {"fr_tva", "FR13041511700", 0},
    {"gb_nhs", "2414464577", 0},
    {"gb_upn", "M860900698667", 0},
    {"gb_utr", "1589713519", 9},
    {"gb_vat", "414168330", 2},
    {"gh_tin", "C0000452025", 0},
    {"gn_nifp", "719699043", 0},
    {"gr_afm", "733444265", 0},
    {"gr_amka", "17022610152", 0},
    {"gt_nit", "37460722", 0},
    {"hu_szemelyi", "27403182753", 2},
    {"ir_id", "0472183656", 8},
    {"hr_oib", "66164887966", 0},
    {"hu_anum", "31175276", 0},
    {"ie_pps", "9872068G", 0},
    {"ie_vat", "1264574L", 0},
    {"il_hp", "500219035", 0},
    {"il_id", "551808215", 0},
    {"imei", "301606814248399", 0},
    {"in_aadhaar", "625165153319", 0},
    {"in_epic", "TLK3630241", 0},
    {"in_gstin", "27AFYPG0406G1ZH", 0},
    {"in_vid", "8175160495321094", 0},
    {"is_kennitala", "6309854209", 3},
    {"isbn10", "55251110", 0},
    {"isni", "9755961953412587", 0},
    {"iso11649", "RF632135759682", 0},
    {"iso6346", "EZHU6335023", 0},
    {"it_aic", "011403716", 0},
    {"it_cf", "RSSMRA24A01H501K", 0},
    {"it_iva", "58879010153", 0},
    {"jp_corporate", "6122211883938", 1},
    {"jp_mynumber", "132431802086", 0},
    {"kr_brn", "8373375177", 0},
    {"lei", "QW6O72R37K84JECH7Q72", 0},
    {"lt_pvm", "405034715", 0},
    {"lu_nin", "1984052731883", 0},
    {"lu_tva", "27292046", 0},
    {"lv_pvn", "75877070531", 0},
    {"ma_ice", "918739730130230", 0},
    {"mc_tva", "FR51000020674", 0},
    {"md_idno", "7763200516403", 0},
    {"me_pib", "81609230", 10},
    {"mk_edb", "0185290829933", 0},
    {"mt_vat", "96243434", 0},
    {"mu_nid", "H0109977405348", 0},
    {"mx_curp", "BOXW640503HNERBN56", 6},
    {"mx_nss", "45908127363", 0},
    {"mz_nuit", "501230758", 0},
    {"nl_bsn", "392492337", 0},
    {"nl_onderwijsnummer", "101988443", 0},
    {"no_fnr", "08050348858", 0},
    {"no_kontonr", "82564853379", 0},
    {"no_mva", "525608492MVA", 0},
    {"no_orgnr", "127766096", 0},
    {"nz_ird", "048439349", 2},
    {"pe_cui", "395942421", 8},
    {"pe_ruc", "20987663554", 0},
    {"pl_nip", "6178664428", 0},
    {"pl_pesel", "12811488267", 0},
    {"pl_regon", "697365405", 0},
    {"pt_cc", "808549969ZY6", 0},
    {"pt_nif", "344385604", 0},
    {"py_ruc", "78122929", 0},
    {"ro_cnp", "1850807408785", 0},
    {"ro_cui", "85199558", 0},
    {"rs_pib", "481855428", 0},
    {"ru_inn", "0643981092", 0},
    {"ru_ogrn", "3278917979370", 10},
    {"se_orgnr", "2556976856", 0},
    {"se_personnummer", "4005095940", 0},
    {"se_vat", "051996216101", 0},
    {"sepa_creditor", "ES96ZZZ61129277K", 0},
    {"sg_uen", "21018840E", 0},
    {"si_ddv", "94707219", 0},
    {"si_maticna", "5213436", 0},
    {"sk_dph", "4495020145", 0},
    {"sn_ninea", "340248641", 5},
    {"sv_nit", "07756327996170", 8},
    {"th_id", "5910141742987", 8},
    {"tr_tckn", "68376677370", 0},
    {"tr_vkn", "8433124235", 0},
    {"ua_edrpou", "49546854", 9},
    {"ua_rnokpp", "8559298643", 0},
    {"ve_rif", "V567546965", 0},
    {"vn_mst", "2351987558", 0},
    {"yu_jmbg", "0802959506964", 0},
    {"za_id", "2509074291186", 0},
    {"za_tin", "2590206336", 0},
    {"ua_unzr", "19840517-48276", 0},
    {"mx_clabe", "002180047263519086", 0},
};
/* clang-format on */

enum { N_SYSTEMS = sizeof(systems) / sizeof(systems[0]) };

static bool passes(const char *scheme, const char *text)
{
    struct dlp_validate_in in = {.text = gw_span_str(text), .str = gw_span_str(scheme)};

    in.end = in.match_end = in.text.len;
    return dlp_validator_find("id")->validate(&in) == 0;
}

/* Systems whose rule is a date: what they take, and what is no day of theirs. */
static void check_forms(void)
{
    CHECK(!passes("br_cnpj", "00.000.000/0000-00"));
    CHECK(passes("se_personnummer", "200228+5266"));  /* more than a hundred years old */
    CHECK(!passes("se_personnummer", "150916-0006")); /* serials begin with 001 */
    CHECK(passes("fr_siret", "35600000048202") &&
          !passes("fr_siret", "35600000048204"));                       /* La Poste */
    CHECK(passes("nz_nhi", "KTB48XR") && !passes("nz_nhi", "KTB48XA")); /* the form since 2026 */
    CHECK(passes("fi_hetu", "131052+308T"));
    CHECK(passes("lk_nic", "853400937V") && passes("lk_nic", "198584000937"));
    CHECK(!passes("lk_nic", "854900937V") && !passes("lk_nic", "853400937A"));
    CHECK(!passes("lk_nic", "218534000937") && !passes("lk_nic", "85340093712"));
    CHECK(passes("cz_rc_old", "490312/718") && passes("cz_rc_old", "495312718"));
    CHECK(!passes("cz_rc_old", "540312718") && !passes("cz_rc_old", "490312000"));
    CHECK(passes("hu_szemelyi", "40403182759")); /* the weights since 1997 */
    CHECK(passes("es_nuss", "415271834633"));    /* a number of ten millions and more */
    CHECK(passes("de_kvnr", "K482917367") && passes("de_kvnr", "K4829173671084162148"));
    CHECK(!passes("de_kvnr", "K4829173671084162147"));
    CHECK(!passes("de_kvnr", "A1234567801")); /* neither ten nor twenty */
}

/* Of plain digits, as many as any system has and more, a system says the same whoever reads them. */
static void check_plain(const char *scheme)
{
    const struct dlp_id_scheme *found = dlp_id_scheme_find(gw_span_str(scheme));
    uint32_t state = 1;

    CHECK(found != NULL);
    for (unsigned i = 0; i < 4000 && found != NULL; i++) {
        char text[40];
        size_t n = 1 + i % (DLP_DIGITS_MAX + 3);
        struct dlp_digits digits;

        for (size_t k = 0; k < n; k++) {
            state = state * 1664525u + 1013904223u;
            text[k] = (char)('0' + (i % 50 == 0 ? 7 : (state >> 8) % 10));
        }
        text[n] = '\0';
        dlp_digits_read(gw_span_str(text), &digits);
        if (!CHECK(dlp_id_has_digits(found, &digits) == passes(scheme, text)))
            fprintf(stderr, "  %s: %s\n", scheme, text);
    }
}

static void check_system(unsigned i, unsigned *all, unsigned *all_accepted)
{
    char text[64];
    size_t n = strlen(systems[i].value);
    unsigned tried = 0;
    unsigned accepted = 0;

    if (!CHECK(passes(systems[i].scheme, systems[i].value)))
        fprintf(stderr, "  %s refuses %s\n", systems[i].scheme, systems[i].value);
    for (size_t at = 0; at < n; at++) {
        memcpy(text, systems[i].value, n + 1);
        for (char c = '0'; c <= '9' && systems[i].value[at] >= '0' && systems[i].value[at] <= '9';
             c++) {
            text[at] = c;
            tried += c != systems[i].value[at];
            accepted += c != systems[i].value[at] && passes(systems[i].scheme, text);
        }
    }
    if (!CHECK(accepted * 100 <= systems[i].percent * tried))
        fprintf(stderr, "  %s accepts %u of %u changed numbers\n", systems[i].scheme, accepted,
                tried);
    *all += tried;
    *all_accepted += accepted;
}

/* A number alone in its text: whose it may be is asked of every system of a kind. */
static void check_any(void)
{
    const char *names[8];
    struct dlp_validate_in in = {.text = gw_span_str("44051401359"), .str = gw_span_str("person")};
    unsigned n = dlp_id_systems(in.text, names, 8);
    bool is_pesel = false;

    in.end = in.match_end = in.text.len;
    for (unsigned i = 0; i < n; i++)
        is_pesel = is_pesel || strcmp(names[i], "pl_pesel") == 0;
    CHECK(is_pesel);
    CHECK(dlp_validator_find("id_any")->validate(&in) == 0);
    in.num = 3;
    CHECK(dlp_validator_find("alone")->validate(&in) == 0);
    in.text = gw_span_str("44051401359 stands in a sentence that goes on for a while");
    CHECK(dlp_validator_find("alone")->validate(&in) == DLP_VALIDATE_REJECT);
    in.text = gw_span_str("44051401359");
    in.key = gw_span_str("created_at");
    CHECK(dlp_validator_find("alone")->validate(&in) == DLP_VALIDATE_REJECT);
}

int main(void)
{
    unsigned all = 0;
    unsigned accepted = 0;

    for (unsigned i = 0; i < N_SYSTEMS; i++)
        check_system(i, &all, &accepted);
    for (unsigned i = 0; i < N_SYSTEMS; i++)
        check_plain(systems[i].scheme);
    CHECK(dlp_id_scheme_find(gw_span_str("xx_nothing")) == NULL);
    check_any();
    check_forms();
    printf("%d systems, %u one-digit changes, %u accepted\n", (int)N_SYSTEMS, all, accepted);
    CHECK(accepted * 100 <= all);
    return test_done();
}
