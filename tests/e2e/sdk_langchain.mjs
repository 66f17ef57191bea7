// @langchain/openai for Node: chat and Responses, streams, tools, structured output, embeddings.
import { HumanMessage, ToolMessage } from "@langchain/core/messages";
import { ChatOpenAI, OpenAIEmbeddings } from "@langchain/openai";
import { z } from "zod";

import { KEY, PROMPT, SECRET, URL_, check, run, same } from "./sdk.mjs";

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
};

await run(suite(false), suite(true), async function embeddings() {
  const vectors = await new OpenAIEmbeddings({ model: "text-embedding-3-small", apiKey: KEY, configuration, dimensions: 8 })
    .embedDocuments(["alpha", "beta"]);
  same("langchain, embeddings", vectors);
  check(vectors.length === 2 && vectors[0].length === 8, "langchain, embeddings: two of eight", vectors);
});
