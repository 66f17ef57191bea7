"""Forty values that no provider may see, each of another family, made up here and put together at run time so that no
scanner of repositories takes them for live ones. Every one is found by a built-in rule; matrix.py asks `sluice rules test`
before it relies on that."""
import base64
import json
import random
import string

_random = random.Random(20260101)
_ALNUM = string.ascii_letters + string.digits


def _any(n, alphabet=_ALNUM):
    return "".join(_random.choice(alphabet) for _ in range(n))


def _hex(n):
    return _any(n, "0123456789abcdef")


def _jwt():
    part = lambda d: base64.urlsafe_b64encode(json.dumps(d).encode()).decode().rstrip("=")
    return part({"alg": "HS256", "typ": "JWT"}) + "." + part({"sub": "4711", "name": "Anna", "iat": 1516239022}) + "." + _any(43)


def _pem():
    body = base64.b64encode(bytes(_random.randrange(256) for _ in range(240))).decode()
    lines = "\n".join(body[i:i + 64] for i in range(0, len(body), 64))
    return "-----BEGIN " + "RSA PRIVATE KEY-----\n" + lines + "\n-----END " + "RSA PRIVATE KEY-----"


_BECH32 = "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L"


def _bech32(prefix, data):
    """BIP 173: the prefix, 1, the data and six characters of checksum, in capitals."""
    low = prefix.lower()
    values = [ord(c) >> 5 for c in low] + [0] + [ord(c) & 31 for c in low] + [_BECH32.index(c) for c in data] + [0] * 6
    check = 1
    for v in values:
        top, check = check >> 25, (check & 0x1ffffff) << 5 ^ v
        for i, g in enumerate((0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3)):
            check ^= g if top >> i & 1 else 0
    check ^= 1
    return prefix + "1" + data + "".join(_BECH32[check >> 5 * (5 - i) & 31] for i in range(6))


def _luhn(digits):
    total = sum(sum(divmod(int(d) * (2 if i % 2 == 0 else 1), 10)) for i, d in enumerate(reversed(digits)))
    return digits + str(-total % 10)


def _cn_resident(digits):
    total = sum(int(d) * (2 ** (17 - i) % 11) for i, d in enumerate(digits))
    return digits + "10X98765432"[total % 11]


def _ahv(digits):
    check = -sum(int(d) * (3 if i % 2 else 1) for i, d in enumerate(digits)) % 10
    n = digits + str(check)
    return f"{n[:3]}.{n[3:7]}.{n[7:11]}.{n[11:]}"


def _iban(country, bban):
    n = int("".join(str(int(c, 36)) for c in bban + country + "00"))
    return f"{country}{98 - n % 97:02d}{bban}"


# name, value, and the words around it that a person would write ({} is the value).
PLANTED = [
    ("aws-access-key", "AKIA" + _any(16, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"), "use {} now"),
    ("github-pat", "ghp_" + _any(36), "use {} now"),
    ("github-fine-grained", "github_" + "pat_" + _any(22) + "_" + _any(59), "use {} now"),
    ("gitlab-pat", "glpat-" + _any(20), "use {} now"),
    ("slack-bot", "xoxb-" + _any(12, string.digits) + "-" + _any(13, string.digits) + "-" + _any(24), "use {} now"),
    ("slack-webhook", "T" + _any(10, "ABCDEFGHJKLMNPQRSTUVWXYZ0123456789") + "/B"
     + _any(10, "ABCDEFGHJKLMNPQRSTUVWXYZ0123456789") + "/" + _any(24), "post to https://hooks.slack.com/" + "services/{} now"),
    ("stripe", "sk_" + "live_" + _any(24), "use {} now"),
    ("openai", "sk-" + "proj-" + _any(74) + "T3Blbk" + "FJ" + _any(74), "use {} now"),
    ("anthropic", "sk-ant-" + "api03-" + _any(93) + "AA", "use {} now"),
    ("google-api", "AIza" + _any(35), "use {} now"),
    ("private-key", _pem(), "use {} now"),
    ("sendgrid", "SG." + _any(22) + "." + _any(43), "use {} now"),
    ("npm", "npm_" + _any(36), "use {} now"),
    ("pypi", "pypi-" + "AgEIcHlwaS5vcmc" + _any(70), "use {} now"),
    ("hugging-face", "hf_" + _any(34, string.ascii_letters), "use {} now"),
    ("digitalocean", "dop_" + "v1_" + _hex(64), "use {} now"),
    ("shopify", "shpat_" + _hex(32), "use {} now"),
    ("telegram", _any(10, "123456789") + ":AA" + _any(33), "telegram bot token {} now"),
    ("jwt", _jwt(), "bearer {} now"),
    ("databricks", "dapi" + _hex(32), "use {} now"),
    ("dockerhub", "dckr_" + "pat_" + _any(27), "use {} now"),
    ("postman", "PMAK-" + _hex(24) + "-" + _hex(34), "use {} now"),
    ("linear", "lin_" + "api_" + _any(40), "use {} now"),
    ("notion", "ntn_" + _any(11, string.digits) + _any(35), "use {} now"),
    ("new-relic", "NRAK-" + _any(27, string.ascii_uppercase + string.digits), "use {} now"),
    ("grafana", "glsa_" + _any(32) + "_" + _hex(8), "use {} now"),
    ("vault", "hvs." + _any(95), "use {} now"),
    ("azure-storage", base64.b64encode(bytes(_random.randrange(256) for _ in range(64))).decode(),
     "DefaultEndpointsProtocol=https;AccountName=musterkonto;AccountKey={} now"),
    ("database-url", _any(18), "connect to postgres://berger:{}@db.muster-intern.de:5432/akten now"),
    ("age", _bech32("AGE-SECRET-" + "KEY-", _any(58, _BECH32)[:52]), "use {} now"),
    ("password", _any(14) + "!7", "password: {} now"),
    ("mailchimp", _hex(32) + "-us12", "mailchimp api key {} now"),
    ("square", "sq0" + "atp-" + _any(22), "use {} now"),
    ("credit-card", _luhn("4539" + "14889216334"), "card {} now"),
    ("cn-resident", _cn_resident("110105" + "19870312" + "447"), "identity number {} now"),
    ("ch-ahv", _ahv("756" + "483920175"), "AHV {} now"),
    ("iban", _iban("DE", "3704004405" + "32013007"), "pay to {} now"),
    ("email", "anna.berger@" + "kanzlei-berger-muster.de", "write to {} now"),
    ("us-ssn", "536-" + "22-" + "8471", "social security number {} now"),
    ("phone", "+49 171 " + "4839 275", "call {} now"),
]
