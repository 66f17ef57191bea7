// The openai SDK for Node through the gateway; see sdk_python.py for the environment and the form of the output.
import OpenAI from "openai";

const { E2E_MODE: mode, E2E_SECRET: secret, E2E_MAIL: mail, E2E_PHI: phi } = process.env;
const client = new OpenAI({ maxRetries: 0, timeout: 60000 });
const check = (ok, what, detail = "") =>
  console.log(ok ? "ok  " : "FAIL", `node ${mode}: ${what}`, ok ? "" : String(detail).slice(0, 300));
const body = (content, more = {}) => ({ model: "gpt-4o", messages: [{ role: "user", content }], ...more });
const chat = (content, more) => client.chat.completions.create(body(content, more)).withResponse();

const prompt = `Rotate ${secret} and tell ${mail}. Umlauts: äöü, 日本語, \u{1F600}`;
{
  const { data, response } = await chat(prompt);
  check(data.choices[0].message.content === prompt, "the answer holds the restored values, byte for byte",
        data.choices[0].message.content);
  check(response.headers.get("x-request-id").startsWith("req_mock"), "the provider's x-request-id survives");
}
for (const piece of [1, 3, 8]) {
  const text = `[[mock piece=${piece}]] Rotate ${secret}, ${mail}; äöü 日本語 \u{1F600} DLP_ D`;
  let got = "", usage = null;
  for await (const e of await client.chat.completions.create(
    body(text, { stream: true, stream_options: { include_usage: true } }))) {
    got += e.choices[0]?.delta?.content ?? "";
    usage = e.usage ?? usage;
  }
  check(got === text && usage !== null, `a stream in pieces of ${piece} is restored whole`, got);
}
{
  const { data } = await chat(`[[mock tool=1]] Store ${secret} "quoted" for ${mail}`);
  const args = JSON.parse(data.choices[0].message.tool_calls[0].function.arguments);
  check(args.text.includes(`Store ${secret} "quoted" for ${mail}`), "tool arguments are restored", JSON.stringify(args));
}
try {
  await chat("[[mock status=429]] hello");
  check(false, "429 raises RateLimitError");
} catch (e) {
  check(e instanceof OpenAI.RateLimitError && e.headers.get("retry-after") === "7", "429 arrives with retry-after", e);
}
{
  // The client leaves in the middle: the provider must learn of it (run.py looks at the mock's log).
  const stream = await client.chat.completions.create(
    body(`[[mock say=fox words=500 interval=20]] leave ${mode}`, { stream: true }));
  let n = 0;
  for await (const e of stream) if (++n === 3) break;
  stream.controller.abort();
  check(n === 3, "a stream can be left");
}
if (mode === "direct") {
  const { data, response } = await chat(phi, { max_tokens: 16 });
  check(response.headers.get("x-sluice-route") === "local" && data.choices[0].message.content.length > 0,
        "a health prompt for gpt-4o is answered inside", response.headers.get("x-sluice-route"));
  let got = "";
  for await (const e of await client.chat.completions.create(
    { model: "auto", stream: true, max_tokens: 20, temperature: 0,
      messages: [{ role: "user", content: "What is the capital of France?" }] }))
    got += e.choices[0]?.delta?.content ?? "";
  check(got === "The capital of France is Paris.", "a simple prompt is answered by the local model, streamed", got);
} else {
  try {
    await chat(phi);
    check(false, "a health prompt is not let out");
  } catch (e) {
    check(e.status === 403, "a health prompt is not let out", e);
  }
}
