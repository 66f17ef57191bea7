"""What tests/bench/gpu/bench.py makes of its measurements: shares, ratios, goals, and the lines that it prints. No process, no clock: test_bench.py
gives it numbers and looks at the lines."""
import statistics

GOAL_SHARE, GOAL_RATIO, GOAL_STREAMS = 0.60, 1.20, 6000.0
CASES = {"tg": "decode, one request, tokens/s", "pp": "prompt, tokens/s", "many": "streams at once, tokens/s over all"}


def median(values):
    return statistics.median(values) if values else None


def moved_bytes(weights, kv_token, context):
    """What one token reads: the weights, and the keys and values of its context."""
    return weights + kv_token * context


def share_of_copy(rate, weights, kv_token, context, copies):
    """Bytes a second over what the same run copied, whose figure counts each byte twice, read and written: so many it moved."""
    copy = median(copies)
    return None if not rate or not copy else rate * moved_bytes(weights, kv_token, context) / (copy * 1e9)


def share_of_peak(rate, multiplications, peak_tops):
    """Multiplications and additions of prompts' tokens over the tensor cores' on registers alone."""
    return None if not rate or not peak_tops else rate * 2 * multiplications / (peak_tops * 1e12)


def ratio(own, other):
    return None if not own or not other else own / other


def goal(what, value, least, show):
    """One line: met, NOT met, or why it cannot be said."""
    if value is None:
        return f"- {what}: not measured (goal: {show(least)})"
    return f"- {what}: {show(value)}, goal {show(least)}: {'met' if value >= least else 'NOT met'}"


def percent(v):
    return f"{100 * v:.1f} %"


def times(v):
    return f"{v:.2f}x"


def tokens(v):
    return f"{v:,.0f} tokens/s"


class Model:
    """What was measured of one model: rates by case and by who was asked, in the order of rounds."""

    def __init__(self, name, weights=0, kv_token=0, multiplications=0):
        self.name, self.weights, self.kv_token, self.multiplications = name, weights, kv_token, multiplications
        self.context = 0.0  # mean, of the decoded tokens
        self.rates = {}  # case -> {who: [tokens/s]}
        self.copies = []  # GB/s, in the same rounds
        self.joules = []  # a token of many streams, those of their prompts counted too
        self.seen = []  # health while sluice computed
        self.asked = []  # [case, who] in the order of asking
        self.where = ""  # what computes it, for people

    def add(self, case, who, value):
        self.rates.setdefault(case, {}).setdefault(who, []).append(value)

    def rate(self, case, who="sluice"):
        return median(self.rates.get(case, {}).get(who, []))

    def share(self):
        return share_of_copy(self.rate("tg"), self.weights, self.kv_token, self.context, self.copies)


class Report:
    """Lines in Markdown. emulated: every line with a figure says so."""

    def __init__(self, emulated):
        self.lines, self.mark = [], " (EMULATED, no figure of a GPU)" if emulated else ""

    def say(self, line):
        self.lines.append(line)
        print(line, flush=True)

    def figure(self, line):
        self.say(line + self.mark)

    def row(self, first, *cells):
        self.say("| " + " | ".join([first + self.mark, *cells]) + " |")

    def left_out(self, what, why):
        self.say(f"- left out: {what}: {why}")

    def ceilings(self, copy, peaks):
        self.figure(f"Copies on the device: {copy:,.1f} GB/s read and written. Tensor cores on registers (mma.sync): "
                    f"bf16 {peaks[0]:,.4g} TFLOP/s, int8 {peaks[1]:,.4g} TOP/s")

    def health(self, when, h):
        if h is None:
            self.say(f"Clocks {when}: the driver tells none")
        else:
            self.figure(f"Clocks {when}: {h['sm']} MHz, memory {h['mem']} MHz, {h['celsius']} C, {h['watts']:.0f} W, reasons to throttle {h['throttle']}, driver {h['driver']}")

    def model(self, m, peak_int8, where):
        """A table of the cases, what decode moves, and how far the prompt's products come."""
        names = list(dict.fromkeys(n for row in m.rates.values() for n in row))
        self.say(f"\n## {m.name}\n\n{where}; {m.weights / 1e6:,.1f} MB of weights a token, {m.kv_token / 1e3:.1f} KB a token of context\n")
        self.say("| | " + " | ".join(names) + "".join(f" | sluice / {n}" for n in names if n != "sluice") + " |")
        self.say("|---" * (1 + len(names) + sum(n != "sluice" for n in names)) + "|")
        for case, row in m.rates.items():
            cells = [f"{median(v):,.1f} ({min(v):,.1f} to {max(v):,.1f})" if v else "-" for v in (row.get(n, []) for n in names)]
            for n in names:
                if n != "sluice":
                    r = ratio(m.rate(case), m.rate(case, n))
                    cells.append(times(r) if r else "-")
            self.row(CASES[case], *cells)
        self.say("")
        if m.share() is not None:
            moved = m.rate("tg") * moved_bytes(m.weights, m.kv_token, m.context) / 1e9
            self.figure(f"Decode moves {moved:,.1f} GB/s: {percent(m.share())} of the {median(m.copies):,.1f} GB/s that were copied in the same rounds ({min(m.copies):,.1f} to {max(m.copies):,.1f})")
        peak = share_of_peak(m.rate("pp"), m.multiplications, peak_int8)
        if peak is not None:
            self.figure(f"The prompt's products: {m.rate('pp') * 2 * m.multiplications / 1e12:,.4g} TOP/s, {percent(peak)} of the int8 peak of the same run")
        if m.seen:
            self.figure("While it computed: " + ", ".join(f"{what} {median(v):.0f} {unit} ({min(v):.0f} to {max(v):.0f})" for what, unit, v in (
                ("processors", "MHz", [int(h["sm"]) for h in m.seen]), ("memory", "MHz", [int(h["mem"]) for h in m.seen]), ("power", "W", [h["watts"] for h in m.seen]))))
        if m.joules:
            self.figure(f"Energy of the streams: {median(m.joules):.3f} J a token, those of the prompts too")

    def goals(self, models):
        self.say("\n## Goals\n")
        for m in models:
            other = next((n for n in m.rates.get("tg", {}) if n != "sluice"), None)
            self.figure(goal(f"{m.name}, one request: share of the copies", m.share(), GOAL_SHARE, percent))
            self.figure(goal(f"{m.name}, one request: against llama.cpp", ratio(m.rate("tg"), other and m.rate("tg", other)), GOAL_RATIO, times))
            self.figure(goal(f"{m.name}, prompt: against llama.cpp", ratio(m.rate("pp"), other and m.rate("pp", other)), GOAL_RATIO, times))
            self.figure(goal(f"{m.name}, streams", m.rate("many"), GOAL_STREAMS, tokens))

    def products(self, rows, copy, peaks):
        """rows: (type, rows, cols, bytes, [(tokens, microseconds)])."""
        self.say("\n## Products\n\n| type | rows x columns | tokens | us | GB/s | of the copies | T(FL)OP/s | of the peak |\n|---|---|---|---|---|---|---|---|")
        for kind, n_rows, n_cols, n_bytes, cells in rows:
            for n, us in cells:
                gbs, tops = n_bytes / us / 1e3, 2 * n_rows * n_cols * n / us / 1e6
                peak = peaks[0 if kind in ("F16", "BF16") else 1]
                self.row(kind, f"{n_rows} x {n_cols}", str(n), f"{us:,.2f}", f"{gbs:,.1f}", percent(gbs / copy), f"{tops:,.4g}", percent(tops / peak))
