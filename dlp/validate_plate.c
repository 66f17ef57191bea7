/* dlp/validate_plate.c - German registration plates: do they begin with the code of a district? No state; any thread. */
#include <string.h>

#include "dlp/validate_impl.h"

/* Those of the ordinance on registration, and older ones that districts give out again. A space ends each. */
/* clang-format off: a table */
static const char districts[] =
    " "
    "A AA AB ABG ABI AC AE AH AIB AIC AK ALF ALS ALZ AM AN ANA ANG ANK AP APD ARN ART "
    "AS ASD ASL ASZ AT AU AUR AW AZ AZE AÖ B BA BAD BAR BB BBG BBL BC BCH BE BED BER "
    "BF BG BGD BGL BH BI BID BIN BIR BIT BIW BK BKS BL BLB BLK BM BN BNA BO BOG BOH "
    "BOR BOT BRA BRB BRG BRI BRK BRL BRV BS BSB BSK BT BTF BUL BW BWL BYL BZ BZA BÖ "
    "BÜD BÜR BÜS BÜZ C CA CAS CB CE CHA CLP CLZ CO COC COE CR CUX CW D DA DAH DAN "
    "DAU DBR DD DE DEG DEL DGF DH DI DIL DIN DIZ DKB DL DLG DM DN DO DON DU DUD DW DZ "
    "DÜW E EA EB EBE EBN EBS ECK ED EE EF EG EH EI EIC EIL EIN EIS EL EM EMD EMS EN "
    "ER ERB ERH ERK ERZ ES ESB ESW EU EUT EW F FB FD FDB FDS FEU FF FFB FG FI FKB FL "
    "FLÖ FN FO FOR FR FRG FRI FRW FS FT FTL FW FZ FÜ FÜS G GA GAN GAP GC GD GDB GE "
    "GEL GEM GEO GER GF GG GHA GHC GI GK GL GLA GM GMN GN GNT GOA GOH GP GR GRA GRH "
    "GRI GRM GRS GRZ GS GT GTH GUB GUN GV GVM GW GZ GÖ GÜ H HA HAB HAL HAM HAS HB "
    "HBN HBS HC HCH HD HDH HDL HE HEB HEF HEI HEL HER HET HF HG HGN HGW HH HHM HI HIG "
    "HIP HK HL HM HMÜ HN HO HOG HOH HOL HOM HOR HOT HP HR HRO HS HSK HST HU HUN HUS "
    "HV HVL HWI HX HY HZ HÖS IGB IK IL ILL IN IS IZ J JB JE JEV JL JÜL K KA KAR KB "
    "KC KE KEH KEL KEM KF KG KH KI KIB KK KL KLE KLZ KM KN KO KR KRU KS KT KU KUS KW "
    "KY KYF KÖN KÖT KÖZ KÜN L LA LAN LAU LB LBS LBZ LC LD LDK LDS LEO LER LEV LF "
    "LG LH LI LIB LIF LIP LL LM LN LOS LP LR LRO LSZ LU LUP LWL LÖ LÖB LÜN M MA MAB "
    "MAI MAK MAL MAR MB MC MD ME MED MEG MEI MEK MEL MER MET MG MGH MGN MH MHL MI MIL "
    "MK MKK ML MM MN MO MOD MOL MON MOS MQ MR MS MSE MSH MSP MST MTK MTL MW MY MYK MZ "
    "MZG MÜ MÜB MÜL MÜN MÜR N NAB NAI NAU NB ND NDH NE NEA NEB NEC NEN NES NEU "
    "NEW NF NH NI NK NL NM NMB NMS NOH NOL NOM NOR NP NR NT NU NVP NW NWM NY NZ NÖ OA "
    "OAL OB OBB OBG OC OCH OD OE OF OG OH OHA OHV OHZ OK OL OP OPR OS OSL OTW OVI OVL "
    "OVP OZ P PA PAF PAN PAR PB PCH PE PEG PER PF PI PIR PK PL PLÖ PM PN PR PRÜ PS "
    "PW PZ QFT QLB R RA RC RD RDG RE REG REH REI RG RH RI RID RIE RL RM RN RO ROD ROF "
    "ROK ROL ROS ROT ROW RP RS RSL RT RU RV RW RY RZ RÜD RÜG S SAB SAD SAL SAN SAW "
    "SB SBG SBK SC SCZ SDH SDL SDT SE SEB SEE SEF SEL SFB SFT SG SGH SHA SHG SHK SHL "
    "SI SIG SIM SK SL SLE SLF SLG SLK SLN SLS SLZ SLÜ SM SMÜ SN SO SOB SOG SOK SON "
    "SP SPB SPN SR SRB SRO ST STA STB STD STE STH STL STO STS SU SUL SW SWA SY SZ SZB "
    "SÖM SÜW TBB TDO TE TET TF TG TIR TO TP TR TS TT TUT TÖL TÜ UE UEM UFF UH UL "
    "UM UN USI V VAI VB VEC VER VG VIB VIE VIT VK VL VOF VOH VR VS W WA WAF WAK WAN "
    "WAR WAT WB WBS WDA WE WEB WEG WEL WEN WER WES WF WG WHV WI WIL WIS WIT WIZ WK WL "
    "WLG WM WMS WN WND WO WOB WOH WOL WOR WOS WR WRN WS WSF WST WSW WT WTL WTM WUG WUN "
    "WUR WW WZ WZL WÜ WÜM Z ZE ZEL ZI ZIG ZP ZR ZW ZZ ÖHR ÜB ";
/* clang-format on */

/* Two letters between spaces that are a word rather: "IS AT 500". */
static const char words[] =
    " AM AN AS AT BE BY DO GO HE IF IM IN IS IT ME MY NO OF ON OR SO TO UM UP US WE ZU ";

enum { CODE_MAX = 6 }; /* three letters, each of at most two bytes */

/* Is s, upper-cased, one of a list? */
static bool is_listed(const char *list, struct gw_span s)
{
    char code[CODE_MAX + 3] = " ";

    if (s.len == 0 || s.len > CODE_MAX)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        bool small = dlp_is_lower(s.ptr[i]) || (c >= 0xA0 && i > 0 && s.ptr[i - 1] == '\xc3');

        code[1 + i] = (char)(small ? c - 0x20 : c);
    }
    code[1 + s.len] = ' ';
    return strstr(list, code) != NULL;
}

int dlp_validate_plate_de(const struct dlp_validate_in *in)
{
    struct gw_span s = dlp_val_span(in);
    size_t code = 0, letters, end;

    while (code < s.len && s.ptr[code] != ' ' && s.ptr[code] != '-')
        code++;
    letters = end = code + 1;
    while (end < s.len && dlp_is_alpha(s.ptr[end]))
        end++;
    if (end >= s.len || !is_listed(districts, (struct gw_span){s.ptr, code}))
        return DLP_VALIDATE_REJECT;
    if (s.ptr[code] == ' ' && s.ptr[end] == ' ' &&
        is_listed(words, (struct gw_span){s.ptr + letters, end - letters}))
        return DLP_VALIDATE_REJECT;
    return 0;
}
