"""The sets of tests/bench/public_sets.py that hold identifiers, telephone numbers and personal data: only what has a form, no names and addresses.

Where a tool's tests hold bare numbers, each stands in a sentence or behind a colon with the word that people of the country have for it
(the tables at the end). Numbers that a test calls invalid count as negatives unless another test calls them valid."""
import ast
import glob
import json
import os
import re
import subprocess
import sys
import tempfile


def sentence(label, value, turn):
    """Two plain ways to say it, in turns."""
    form = "My {} is {}." if turn % 2 == 0 and label.isascii() else "{}: {}"
    text = form.format(label, value)
    start = text.rindex(value)
    return text, {"type": label, "start": start, "end": start + len(value)}


def labelled(rows):
    """rows: (type, label, number, is_valid). A number that is valid anywhere is no negative."""
    rows = list(dict.fromkeys(rows))
    valid = {number for _, _, number, is_valid in rows if is_valid}
    turns = {}
    for kind, label, number, is_valid in rows:
        turns[kind] = turns.get(kind, -1) + 1
        text, where = sentence(label, number, turns[kind])
        if is_valid:
            yield {"text": text, "expect": [dict(where, type=kind)]}
        elif number not in valid:
            yield {"text": text, "expect": [], "not_expect": [kind]}


PHILEAS = ("BankRoutingNumber", "BitcoinAddress", "CreditCard", "Date", "DriversLicense", "Ein", "EmailAddress", "IbanCode", "IpAddress",
           "MacAddress", "PassportNumber", "PhoneNumber", "Ssn", "TrackingNumber", "Url", "Vin")


def phileas(folder):
    """The tests of its filters: a text, how many spans are found in it, and where."""
    cases, call = {}, r'\.filter\(contextService, getPolicy\(\), "context",\s*PIECE,\s*((?:"(?:[^"\\]|\\.)*"(?:\s*\+\s*)?)+)\)'
    for kind in PHILEAS:
        with open(f"{folder}/src/test/java/ai/philterd/phileas/filters/{kind}FilterTest.java", encoding="utf-8") as f:
            source = f.read()
        for method in re.split(r"@(?:Test|ParameterizedTest)", source)[1:]:
            parts = re.split(call, method)
            for text, rest in zip(parts[1::2], parts[2::2]):
                text = "".join(json.loads(s) for s in re.findall(r'"(?:[^"\\]|\\.)*"', text))
                count = re.search(r"assertEquals\((\d+), \w+\.getSpans\(\)\.size\(\)\)", rest)
                spans = [(int(a), int(b)) for a, b in re.findall(r"checkSpan\([^;]*?, (\d+), (\d+), FilterType", rest)]
                spans += [(text.index(t), text.index(t) + len(t)) for t in re.findall(r'assertEquals\("([^"]+)", [^;]*getText\(\)', rest) if t in text]
                if count is None or int(count[1]) == 0 and text in cases:
                    continue
                if int(count[1]) == 0:
                    cases[text] = {"text": text, "expect": [], "not_expect": [kind]}
                else:
                    cases[text] = {"text": text, "expect": [{"type": kind, "start": a, "end": b} for a, b in dict.fromkeys(spans)] or [{"type": kind}]}
    yield from cases.values()


def redact_pii(folder):
    """The tables of its test: a text before and after, where what is found is NAMED."""
    forms = ("CREDIT_CARD_NUMBER", "US_SOCIAL_SECURITY_NUMBER", "PHONE_NUMBER", "IP_ADDRESS", "EMAIL_ADDRESS", "PASSWORD")
    names = forms + ("PERSON_NAME", "USERNAME", "CREDENTIALS", "STREET_ADDRESS", "ZIPCODE", "US_STATE", "URL", "DIGITS", "LOCATION", "LAST_NAME")
    with open(folder + "/test/redactor.test.ts", encoding="utf-8") as f:
        source = f.read()
    string = r"""('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""
    for before, after in re.findall(r"\[\s*" + string + r",\s*" + string, source):
        before, after = (ast.literal_eval(s) for s in (before, after))
        parts = re.split(r"\b(" + "|".join(names) + r")\b", after)
        got = re.fullmatch("(.+?)".join(map(re.escape, parts[::2])), before, re.S)
        if before == after:
            yield {"text": before, "expect": [], "not_expect": ["PII"]}
        elif got:
            expect = [{"type": kind, "start": got.start(i + 1), "end": got.end(i + 1)} for i, kind in enumerate(parts[1::2]) if kind in forms]
            if expect:
                yield {"text": before, "expect": expect}


def commonregex(folder):
    """The lists of its test. Each string is the whole text."""
    with open(folder + "/test.py", encoding="utf-8") as f:
        tree = ast.parse(f.read())
    for test in ast.walk(tree):
        name = test.name.removeprefix("Test") if isinstance(test, ast.ClassDef) else ""
        if name not in ("Dates", "Phones", "PhonesWithExts", "Emails", "IPs", "IPv6s", "CreditCards", "BTCAddresses"):
            continue
        for node in ast.walk(test):
            if isinstance(node, ast.Assign) and node.targets[0].id in ("matching", "non_matching") and isinstance(node.value, ast.List):
                for text in ast.literal_eval(node.value):
                    good = node.targets[0].id == "matching"
                    if good or name in ("Emails", "BTCAddresses"):  # the test of the others' asks another parser
                        yield {"text": text, "expect": [{"type": name}]} if good else {"text": text, "expect": [], "not_expect": [name]}


def datadog(folder):
    """The tests of its secondary validators: lists of numbers, and whether a validator takes them."""
    rows, string = [], r'"((?:[^"\\]|\\.)*)"'
    for path in sorted(glob.glob(folder + "/sds/src/secondary_validation/*.rs")):
        name = os.path.basename(path).removesuffix(".rs").removesuffix("_checksum")
        with open(path, encoding="utf-8") as f:
            source = re.sub(r"(?m)//.*$", "", f.read().partition("#[cfg(test)]")[2])
        for function in re.split(r"\bfn test_|\bfn validate_|#\[test\]", source):
            lists = dict(re.findall(r"let (\w+)(?:: [^=]+)? = (?:vec!)?&?\[([^\]]*)\]", function))
            found = [("!" in sign, number) for sign, number in re.findall(r"assert!\(\s*(!?)\w+\s*\.is_valid_match\(" + string, function)]
            for loop in re.finditer(r"for \w+ in &?(\w+)", function):
                sign = re.search(r"assert!\(\s*(!?)\w+\s*\.is_valid_match\(", function[loop.end():])
                if sign and loop[1] in lists:
                    found += [(sign[1] == "!", number) for number in re.findall(string, lists[loop[1]])]
            rows += [(name, LABELS_DATADOG[name], number.strip(), not wrong) for wrong, number in found if name in LABELS_DATADOG
                     and len(number.strip()) > 5 and number.isascii() and "\\" not in number]
    yield from labelled(rows)


SHIM = """
const fs = require('fs'), any = new Proxy(function () {}, { get: () => any, apply: () => any });
const assert = any, timezone_mock = any, vm = any, validator = any, validator_js = any, cases = [];
const test = o => cases.push(o), describe = (_, f) => f(), it = (_, f) => { try { f(); } catch (e) { console.error(String(e)); } };
it.skip = it.only = () => {};
process.on('exit', () => fs.writeFileSync(process.argv[2], JSON.stringify(cases)));
"""


def validator_js(folder):
    """What its test hands to its validators; it is run (with node) with a function that writes that down. Passports, telephone numbers and licence
    plates that are wrong for one country are right for others, so only those that are right count. Its VAT numbers are right by their form only."""
    with open(folder + "/test/validators.test.js", encoding="utf-8") as f:
        source = re.sub(r"(?m)^import .*$|^.*require\.resolve.*$", "", f.read())
    with tempfile.TemporaryDirectory() as work:
        with open(work + "/test.js", "w", encoding="utf-8") as f:
            f.write(SHIM + source)
        subprocess.run(["node", f.name, work + "/cases"], check=True, stderr=subprocess.DEVNULL)
        with open(work + "/cases", encoding="utf-8") as f:
            cases = json.load(f)
    rows = []
    for case in cases:
        kind, args = case["validator"], case.get("args") or [""]
        local = kind in ("isTaxID", "isIdentityCard", "isVAT", "isPassportNumber", "isMobilePhone", "isLicensePlate")
        where = (args[0][0] if isinstance(args[0], list) else args[0]) if local else ""
        label = LABELS_VALIDATOR.get(kind) if not isinstance(LABELS_VALIDATOR.get(kind), dict) else LABELS_VALIDATOR[kind].get(where)
        if label is None or local and (not isinstance(where, str) or where in ("", "any")) or not local and args != [""]:
            continue
        only_valid = kind in ("isPassportNumber", "isMobilePhone", "isLicensePlate")
        lists = (("valid", True),) if only_valid else (("valid", True), ("invalid", False))
        rows += [(f"{kind} {where}".strip(), label, value.strip(), is_valid) for key, is_valid in lists for value in case.get(key) or []
                 if isinstance(value, str) and len(value.strip()) > 5 and "\n" not in value]
    yield from labelled(rows)


def faker(folder):
    """Twenty numbers of each of its providers that make identifiers, telephone and bank account numbers and licence plates of a country."""
    sys.path.insert(0, folder)
    from faker import Faker  # only this needs it
    rows = []
    for locale, labels in sorted(LABELS_FAKER.items()):
        make = Faker(locale)
        make.seed_instance(7)
        language = locale.split("_")[0]
        labels = dict({"phone_number": PHONE.get(language, "phone"), "iban": "IBAN", "license_plate": PLATE.get(language, "licence plate")}, **labels)
        for method, label in labels.items():
            provider = {"phone_number": "phone_number", "iban": "bank", "license_plate": "automotive"}.get(method)
            local = (p for p in make.get_providers() if p.__lang__ == locale)
            if hasattr(make, method) and (provider is None or any(p.__provider__.endswith("." + provider) for p in local)):
                rows += [(f"{method} {locale}", label, str(getattr(make, method)()), True) for _ in range(20)]
    for method, label in {"credit_card_number": "credit card", "ean13": "EAN", "mac_address": "MAC address", "ipv6": "IP address",
                          "email": "email", "swift11": "BIC", "vin": "VIN", "aba": "routing number"}.items():
        rows += [(method, label, str(getattr(make, method)()), True) for _ in range(20)]
    yield from labelled(rows)


LABELS_DATADOG = {
    "aba_rtn": "routing number", "australian_medicare": "Medicare number", "australian_tfn": "tax file number",
    "austrian_ssn": "Sozialversicherungsnummer", "belgium_national_register": "Rijksregisternummer", "brazilian_cnpj": "CNPJ", "brazilian_cpf": "CPF",
    "btc": "bitcoin address", "bulgarian_egn": "ЕГН", "chinese_id": "身份证号", "coordination_number": "samordningsnummer", "czech_tin": "DIČ",
    "dutch_bsn": "BSN", "dutch_passport": "paspoortnummer", "estonia_personal_code": "isikukood", "ethereum": "ethereum address",
    "finnish_hetu": "henkilötunnus", "france_nif": "numéro fiscal", "france_ssn": "numéro de sécurité sociale", "german_ids": "Personalausweisnummer",
    "german_svnr": "Rentenversicherungsnummer", "greece_amka": "ΑΜΚΑ", "greece_tin": "ΑΦΜ", "hungarian_tin": "adóazonosító jel", "iban_checker": "IBAN",
    "irish_pps": "PPS number", "italian_national_id": "codice fiscale", "latvia_national_id": "personas kods",
    "lithuanian_personal_identification_number": "asmens kodas", "luhn": "credit card number", "luxembourg_individual_nin": "matricule",
    "monero_address": "monero address", "nhs_check_digit": "NHS number", "nir": "NIR", "polish_national_id": "PESEL", "polish_nip": "NIP",
    "portuguese_tax_id": "NIF", "rodne_cislo": "rodné číslo", "romanian_personal_numeric_code": "CNP", "singapore_nric": "NRIC",
    "slovenia_tin": "davčna številka", "slovenian_pin": "EMŠO", "spain_dni": "DNI", "spanish_nuss": "número de la seguridad social",
    "sweden_pin": "personnummer", "uk_nino_format_check": "National Insurance number", "uk_trn": "UTR", "us_dea": "DEA number", "us_npi": "NPI",
}
TAX = {"bg-BG": "ЕГН", "cs-CZ": "rodné číslo", "de-AT": "Steuernummer", "de-DE": "Steuer-ID", "dk-DK": "CPR-nummer", "el-CY": "TIN", "el-GR": "ΑΦΜ",
       "en-CA": "SIN", "en-GB": "UTR", "en-IE": "PPS number", "en-IN": "PAN", "en-US": "EIN", "es-AR": "CUIT", "es-ES": "NIF", "et-EE": "isikukood",
       "fi-FI": "henkilötunnus", "fr-BE": "numéro national", "fr-FR": "numéro fiscal", "nl-BE": "rijksregisternummer", "fr-LU": "numéro d'identification fiscale",
       "hr-HR": "OIB", "hu-HU": "adóazonosító jel", "lt-LT": "asmens kodas", "it-IT": "codice fiscale", "lv-LV": "personas kods", "mt-MT": "tax number",
       "nl-NL": "BSN", "pl-PL": "NIP", "pt-BR": "CPF/CNPJ", "pt-PT": "NIF", "ro-RO": "CNP", "sk-SK": "rodné číslo", "sl-SI": "davčna številka",
       "sv-SE": "personnummer", "uk-UA": "РНОКПП"}
VAT = {"AT": "UID-Nummer", "BE": "numéro de TVA", "BG": "ДДС номер", "HR": "PDV broj", "CZ": "DIČ", "DK": "momsnummer", "EE": "KMKR number", "FI": "ALV-numero",
       "FR": "numéro de TVA", "DE": "USt-IdNr", "HU": "adószám", "IT": "partita IVA", "LV": "PVN numurs", "LT": "PVM kodas", "NL": "btw-nummer", "PL": "NIP",
       "PT": "NIF", "RO": "CUI", "SK": "IČ DPH", "SI": "ID za DDV", "ES": "NIF", "SE": "momsnummer", "AL": "NIPT", "MK": "ЕДБ", "AU": "ABN", "BY": "УНП",
       "CA": "business number", "IS": "VSK number", "IN": "GSTIN", "ID": "NPWP", "IL": "VAT number", "KZ": "БИН", "NZ": "GST number", "NG": "TIN",
       "NO": "MVA-nummer", "PH": "TIN", "RU": "ИНН", "SM": "COE", "SA": "VAT number", "RS": "ПИБ", "CH": "MWST-Nummer", "TR": "vergi kimlik numarası",
       "UA": "ІПН", "UZ": "STIR", "AR": "CUIT", "BO": "NIT", "BR": "CNPJ", "CL": "RUT", "CO": "NIT", "CR": "cédula jurídica", "EC": "RUC", "SV": "NIT",
       "GT": "NIT", "HN": "RTN", "MX": "RFC", "NI": "RUC", "PA": "RUC", "PY": "RUC", "PE": "RUC", "DO": "RNC", "UY": "RUT", "VE": "RIF"}
PHONE = {"de": "Telefon", "fr": "téléphone", "es": "teléfono", "it": "telefono", "pt": "telefone", "nl": "telefoonnummer", "pl": "telefon", "cs": "telefon",
         "sk": "telefón", "hu": "telefonszám", "ro": "telefon", "bg": "телефон", "ru": "телефон", "uk": "телефон", "el": "τηλέφωνο", "tr": "telefon",
         "sv": "telefon", "da": "telefon", "no": "telefon", "fi": "puhelin", "et": "telefon", "lv": "tālrunis", "lt": "telefonas", "hr": "telefon",
         "sl": "telefon", "bs": "telefon", "zh": "电话", "ja": "電話番号", "ko": "전화번호", "he": "טלפון", "ar": "هاتف", "fa": "تلفن", "th": "โทรศัพท์",
         "vi": "điện thoại", "id": "telepon", "mk": "телефон", "az": "telefon", "hi": "फ़ोन"}
PLATE = {"de": "Kennzeichen", "fr": "plaque d'immatriculation", "es": "matrícula", "it": "targa", "pt": "matrícula", "nl": "kenteken",
         "pl": "numer rejestracyjny", "hu": "rendszám", "sv": "registreringsnummer", "fi": "rekisterinumero", "ru": "госномер", "uk": "номерний знак",
         "tr": "plaka", "ro": "număr de înmatriculare", "sk": "EČV", "cs": "SPZ"}
LABELS_VALIDATOR = {
    "isTaxID": TAX, "isVAT": dict(VAT, CY="VAT number", EL="ΑΦΜ", IE="VAT number", LU="numéro de TVA", MT="VAT number", GB="VAT number"),
    "isIdentityCard": {"PK": "CNIC", "zh-HK": "HKID", "LK": "NIC number", "PL": "PESEL", "ES": "DNI", "FI": "henkilötunnus", "IN": "Aadhaar", "IR": "کد ملی",
                       "IT": "carta d'identità", "NO": "fødselsnummer", "TH": "เลขประจำตัวประชาชน", "he-IL": "תעודת זהות", "ar-LY": "الرقم الوطني",
                       "ar-TN": "CIN", "zh-CN": "身份证号", "zh-TW": "身分證字號"},
    "isPassportNumber": "passport number", "isIBAN": "IBAN", "isBIC": "BIC", "isIMEI": "IMEI", "isAbaRouting": "routing number", "isISIN": "ISIN",
    "isCreditCard": "credit card number", "isMACAddress": "MAC address", "isBtcAddress": "bitcoin address", "isEthereumAddress": "ethereum address",
    "isMobilePhone": "mobile", "isLicensePlate": "licence plate",
}
LABELS_FAKER = {
    "bg_BG": {"vat_id": "ДДС номер"}, "cs_CZ": {"birth_number": "rodné číslo", "vat_id": "DIČ"},
    "de_AT": {"ssn": "Sozialversicherungsnummer", "vat_id": "UID-Nummer", "passport_number": "Reisepass"},
    "de_CH": {"ssn": "AHV-Nummer", "vat_id": "UID"}, "de_DE": {"rvnr": "Rentenversicherungsnummer", "kvnr": "Krankenversichertennummer", "vat_id": "USt-IdNr"},
    "dk_DK": {"vat_id": "momsnummer"}, "da_DK": {}, "el_CY": {"vat_id": "VAT number"}, "el_GR": {"ssn": "ΑΜΚΑ", "tin": "ΑΦΜ"},
    "en_CA": {"ssn": "SIN"}, "en_GB": {"ssn": "National Insurance number", "vat_id": "VAT number"}, "en_IE": {"vat_id": "VAT number"},
    "en_IN": {"pan": "PAN", "gstin": "GSTIN", "aadhaar_id": "Aadhaar"},
    "en_PH": {"gsis": "GSIS", "umid": "UMID", "pagibig": "Pag-IBIG", "sss": "SSS", "philhealth": "PhilHealth"}, "en_AU": {}, "en_NZ": {},
    "en_US": {"ssn": "SSN", "itin": "ITIN", "ein": "EIN", "passport_number": "passport number"}, "es_CA": {"vat_id": "NIF"},
    "es_CL": {"person_rut": "RUT", "company_rut": "RUT"}, "es_AR": {},
    "es_CO": {"nuip": "cédula de ciudadanía", "natural_person_nit_with_check_digit": "NIT", "legal_person_nit_with_check_digit": "NIT"},
    "es_ES": {"nif": "DNI", "nie": "NIE", "cif": "CIF", "nuss": "número de la seguridad social"},
    "es_MX": {"ssn": "NSS", "curp": "CURP", "rfc": "RFC", "elector_code": "clave de elector"}, "et_EE": {"ssn": "isikukood", "vat_id": "KMKR"},
    "fi_FI": {"ssn": "henkilötunnus", "vat_id": "ALV-numero"}, "fr_CH": {"ssn": "numéro AVS"}, "fr_FR": {"ssn": "numéro de sécurité sociale", "vat_id": "numéro de TVA"},
    "he_IL": {"ssn": "תעודת זהות"}, "hr_HR": {"ssn": "OIB", "vat_id": "OIB"}, "hu_HU": {"ssn": "személyi szám", "vat_id": "adószám"},
    "it_IT": {"ssn": "codice fiscale", "vat_id": "partita IVA", "cie": "carta d'identità", "passport_number": "passaporto"},
    "ko_KR": {"ssn": "주민등록번호"}, "lb_LU": {"vat_id": "numéro de TVA"}, "lt_LT": {"vat_id": "PVM kodas"}, "lv_LV": {"ssn": "personas kods", "vat_id": "PVN"},
    "mk_MK": {"ssn": "матичен број"}, "mt_MT": {"vat_id": "VAT number"}, "nl_BE": {"ssn": "rijksregisternummer", "vat_id": "btw-nummer"},
    "nl_NL": {"ssn": "BSN", "vat_id": "btw-nummer"}, "no_NO": {"ssn": "fødselsnummer"}, "pl_PL": {"ssn": "PESEL", "vat_id": "NIP"},
    "pt_BR": {"cpf": "CPF", "rg": "RG"}, "pt_PT": {"vat_id": "NIF"}, "ro_RO": {"ssn": "CNP", "vat_id": "CUI"}, "ru_RU": {"passport_number": "паспорт"},
    "sk_SK": {"birth_number": "rodné číslo", "vat_id": "IČ DPH"}, "sl_SI": {"vat_id": "ID za DDV"}, "sr_BA": {"ssn": "JMBG"},
    "sv_SE": {"ssn": "personnummer", "org_id": "organisationsnummer", "vat_id": "momsnummer"}, "th_TH": {"ssn": "เลขประจำตัวประชาชน"},
    "tr_TR": {"ssn": "TC kimlik no"}, "uk_UA": {"ssn": "РНОКПП"}, "zh_CN": {"ssn": "身份证号"}, "zh_TW": {"ssn": "身分證字號"}, "ja_JP": {}, "vi_VN": {}, "id_ID": {},
}
SETS = {
    "phileas": ("phileas", phileas),
    "redact_pii": ("redact-pii", redact_pii),
    "commonregex": ("CommonRegex", commonregex),
    "datadog_validators": ("dd-sensitive-data-scanner", datadog),
    "validator_js": ("validator.js", validator_js),
    "faker": ("faker", faker),
}
