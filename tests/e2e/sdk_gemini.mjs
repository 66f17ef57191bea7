// Google's Gen AI SDK for Node: generateContent, streams, tools, structured output, countTokens, models, errors.
import { ApiError, GoogleGenAI, Type } from "@google/genai";

import { KEY, PROMPT, SECRET, URL_, check, fails, load, once, run, same } from "./sdk.mjs";

const client = new GoogleGenAI({ apiKey: KEY, httpOptions: { baseUrl: URL_, timeout: 60000 } });
const model = "gemini-2.5-flash";
const schema = { type: Type.OBJECT, properties: { text: { type: Type.STRING } }, required: ["text"] };
const tools = [{ functionDeclarations: [{ name: "note", description: "Keeps a text", parameters: schema }] }];
const create = (contents, config) => client.models.generateContent({ model, contents, config });
const streamed = (contents, config) => client.models.generateContentStream({ model, contents, config });

async function generate() {
  const answer = await create(PROMPT, { systemInstruction: "Be " + SECRET });
  same("generateContent", answer.text, PROMPT);
  check(answer.candidates[0].finishReason === "STOP" && answer.usageMetadata.totalTokenCount > 0, "finish reason and usage", answer);
  for (const more of ["piece=1", "piece=5", "piece=7 crlf=1"]) {
    const text = `[[mock ${more}]] ${PROMPT} DLP_ D`;
    let got = "", last = null;
    for await (const part of await streamed(text)) {
      got += part.text ?? "";
      last = part;
    }
    same(`stream, ${more}`, got, text);
    check(last?.candidates[0].finishReason === "STOP", `stream, ${more}: finish reason`, last);
  }
  for (const n of [1, 2]) {
    const text = `[[mock tool=${n}]] ${PROMPT}`;
    same(`${n} function calls`, (await create(text, { tools })).functionCalls.map((c) => [c.name, c.args.text]), Array(n).fill(["note", text]));
    const calls = [];
    for await (const part of await streamed(text, { tools })) calls.push(...(part.functionCalls ?? []));
    same(`${n} streamed function calls`, calls.map((c) => [c.name, c.args.text]), Array(n).fill(["note", text]));
  }
  const json = await create(PROMPT, { responseMimeType: "application/json", responseSchema: schema });
  same("structured output", JSON.parse(json.text), { text: PROMPT });
  const chat = client.chats.create({ model });
  await chat.sendMessage({ message: "hello" });
  same("a chat", (await chat.sendMessage({ message: PROMPT })).text, PROMPT);
}

async function more() {
  await load("generateContent", async (t, abortSignal) => (await create(t, { abortSignal })).text, async (t, abortSignal) => {
    let got = "";
    for await (const part of await streamed(t, { abortSignal })) got += part.text ?? "";
    return got;
  });
  const file = await client.files.upload({ file: new Blob(["notes"], { type: "text/plain" }), config: { mimeType: "text/plain" } });
  same("an uploaded file", [file.name.startsWith("files/"), file.sizeBytes, file.mimeType], [true, "5", "text/plain"]);
  same("an image in the prompt", (await create([{ inlineData: { mimeType: "image/png", data: "aGVsbG8=" } }, { text: PROMPT }])).text, PROMPT);
  await fails("an error inside a stream", async () => {
    for await (const part of await streamed("[[mock err=3 say=fox words=20]]")) void part;
  });
  const retrying = new GoogleGenAI({ apiKey: KEY, httpOptions: { baseUrl: URL_, timeout: 60000, retryOptions: { attempts: 3 } } });
  const again = await retrying.models.generateContent({ model, contents: `[[mock status=503 once=${once()}]] again` });
  check(again.text.endsWith("again"), "503 is tried again");
}

async function others() {
  check((await client.models.countTokens({ model, contents: "hello there" })).totalTokens > 0, "countTokens");
  const names = [];
  for await (const m of await client.models.list()) names.push(m.name);
  check(names.length > 0, "models are listed", names);
  for (const status of [400, 401, 403, 404, 429, 500, 503])
    await fails(`${status} throws ApiError`, () => create(`[[mock status=${status}]]`),
                (e) => e instanceof ApiError && e.status === status && /mock error/.test(e.message));
}

await run(generate, more, others);
