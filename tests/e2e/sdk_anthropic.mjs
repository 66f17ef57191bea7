// The Anthropic SDK for Node: messages, streams, tools, thinking, count_tokens, models, errors, retries.
// (Not streams without a last blank line: neither this SDK nor that of Google reads their last event.)
import Anthropic, { toFile } from "@anthropic-ai/sdk";

import { KEY, PROMPT, URL_, check, fails, load, once, run, same } from "./sdk.mjs";

const client = new Anthropic({ baseURL: URL_, apiKey: KEY, maxRetries: 0, timeout: 60000 });
const model = process.env.E2E_MODEL ?? "claude-test-1";
const tools = [{ name: "note", input_schema: { type: "object", properties: { text: { type: "string" } }, required: ["text"] } }];
const body = (content, more = {}) => ({ model, max_tokens: 2000, messages: [{ role: "user", content }], ...more });

async function messages() {
  const { data, response } = await client.messages.create(body(PROMPT)).withResponse();
  same("messages", data.content[0].text, PROMPT);
  check(response.headers.get("request-id"), "request-id");
  for (const more of ["piece=1", "piece=5", "piece=7 crlf=1", "piece=7 comments=1"]) {
    const text = `[[mock ${more}]] ${PROMPT} DLP_ D`;
    const stream = client.messages.stream(body(text));
    let got = "";
    stream.on("text", (t) => { got += t; });
    const final = await stream.finalMessage();
    same(`stream, ${more}`, got, text);
    check(final.stop_reason === "end_turn" && final.usage.output_tokens > 0 && final.usage.input_tokens > 0, `stream, ${more}: the final message`, final);
  }
  for (const n of [1, 2]) {
    const text = `[[mock tool=${n} piece=3]] ${PROMPT}`;
    const uses = (m) => m.content.filter((b) => b.type === "tool_use").map((b) => b.input.text);
    same(`${n} tool uses`, uses(await client.messages.create(body(text, { tools }))), Array(n).fill(text));
    same(`${n} streamed tool uses`, uses(await client.messages.stream(body(text, { tools })).finalMessage()), Array(n).fill(text));
  }
  const text = `[[mock think=1 piece=2]] ${PROMPT}`;
  const thought = await client.messages.stream(body(text, { thinking: { type: "enabled", budget_tokens: 1024 } })).finalMessage();
  // What is signed stays as the provider wrote it, so a gateway's placeholders may be in there.
  same("streamed thinking", thought.content[1].text, text);
  check(thought.content[0].thinking.startsWith("The user says: ") && thought.content[0].signature, "streamed thinking: its text and signature");
}

async function more() {
  const text = (m) => m.content.find((b) => b.type === "text").text;
  await load("messages", async (t, signal) => text(await client.messages.create(body(t), { signal })),
             async (t, signal) => text(await client.messages.stream(body(t), { signal }).finalMessage()));
  const schema = { type: "object", properties: { text: { type: "string" } }, required: ["text"], additionalProperties: false };
  const json = await client.messages.create(body(PROMPT, { output_config: { format: { type: "json_schema", schema } } }));
  same("structured output", JSON.parse(text(json)), { text: PROMPT });
  const image = { type: "image", source: { type: "base64", media_type: "image/png", data: "aGVsbG8=" } };
  same("an image in the prompt", text(await client.messages.create(body([image, { type: "text", text: PROMPT }]))), PROMPT);
}

async function others() {
  const file = await client.beta.files.upload({ file: await toFile(Buffer.from("notes"), "notes.txt", { type: "text/plain" }) });
  same("an uploaded file", [file.id !== "", file.filename], [true, "notes.txt"]);
  const count = await client.messages.countTokens({ model, messages: [{ role: "user", content: "hello there" }] });
  check(count.input_tokens > 0, "countTokens", count);
  const names = [];
  for await (const m of client.models.list()) names.push(m.id);
  check(names.length > 0, "models are listed", names);
}

async function errors() {
  const classes = { 400: Anthropic.BadRequestError, 401: Anthropic.AuthenticationError, 403: Anthropic.PermissionDeniedError,
    404: Anthropic.NotFoundError, 429: Anthropic.RateLimitError, 500: Anthropic.InternalServerError, 529: Anthropic.InternalServerError };
  for (const [status, kind] of Object.entries(classes))
    await fails(`${status} raises ${kind.name}`, () => client.messages.create(body(`[[mock status=${status}]]`)),
                (e) => e instanceof kind && e.status === Number(status) && e.requestID && e.error?.type === "error");
  await fails("an error inside a stream", () => client.messages.stream(body("[[mock err=5 say=fox words=20]]")).finalMessage(),
              (e) => e instanceof Anthropic.APIError);
  await fails("a cut stream throws", () => client.messages.stream(body("[[mock cut=5 say=fox words=50]]")).finalMessage());
  const again = await client.messages.create(body(`[[mock status=529 once=${once()} after=50]] again`), { maxRetries: 2 });
  check(again.content[0].text.endsWith("again"), "529 is tried again");
  const stream = await client.messages.create(body("[[mock say=fox words=500 interval=20]]", { stream: true }));
  for await (const e of stream) if (e.type === "content_block_delta") break;
  check(stream.controller.signal.aborted, "a stream can be left");
}

const everything = { messages, more, others, errors };
const only = (process.env.E2E_ONLY ?? "").split(" ").filter(Boolean);
await run(...Object.keys(everything).filter((k) => only.length === 0 || only.includes(k)).map((k) => everything[k]));
