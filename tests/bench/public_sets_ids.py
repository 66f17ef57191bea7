"""The sets of tests/bench/public_sets.py that are made from libraries which check or make up numbers: national identifiers, accounts, telephone
numbers, addresses of crypto currencies. Each number stands in a sentence or behind a colon with the library's own words for it, or, where it has
none, with the word that people of the country have (the table at the end)."""
import ast
import glob
import json
import os
import re
import subprocess
import tempfile

from public_sets_pii import PHONE, labelled

STRING = r"""(?:'((?:[^'\\\n]|\\.)*)'|"((?:[^"\\\n]|\\.)*)")"""


def plain(m):
    """What a match of STRING spells."""
    return re.sub(r"\\(.)", r"\1", m[1] if m[1] is not None else m[2])


def stdnum_js(folder):
    """The numbers of its tests, once behind the abbreviation and once behind the name that the library itself has for the system."""
    rows = []
    for path in sorted(glob.glob(folder + "/src/??/*.spec.ts")):
        with open(path, encoding="utf-8") as f:
            spec = f.read()
        with open(path.replace(".spec.ts", ".ts"), encoding="utf-8") as f:
            source = f.read()
        names = [plain(m) for key in ("abbreviation", "localName") for m in re.finditer(key + r":\s*" + STRING, source)]
        names = [re.split(r"\s*[,/(]", n)[0].strip() for n in names if n not in ("", "NAME")] or ["number"]
        found = []
        for test in re.split(r"\n  (?=it\(|test)", spec)[1:]:
            good = re.search(r"isValid && |isValid\)\.toEqual\(true|isValid\)\.toBe\(true", test)
            bad = re.search(r"toBeInstanceOf\(Invalid|isValid\)\.toEqual\(false|isValid\)\.toBe\(false", test)
            listed = re.match(r"test\.each\(\[(.*?)\]\)", test, re.S)
            values = re.finditer(STRING, re.sub(r"//[^\n]*", "", listed[1])) if listed else re.finditer(r"validate\(\s*" + STRING + r"\s*\)", test)
            if bool(good) != bool(bad):
                found += [(plain(v), bool(good)) for v in values if len(plain(v).strip()) > 5]
        kind = path.split("/src/")[1].removesuffix(".spec.ts")
        rows += [(kind, name, value.strip(), is_valid) for name in dict.fromkeys(names) for value, is_valid in found]
    yield from labelled(rows)


def idnumbers(folder):
    """The numbers of its tests, behind up to three names that the library itself has for each."""
    rows = []
    for path in sorted(glob.glob(folder + "/tests/nationalid/test_*.py")):
        country, names = os.path.basename(path)[5:-3], {}
        sources = glob.glob(f"{folder}/idnumbers/nationalid/{country}.py") + glob.glob(f"{folder}/idnumbers/nationalid/{country.lower()}/*.py")
        for source in sorted(sources):
            with open(source, encoding="utf-8") as f:
                text = f.read()
            for block in re.split(r"(?m)^class ", text)[1:]:
                listed = re.search(r"'names': (\[.*?\])", block, re.S)
                if listed:
                    names[re.match(r"\w+", block)[0]] = ast.literal_eval(listed[1])
            names.update({alias: names[name] for alias, name in re.findall(r"(?m)^(\w+) = (\w+)$", text) if name in names})
        with open(path, encoding="utf-8") as f:
            found = re.findall(r"assert(True|False)\(\s*" + country + r"\.(\w+)\.validate\(\s*" + STRING + r"\s*\)", f.read())
        for sign, system, single, double in found:
            value = (single or double).strip()
            if len(value) > 5:
                rows += [(f"{country} {system}", name, value, sign == "True") for name in names.get(system, [])[:3]]
    yield from labelled(rows)


DATAFAKER = """
import net.datafaker.Faker;
import java.util.*;
public class Draw {
    interface Make { String make(); }
    static void draw(Faker f, String locale, String what, Make make) {
        for (int i = 0; i < 12; i++) {
            String s = null;
            try { s = make.make(); } catch (RuntimeException e) { return; }
            if (s != null && !s.contains("\\n")) System.out.println(locale + "\\t" + what + "\\t" + s);
        }
    }
    public static void main(String[] locales) {
        for (String locale : locales) {
            String[] part = locale.split("-");
            Faker f = new Faker(new Locale(part[0], part[1]), new Random(7));
            draw(f, locale, "id", () -> f.idNumber().valid());
            draw(f, locale, "wrong", () -> f.idNumber().invalid());
            draw(f, locale, "phone", () -> f.phoneNumber().phoneNumber());
            draw(f, locale, "mobile", () -> f.phoneNumber().cellPhone());
            draw(f, locale, "international", () -> f.phoneNumber().phoneNumberInternational());
            draw(f, locale, "iban", () -> f.finance().iban(part[1]));
        }
        Faker f = new Faker(Locale.US, new Random(7));
        draw(f, "en-US", "ssn", () -> f.idNumber().ssnValid());
        for (int i = 0; i < 4; i++) draw(f, "en-US", "credit card", () -> f.finance().creditCard());
        draw(f, "en-US", "BIC", () -> f.finance().bic());
        draw(f, "en-US", "routing number", () -> f.finance().usRoutingNumber());
        draw(f, "en-US", "VIN", () -> f.vehicle().vin());
        draw(f, "en-US", "passport number", () -> f.passport().valid());
        draw(f, "pt-BR", "CPF", () -> f.cpf().valid(true));
        draw(f, "pt-BR", "CPF", () -> f.cpf().valid(false));
        draw(f, "pt-BR", "CNPJ", () -> f.cnpj().valid(true));
        draw(f, "pt-BR", "CNPJ", () -> f.cnpj().valid(false));
        for (String state : "CA NY TX FL IL PA OH MI WA NJ".split(" ")) draw(f, "en-US", "driver's license", () -> f.drivingLicense().drivingLicense(state));
        draw(f, "en-US", "IMEI", () -> f.code().imei());
        draw(f, "en-US", "MAC address", () -> f.internet().macAddress());
        draw(f, "en-US", "IP address", () -> f.internet().publicIpV4Address());
        draw(f, "en-US", "email", () -> f.internet().emailAddress());
    }
}
"""


def datafaker(folder):
    """What its providers make for the countries that it has numbers of. It is compiled in a copy (javac and maven are needed), once."""
    jars = os.path.join(folder, "target", "jars")
    if not os.path.isdir(jars):
        subprocess.run(["mvn", "-q", "-Dmaven.test.skip=true", "-Denforcer.skip=true", "compile", "dependency:copy-dependencies", "-DincludeScope=runtime",
                        "-DoutputDirectory=" + os.path.abspath(jars)], cwd=folder, check=True)
    path = os.path.join(folder, "target", "classes") + ":" + os.path.join(jars, "*")
    with tempfile.TemporaryDirectory() as work:
        with open(work + "/Draw.java", "w", encoding="utf-8") as f:
            f.write(DATAFAKER)
        subprocess.run(["javac", "-cp", path, "-d", work, f.name], check=True)
        out = subprocess.run(["java", "-Dfile.encoding=UTF-8", "-Dstdout.encoding=UTF-8", "-cp", work + ":" + path, "Draw", *LABELS_DATAFAKER],
                             check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, encoding="utf-8").stdout
    rows = []
    for locale, what, value in (line.split("\t") for line in out.splitlines()):
        phone = PHONE.get(locale[:2], "phone")
        label = {"id": LABELS_DATAFAKER[locale], "wrong": LABELS_DATAFAKER[locale], "phone": phone, "mobile": phone, "international": phone,
                 "iban": "IBAN", "ssn": "SSN"}.get(what, what)
        if label:
            rows.append((f"{what} {locale}", label, value.strip(), what != "wrong"))
    yield from labelled(rows)


def multicoin(folder):
    """The addresses of its test, behind the name or code of the currency that the test gives."""
    with open(folder + "/test/wallet_address_validator.js", encoding="utf-8") as f:
        source = re.sub(r"(?m)^\s*//.*$", "", f.read())
    rows = []
    for m in re.finditer(r"\b(in)?valid\(\s*'([^']{20,})'\s*,\s*'([^']+)'", source):
        if not m[3].startswith(("UNKNOWN", "unknown")):
            rows.append((m[3].lower(), m[3] + " address", m[2], m[1] is None))
    yield from labelled(rows)


def mod97(iban):
    digits = "".join(str(int(c, 36)) for c in iban[4:] + iban[:4])
    return int(digits) % 97 == 1


def php_iban(folder):
    """Its collection of account numbers as people wrote them; those that pass the checksum."""
    rows = []
    for path in sorted(glob.glob(folder + "/utils/example-ibans/*-ibans")):
        with open(path, encoding="utf-8", errors="replace") as f:
            for line in dict.fromkeys(f.read().splitlines()):
                value = re.sub(r"(?i)^\s*IBAN[\s:.]*", "", line).strip()
                bare = re.sub(r"[^A-Za-z0-9]", "", value).upper()
                if re.fullmatch(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}", bare) and mod97(bare):
                    rows.append((os.path.basename(path)[:2], "IBAN", value, True))
    yield from labelled(rows)


LABELS_COMMONS = {"IBANValidator": "IBAN", "ISINValidator": "ISIN", "CreditCardValidator": "credit card", "checkdigit/ABANumberCheckDigit": "routing number",
                  "checkdigit/CUSIPCheckDigit": "CUSIP", "checkdigit/SedolCheckDigit": "SEDOL", "EmailValidator": "email",
                  "InetAddressValidator": "IP address"}


def commons(folder):
    """The lists and assertions of the tests of its validators of accounts, securities, cards and addresses."""
    rows = []
    for name, label in LABELS_COMMONS.items():
        with open(f"{folder}/src/test/java/org/apache/commons/validator/routines/{name}Test.java", encoding="utf-8") as f:
            source = re.sub(r"(?m)//[^\"\n]*$", "", f.read())
        names = dict(re.findall(r'String (\w+) = "([^"\n]+)";', source))
        found = [(sign == "True", value) for sign, value in
                 re.findall(r'assert(True|False)\((?:\w+\.\w+\(\)|\w+)\.isValid(?:Inet[46]Address)?\("([^"\\]+)"\)?', source)]
        for array in re.finditer(r"(?i)\b(\w*valid\w*|\w*cards\w*) = (?:new String\[\] )?\{([^}]*)\}", source):
            good = not re.search("(?i)invalid|error", array[1])
            found += [(good, value or names.get(word, "")) for value, word in re.findall(r'"([^"\\]*)"|\b([A-Z_0-9]{4,})\b', array[2])]
        rows += [(name.split("/")[-1], label, value.strip(), good) for good, value in found if len(value.strip()) > 6]
    yield from labelled(rows)


def personnummer(folder):
    """Its lists for implementers, in all the ways that it writes a number, and a part of its list of all numbers for tests."""
    rows, data = [], folder + "/testdata/"
    for name, label in (("list", "personnummer"), ("orgnumber", "organisationsnummer"), ("interim", "personnummer")):
        with open(f"{data}{name}.json", encoding="utf-8") as f:
            for item in json.load(f):
                forms = [item[k] for k in ("separated_format", "separated_long", "short_format", "long_format") if item.get(k)]
                rows += [(name, label, form, item["valid"] or name == "orgnumber") for form in forms]
    for name, label in (("allPins", "personnummer"), ("allCoords", "samordningsnummer")):
        with open(f"{data}{name}.json", encoding="utf-8") as f:
            numbers = re.findall(r'"(\d{8}-?\d{4}|\d{6}[-+]?\d{4})"|\b(\d{12}|\d{10})\b', f.read())
        numbers = [a or b for a, b in numbers]
        rows += [(name, label, n, True) for n in numbers[::max(1, len(numbers) // 150)]]
    yield from labelled(rows)


def matcher(folder):
    """The test of the matcher that looks for telephone numbers in text: numbers that it finds in contexts, and what it must never find."""
    with open(folder + "/java/libphonenumber/test/com/google/i18n/phonenumbers/PhoneNumberMatcherTest.java", encoding="utf-8") as f:
        source = re.sub(r'"\s*\+ "', "", re.sub(r"(?m)//[^\"\n]*$", "", f.read()))
    text = lambda s: json.loads('"' + s + '"')
    found = re.findall(r'doTestFindInContext\(\s*"([^"]+)"', source)
    for name in ("EXACT_GROUPING_CASES", "STRICT_GROUPING_CASES"):
        found += re.findall(r'NumberTest\("([^"]+)"', source.split(name + " = {")[1].split("};")[0])
    yield from labelled([("phone", "phone", text(n), True) for n in found])
    for value in re.findall(r'NumberTest\("([^"]+)"', source.split("IMPOSSIBLE_CASES = {")[1].split("};")[0]):
        yield {"text": text(value), "expect": [], "not_expect": ["phone"]}


LABELS_DATAFAKER = {
    "sq-AL": "NID", "bg-BG": "ЕГН", "zh-CN": "身份证号码", "et-EE": "isikukood", "fr-FR": "numéro de sécurité sociale", "ka-GE": "პირადი ნომერი",
    "hu-HU": "személyi azonosító", "en-IE": "PPS number", "it-IT": "codice fiscale", "lv-LV": "personas kods", "mk-MK": "матичен број", "es-MX": "CURP",
    "ro-MD": "IDNP", "no-NO": "fødselsnummer", "pl-PL": "PESEL", "pt-PT": "NIF", "ro-RO": "CNP", "en-SG": "NRIC", "en-ZA": "ID number",
    "ko-KR": "주민등록번호", "sv-SE": "personnummer", "uk-UA": "УНЗР", "en-US": "SSN", "pt-BR": "CPF", "de-DE": "", "de-AT": "", "de-CH": "", "nl-NL": "",
    "nl-BE": "", "en-GB": "", "en-AU": "", "en-CA": "", "en-NZ": "", "en-IN": "", "en-NG": "", "en-PH": "", "en-PK": "", "en-UG": "", "es-ES": "", "es-AR": "",
    "es-PY": "", "fi-FI": "", "da-DK": "", "cs-CZ": "", "sk-SK": "", "hr-HR": "", "he-IL": "", "hy-AM": "", "id-ID": "", "ja-JP": "", "ru-RU": "", "th-TH": "",
    "tr-TR": "", "uz-UZ": "", "vi-VN": "", "zh-TW": "", "be-BY": "", "fa-IR": "", "ar-SA": "", "ta-IN": "", "ca-ES": "", "el-GR": "", "en-KE": "",
}
# The name of a set: the folder that it is made of, and how.
SETS = {
    "stdnum_js": ("stdnum-js", stdnum_js),
    "idnumbers": ("idnumbers", idnumbers),
    "datafaker": ("datafaker", datafaker),
    "multicoin": ("multicoin-address-validator", multicoin),
    "php_iban": ("php-iban", php_iban),
    "commons_validator": ("commons-validator", commons),
    "personnummer": ("personnummer-meta", personnummer),
    "phone_matcher": ("libphonenumber", matcher),
}
