"""The texts that the scanner's benchmark reads: collected from this machine where they can be, made where they cannot.

make(folder, size) writes and returns {name: path}: prose (man pages, READMEs, licences), code (C, Python, Perl, shell), chat (bodies of chat requests made
of both, one a line, as clients write them), table (a CSV in which every line holds a name, an e-mail address, a phone number, a card, identifiers: the
worst text that is real), orders (a CSV of numbers that are nobody's, by date, amount, address and number of ten or twelve digits, which dozens of
number systems have), and the texts that are made to keep a scanner busy. The same machine gives the same bytes."""
import base64
import gzip
import json
import os
import random

PROSE = ("/usr/share/man/man1", "/usr/share/man/man8", "/usr/share/man/man5", "/usr/share/doc", "/usr/share/common-licenses")
CODE = ("/usr/include", "/usr/lib/python3", "/usr/lib/python3.11", "/usr/lib/python3.12", "/usr/share/perl", "/usr/share/perl5")
SUFFIXES = (".h", ".c", ".py", ".pm", ".pl", ".sh", ".js", ".hpp")


def files(folders, wanted):
    for folder in folders:
        for path, below, names in os.walk(folder):
            below.sort()
            for name in sorted(names):
                if wanted(name):
                    yield os.path.join(path, name)


def collect(folders, wanted, size):
    """The texts of files in a fixed shuffled order, so that a part of them is like the whole."""
    paths = list(files(folders, wanted))
    random.Random(1).shuffle(paths)
    texts, total = [], 0
    for path in paths:
        try:
            with (gzip.open if path.endswith(".gz") else open)(path, "rb") as f:
                text = f.read(200000).decode()
        except (OSError, EOFError, UnicodeDecodeError):
            continue
        if len(text) < 400 or "\0" in text:
            continue
        texts.append(text)
        total += len(text)
        if total >= size:
            break
    return texts


def chat(prose, code, size):
    rnd, out, total = random.Random(2), [], 0
    while total < size:
        messages = [{"role": "system", "content": "You are a helpful assistant."}]
        for _ in range(rnd.randint(1, 9)):
            text = rnd.choice(prose)
            at = rnd.randrange(max(1, len(text) - 1500))
            content = text[at:at + rnd.randint(80, 1500)]
            if rnd.random() < 0.4:
                text = rnd.choice(code)
                at = rnd.randrange(max(1, len(text) - 1500))
                content += "\n```\n" + text[at:at + rnd.randint(80, 1500)] + "\n```\n"
            messages.append({"role": "user" if len(messages) % 2 else "assistant", "content": content})
        line = json.dumps({"model": "gpt-4o", "messages": messages, "temperature": 0.7, "max_tokens": 1024}, ensure_ascii=False)
        out.append(line)
        total += len(line) + 1
    return "\n".join(out) + "\n"


def luhn(digits):
    total = sum(int(c) if i % 2 else sum(divmod(2 * int(c), 10)) for i, c in enumerate(reversed(digits)))
    return digits + str(-total % 10)


def table(size):
    rnd, out, total = random.Random(3), ["id,name,email,phone,card,ssn,born,uuid,address,digest\n"], 0
    first, last = "Anna Ben Carla David Eva Felix Greta Hugo Ida Jan".split(), "Miller Smith Garcia Rossi Dubois Schmidt Novak Jensen".split()
    while total < size:
        a, b = rnd.choice(first), rnd.choice(last)
        line = (f"{rnd.randrange(10**6)},{a} {b},{a.lower()}.{b.lower()}{rnd.randrange(100)}@mail{rnd.randrange(50)}.example.com,"
                f"+1 ({rnd.randrange(200, 999)}) {rnd.randrange(200, 999)}-{rnd.randrange(10**4):04d},{luhn('4' + str(rnd.randrange(10**13, 10**14)))},"
                f"{rnd.randrange(1, 899):03d}-{rnd.randrange(1, 99):02d}-{rnd.randrange(1, 9999):04d},"
                f"{rnd.randrange(1930, 2010)}-{rnd.randrange(1, 13):02d}-{rnd.randrange(1, 29):02d},"
                f"{rnd.getrandbits(32):08x}-{rnd.getrandbits(16):04x}-4{rnd.getrandbits(12):03x}-a{rnd.getrandbits(12):03x}-{rnd.getrandbits(48):012x},"
                f"{rnd.randrange(1, 223)}.{rnd.randrange(256)}.{rnd.randrange(256)}.{rnd.randrange(256)},"
                + "".join(rnd.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/") for _ in range(24)) + "\n")
        out.append(line)
        total += len(line)
    return "".join(out)


def orders(size):
    rnd, out, total = random.Random(5), ["order,placed,shipped,amount,currency,ip,session,sku,quantity,tracking,version,status\n"], 0
    while total < size:
        line = (f"{rnd.randrange(10**9, 10**10)},2026-{rnd.randrange(1, 13):02d}-{rnd.randrange(1, 29):02d}T{rnd.randrange(24):02d}:{rnd.randrange(60):02d}:"
                f"{rnd.randrange(60):02d}Z,{rnd.randrange(1, 29):02d}/{rnd.randrange(1, 13):02d}/2026,{rnd.randrange(10**5) / 100:.2f},{rnd.choice(('EUR', 'USD', 'GBP'))},"
                f"10.{rnd.randrange(256)}.{rnd.randrange(256)}.{rnd.randrange(256)},"
                f"{rnd.getrandbits(32):08x}-{rnd.getrandbits(16):04x}-4{rnd.getrandbits(12):03x}-a{rnd.getrandbits(12):03x}-{rnd.getrandbits(48):012x},"
                f"{rnd.choice('ABCDEFGH')}{rnd.choice('KLMNOP')}-{rnd.randrange(10**5):05d}-{rnd.randrange(100):02d},{rnd.randrange(1, 200)},"
                f"{rnd.randrange(10**11, 10**12)},{rnd.randrange(9)}.{rnd.randrange(20)}.{rnd.randrange(40)},{rnd.choice(('paid', 'open', 'sent'))}\n")
        out.append(line)
        total += len(line)
    return "".join(out)


def hostile(size):
    """Texts that are made to keep filters and matchers busy."""
    rnd = random.Random(4)
    fill = lambda piece: (piece * (size // len(piece) + 1))[:size]
    b64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

    def draw(piece):
        """Pieces until there are enough bytes; not all are ASCII."""
        out, total = [], 0
        while total < size:
            out.append(piece())
            total += len(out[-1].encode())
        return "".join(out)

    any_of = lambda letters, least, most: "".join(rnd.choice(letters) for _ in range(rnd.randint(least, most)))
    keys = "_KEY _TOKEN _SECRET PASSWORD _URL".split()
    accounts, words_of_pass = ["user", "login", "account", "username"], ["pass", "pw", "password", "secret"]
    heads_of_line = ["Authorization: Bearer ", "Authorization: Basic ", "Cookie: a=", "X-Api-Key: ", "Set-Cookie: s="]
    samples = ["your_passwor", "chang3me", "examp1e", "${PASSWOR", "<passwor", "xxx-xx", "process.en", "REDACTE"]
    names = "password secret token api_key ssn iban account card passport order invoice session client key".split()
    starts = ["sk_live_", "ghp_", "AKIA", "xoxb-", "glpat-", "eyJ", "https://", "DE", "+49", "SG.", "npm_", "key-", "password=", "secret: ", "token", "pat."]
    services = "TWILIO ALGOLIA OKTA SUMO NPM STRIPE DATADOG GITLAB SLACK AZURE".split()
    between = [" ", ": ", " is ", " = ", "=\"", "': '", "_", "-", "\n"]
    quarter = lambda text: text[:size // 4]  # a whole one has more findings than a request may, and is given up
    return {
        "digits": "".join(rnd.choice("0123456789") for _ in range(size)),
        "zeros": "0" * size,
        "spaced digits": "".join(rnd.choice("0123456789 -") for _ in range(size)),
        "at signs": "@" * size,
        "addresses": fill("a@b.c@d.e@"),
        "prefixes": fill("sk_live_"),
        "token prefixes": fill("ghp_AKIAxoxb-glpat-sk-ant-AIza"),
        "base64": "".join(rnd.choice(b64) for _ in range(size)),
        "hex": "".join(rnd.choice("0123456789abcdef") for _ in range(size)),
        "hex words": "".join(rnd.choice("0123456789abcdef") * (rnd.random() > .03) or " " for _ in range(size)),
        "capitals": "".join(rnd.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZ") for _ in range(size)),
        "assignments": fill("password="),
        "quoted": fill("password = \"secret\"; "),
        "urls": fill("https://a:b@"),
        "private keys": fill("-----BEGIN RSA PRIVATE KEY-----\n"),
        "underscores": "_" * size,
        "letters": "a" * size,
        "empty assignments": fill("API_KEY=\nSECRET_TOKEN=\n"),
        "small base64": draw(lambda: base64.b64encode(any_of("abcdefgh 0123456789@.", 18, 18).encode()).decode() + " "),
        "base64 of words": draw(lambda: base64.b64encode(" ".join(rnd.choice(names) for _ in range(4)).encode()).decode() + " "),
        "hidden words": fill("p\u200bassword s\u200becret "),
        "two scripts": fill("\u0430bc password s\u0435cret= "),
        "full width": draw(lambda: rnd.choice("abcdefgh password=0123") if rnd.random() < .5 else chr(0xFF21 + rnd.randrange(26))),
        "beginnings": draw(lambda: rnd.choice(starts) + rnd.choice(["", " ", "_", "-", ": ", "="])),
        "percent": draw(lambda: f"%{rnd.randrange(32, 127):02x}"),
        "quoted-printable": draw(lambda: f"={rnd.randrange(32, 127):02X}"),
        "tokens": draw(lambda: any_of(b64[:62], 16, 22) + " "),
        "named tokens": draw(lambda: rnd.choice(names) + "=" + any_of(b64[:62], 16, 44) + " "),
        "digests": draw(lambda: f"{rnd.getrandbits(128):032x} "),
        "spelled digits": fill("1 one "),
        "hidden passwords": draw(lambda: " pass\u200bword=" + any_of(b64[:62], 12, 12)),
        "variables": quarter(draw(lambda: any_of("ABCDEFGHIJ_", 3, 14) + rnd.choice(keys) + "=" + any_of(b64[:62], 0, 24) + "\n")),
        "accounts": quarter(draw(lambda: rnd.choice(accounts) + rnd.choice(["=", ": ", " "]) + any_of(b64[:62], 2, 20) + rnd.choice([" ", "; ", ", "])
                                       + rnd.choice(words_of_pass) + rnd.choice(["", "=", ": "]))),
        "headers": quarter(draw(lambda: rnd.choice(heads_of_line) + any_of(b64[:62] + "._-=", 4, 30) + rnd.choice(["\n", "; "]))),
        "nearly samples": quarter(draw(lambda: rnd.choice(["password=", "api_key: ", "secret=\""]) + rnd.choice(samples) + any_of(b64[:62], 2, 6)
                                             + rnd.choice(["\n", "\" "]))),
        "key words": quarter(draw(lambda: rnd.choice(names) + rnd.choice(between))),
        "names of secrets": quarter(draw(lambda: rnd.choice(["password", "secret", "passwd", "pwd"]) + rnd.choice(between))),
        "services": quarter(draw(lambda: rnd.choice(services) + rnd.choice(["_KEY=", "_TOKEN=", "_SECRET="]) + any_of(b64[:62], 1, 24) + "\n")),
        "access keys": quarter(draw(lambda: "SECRET_ACCESS_KEY=" + any_of(b64[:62], 4, 24) + "\n")),
        "words equals": draw(lambda: any_of(b64[:52], 1, 9) + "="),
        "elements": fill("<password a=\""),
    }


def leaves(n):
    """A body of n tiny strings."""
    return json.dumps({"messages": [{"role": "user", "content": [{"type": "text", "text": f"w{i}"} for i in range(n // 2)]}]}, separators=(",", ":"))


def make(folder, size=4 << 20):
    os.makedirs(folder, exist_ok=True)
    prose = collect(PROSE, lambda name: not name.endswith((".png", ".html", ".jpg", ".svg")), size)
    code = collect(CODE, lambda name: name.endswith(SUFFIXES), size)
    out = {}
    for name, text in ({"prose": "\n".join(prose), "code": "\n".join(code), "chat": chat(prose, code, size), "table": table(size), "orders": orders(size)}
                       | {"hostile/" + k: v for k, v in hostile(1 << 20).items()} | {"hostile/leaves": leaves(100000)}).items():
        path = os.path.join(folder, name.replace("/", "-").replace(" ", "-") + ".txt")
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        out[name] = path
    return out
