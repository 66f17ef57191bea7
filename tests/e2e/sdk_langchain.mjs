// @langchain/openai for Node: chat and Responses, streams, tools, structured output, embeddings.
import { HumanMessage, ToolMessage } from "@langchain/core/messages";
import { ChatOpenAI, OpenAIEmbeddings } from "@langchain/openai";
import { z } from "zod";

import { KEY, PROMPT, SECRET, URL_, check, fails, load, once, run, same } from "./sdk.mjs";

const configuration = { baseURL: URL_ + "/v1" };
const Note = z.object({ text: z.string() });

const suite = (useResponsesApi) => async function langchain() {
  const name = useResponsesApi ? "langchain, responses" : "langchain, chat";
  const llm = new ChatOpenAI({ model: "gpt-4o", apiKey: KEY, configuration, maxRetries: 0, useResponsesApi });
  same(name, (await llm.invoke(PROMPT)).text, PROMPT);
  let got = "";
  for await (const c of await llm.stream(`[[mock piece=3]] ${PROMPT}`)) got += c.text;
  same(name + ", streamed", got, `[[mock piece=3]] ${PROMPT}`);
  const bound = llm.bindTools([{ name: "note", description: "Keeps a text", schema: Note }]);
  const asked = [new HumanMessage(`[[mock tool=2]] ${PROMPT}`)];
  const answer = await bound.invoke(asked);
  same(name + ", tools", answer.tool_calls.map((c) => [c.name, c.args]), Array(2).fill(["note", { text: asked[0].content }]));
  asked.push(answer, ...answer.tool_calls.map((c) => new ToolMessage({ content: `noted ${SECRET}`, tool_call_id: c.id })));
  same(name + ", tool results", (await bound.invoke(asked)).text, `noted ${SECRET}`.repeat(2));
  same(name + ", structured", await llm.withStructuredOutput(Note, { name: "note", method: "jsonSchema" }).invoke(PROMPT), { text: PROMPT });
  same(name + ", an image in the prompt", (await llm.invoke([new HumanMessage({ content: [
    { type: "image_url", image_url: { url: "data:image/png;base64,aGVsbG8=" } }, { type: "text", text: PROMPT }] })])).text, PROMPT);
  for (const status of [400, 401, 429, 500])
    await fails(`${name}: ${status} is an error`, () => llm.invoke(`[[mock status=${status}]]`), (e) => e.status === status);
  await fails(name + ": an error inside a stream", async () => {
    for await (const c of await llm.stream("[[mock err=3 say=fox words=20]]")) void c;
  });
  const retrying = new ChatOpenAI({ model: "gpt-4o", apiKey: KEY, configuration, maxRetries: 2, useResponsesApi });
  check((await retrying.invoke(`[[mock status=503 once=${once()}]] again`)).text.endsWith("again"), name + ": 503 is tried again");
  await load(name, async (t, signal) => (await llm.invoke(t, { signal })).text, async (t, signal) => {
    let all = "";
    for await (const c of await llm.stream(t, { signal })) all += c.text;
    return all;
  }, useResponsesApi ? 20 : 200);
};

await run(suite(false), suite(true), async function embeddings() {
  const vectors = await new OpenAIEmbeddings({ model: "text-embedding-3-small", apiKey: KEY, configuration, dimensions: 8 })
    .embedDocuments(["alpha", "beta"]);
  same("langchain, embeddings", vectors);
  check(vectors.length === 2 && vectors[0].length === 8, "langchain, embeddings: two of eight", vectors);
});
