// What the suites of Node SDKs share; see sdk.py for the environment and the form of the output.
import { createHash } from "node:crypto";

export const { E2E_URL: URL_, E2E_KEY: KEY, E2E_SECRET: SECRET, E2E_MAIL: MAIL } = process.env;
const suite = process.env.E2E_SUITE ?? "node";
export const PROMPT = `Rotate ${SECRET} and tell ${MAIL}. "Quoted" \\ umlauts: äöü, 日本語, \u{1F600}`;
let n = Number(process.env.E2E_ONCE ?? 0);
export const once = () => ++n;

export function check(ok, what, detail = "") {
  console.log(ok ? "ok  " : "FAIL", `${suite}: ${what}`, ok ? "" : String(detail?.stack ?? JSON.stringify(detail)).slice(0, 300));
}

const sorted = (v) => Array.isArray(v) ? v.map(sorted) : v && typeof v === "object"
  ? Object.fromEntries(Object.keys(v).sort().map((k) => [k, sorted(v[k])])) : v;

// value must be what every way gives; and expected, when that is known.
export function same(what, value, expected) {
  const text = JSON.stringify(sorted(value)) ?? "undefined";
  const shown = text.length < 400 ? text : `${text.length} ${createHash("sha256").update(text).digest("hex").slice(0, 16)}`;
  console.log("same", `${suite}: ${what}`, shown);
  if (expected !== undefined) check(text === JSON.stringify(sorted(expected)), what, value);
}

// call must throw what test takes.
export async function fails(what, call, test = () => true) {
  try {
    check(false, what, await call());
  } catch (e) {
    check(test(e), what, e);
  }
}

// What every client must stand. ask: (text, signal) to the answer's text; streamed: the same, from a stream's pieces.
export async function load(name, ask, streamed, parallel = 200) {
  same(`${name}: a prompt of 1 MB`, await ask("[[mock say=fox words=3]] " + "word and another, ".repeat(60000)), "The quick brown ");
  const done = await Promise.all(Array.from({ length: parallel }, async (_, i) => {
    const text = `request ${i} ${SECRET}`;
    return (await (i % 2 ? ask(text) : streamed(text))) === text;
  }));
  check(done.every(Boolean), `${name}: ${parallel} in parallel, half of them streams`, done.filter((x) => !x).length);
  for (const [what, call] of [["a request", ask], ["a stream", streamed]]) {
    const leave = new AbortController();
    setTimeout(() => leave.abort(), 200);
    await fails(`${name}: ${what} can be cancelled`, () => call("[[mock ttft=5000]] hi", leave.signal));
  }
}

// Calls each part; one that breaks off is a failure and the others still run.
export async function run(...parts) {
  for (const part of parts) {
    try {
      await part();
    } catch (e) {
      check(false, part.name, e);
    }
  }
}
