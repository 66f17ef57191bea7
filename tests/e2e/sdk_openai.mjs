// The openai SDK for Node: chat, Responses, embeddings, uploads, models, errors by class, retries, cancel.
import OpenAI, { toFile } from "openai";

import { KEY, PROMPT, SECRET, URL_, check, fails, once, run, same } from "./sdk.mjs";

const client = new OpenAI({ baseURL: URL_ + "/v1", apiKey: KEY, maxRetries: 0, timeout: 60000 });
const user = (content) => [{ role: "user", content }];
const create = (content, more = {}, options) =>
  client.chat.completions.create({ model: "gpt-4o", messages: user(content), ...more }, options);
const parameters = { type: "object", properties: { text: { type: "string" } }, required: ["text"], additionalProperties: false };
const tools = [{ type: "function", function: { name: "note", parameters } }];

async function chat() {
  const { data, response } = await create(PROMPT).withResponse();
  same("chat", data.choices[0].message.content, PROMPT);
  check(response.headers.get("x-request-id") && data._request_id, "x-request-id");
  for (const more of ["piece=1", "piece=5", "piece=7 crlf=1", "piece=7 comments=1", "piece=7 noblank=1"]) {
    const text = `[[mock ${more}]] ${PROMPT} DLP_ D`;
    let got = "", usage = null;
    for await (const e of await create(text, { stream: true, stream_options: { include_usage: true } })) {
      got += e.choices[0]?.delta?.content ?? "";
      usage = e.usage ?? usage;
    }
    same(`stream, ${more}`, got, text);
    check(usage?.total_tokens > 0, `stream, ${more}: usage`, usage);
  }
  for (const n of [1, 2]) {
    const text = `[[mock tool=${n} piece=3]] ${PROMPT}`;
    const whole = await create(text, { tools });
    same(`${n} tool calls`, whole.choices[0].message.tool_calls.map((c) => JSON.parse(c.function.arguments).text), Array(n).fill(text));
    const final = await client.chat.completions.stream({ model: "gpt-4o", messages: user(text), tools }).finalChatCompletion();
    same(`${n} streamed tool calls`, final.choices[0].message.tool_calls.map((c) => JSON.parse(c.function.arguments).text),
         Array(n).fill(text));
  }
  const schema = { type: "json_schema", json_schema: { name: "note", strict: true, schema: parameters } };
  same("structured output", JSON.parse((await create(PROMPT, { response_format: schema })).choices[0].message.content), { text: PROMPT });
  const runner = client.chat.completions.runTools({ model: "gpt-4o", messages: user(`[[mock tool=1]] ${PROMPT}`), tools: [
    { type: "function", function: { name: "note", parameters, parse: JSON.parse, function: ({ text }) => `noted ${text.length}` } }] });
  check((await runner.finalContent()).startsWith("noted "), "runTools ends with what the tool said");
}

async function responses() {
  const whole = await client.responses.create({ model: "gpt-4o", input: PROMPT });
  same("responses", whole.output_text, PROMPT);
  const text = `[[mock think=1 piece=2]] ${PROMPT}`;
  let got = "";
  const numbers = [];
  for await (const e of await client.responses.create({ model: "gpt-4o", input: text, stream: true })) {
    numbers.push(e.sequence_number);
    if (e.type === "response.output_text.delta") got += e.delta;
  }
  same("responses, streamed", got, text);
  check(numbers.every((x, i) => i === 0 || x > numbers[i - 1]), "responses: sequence numbers grow", numbers);
  const asked = `[[mock tool=2 piece=3]] ${PROMPT}`;
  const stream = client.responses.stream({ model: "gpt-4o", input: asked, tools: [{ type: "function", name: "note", strict: true, parameters }] });
  const final = await stream.finalResponse();
  same("responses: streamed function calls", final.output.map((o) => JSON.parse(o.arguments).text), [asked, asked]);
}

async function others() {
  const vectors = await client.embeddings.create({ model: "text-embedding-3-small", input: ["alpha", "beta"], dimensions: 8 });
  const plain = await client.embeddings.create({ model: "text-embedding-3-small", input: "alpha", dimensions: 8, encoding_format: "float" });
  same("embeddings", Array.from(plain.data[0].embedding));
  check(vectors.data.length === 2 && JSON.stringify(Array.from(vectors.data[0].embedding)) === JSON.stringify(plain.data[0].embedding),
        "embeddings in base64 and float agree", vectors.data[0].embedding);
  same("completions", (await client.completions.create({ model: "gpt-4o", prompt: PROMPT })).choices[0].text, PROMPT);
  same("moderations", (await client.moderations.create({ input: "hello" })).results[0].flagged, false);
  const names = [];
  for await (const m of client.models.list()) names.push(m.id);
  check(names.length > 0, "models are listed", names);
  const file = await client.files.create({ file: await toFile(Buffer.from("notes"), "notes.txt"), purpose: "assistants" });
  same("an uploaded file", [file.filename, file.bytes], ["notes.txt", 5]);
  check(await (await client.files.content(file.id)).text() === "notes", "the file's content comes back");
}

async function errors() {
  const classes = { 400: OpenAI.BadRequestError, 401: OpenAI.AuthenticationError, 403: OpenAI.PermissionDeniedError,
    404: OpenAI.NotFoundError, 409: OpenAI.ConflictError, 422: OpenAI.UnprocessableEntityError, 429: OpenAI.RateLimitError,
    500: OpenAI.InternalServerError, 503: OpenAI.InternalServerError };
  for (const [status, kind] of Object.entries(classes))
    await fails(`${status} raises ${kind.name}`, () => create(`[[mock status=${status}]]`),
                (e) => e instanceof kind && e.status === Number(status) && e.requestID && /mock error/.test(e.message));
  await fails("429 has its retry-after", () => create("[[mock status=429]]"), (e) => e.headers.get("retry-after") === "7");
  await fails("an error inside a stream", async () => {
    for await (const e of await create("[[mock err=3 say=fox words=20]]", { stream: true })) void e;
  }, (e) => e instanceof OpenAI.APIError);
  await fails("a cut stream throws", async () => {
    for await (const e of await create("[[mock cut=4 say=fox words=50]]", { stream: true })) void e;
  });
  await fails("a time limit throws", () => create("[[mock ttft=3000]]", {}, { timeout: 300 }),
              (e) => e instanceof OpenAI.APIConnectionTimeoutError);
  const again = await create(`[[mock status=503 once=${once()} after=50]] again`, {}, { maxRetries: 2 });
  check(again.choices[0].message.content.endsWith("again"), "503 is tried again");
  const stream = await create("[[mock say=fox words=500 interval=20]]", { stream: true });
  for await (const e of stream) if (e) break;
  check(stream.controller.signal.aborted, "a stream can be left");
}

async function parallel() {
  const done = await Promise.all(Array.from({ length: 200 }, async (_, i) => {
    const text = `request ${i} ${SECRET}`;
    if (i % 2) return (await create(text)).choices[0].message.content === text;
    let got = "";
    for await (const e of await create(text, { stream: true })) got += e.choices[0]?.delta?.content ?? "";
    return got === text;
  }));
  check(done.every(Boolean), "200 in parallel, half of them streams", done.filter((x) => !x).length);
}

await run(chat, responses, others, errors, parallel);
