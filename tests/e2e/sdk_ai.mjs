// The Vercel AI SDK with its three providers: generateText, streamText, tools with steps, objects, embeddings, errors.
import { createAnthropic } from "@ai-sdk/anthropic";
import { createGoogleGenerativeAI } from "@ai-sdk/google";
import { createOpenAI } from "@ai-sdk/openai";
import { Output, embed, generateText, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";

import { KEY, PROMPT, URL_, check, fails, load, once, run, same } from "./sdk.mjs";

const openai = createOpenAI({ baseURL: URL_ + "/v1", apiKey: KEY });
const anthropic = createAnthropic({ baseURL: URL_ + "/v1", apiKey: KEY });
const google = createGoogleGenerativeAI({ baseURL: URL_ + "/v1beta", apiKey: KEY });
const models = { "openai chat": openai.chat("gpt-4o"), "openai responses": openai("gpt-4o"),
  anthropic: anthropic("claude-test-1"), google: google("gemini-2.5-flash") };
const quiet = { maxRetries: 0, maxOutputTokens: 2000 };

for (const [name, model] of Object.entries(models)) {
  const suite = async () => {
    same(`ai, ${name}`, (await generateText({ model, prompt: PROMPT, ...quiet })).text, PROMPT);
    for (const more of ["piece=1", "piece=7"]) {
      const text = `[[mock ${more}]] ${PROMPT} DLP_ D`;
      const result = streamText({ model, prompt: text, ...quiet, onError() {} });
      let got = "";
      for await (const t of result.textStream) got += t;
      same(`ai, ${name}, streamed, ${more}`, got, text);
      check((await result.finishReason) === "stop" && (await result.usage).totalTokens > 0, `ai, ${name}, ${more}: finish and usage`);
    }
    const kept = [];
    const note = tool({ description: "Keeps a text", inputSchema: z.object({ text: z.string() }),
      execute: async ({ text }) => { kept.push(text); return "noted"; } });
    const text = `[[mock tool=2 piece=3]] ${PROMPT}`;
    const result = streamText({ model, prompt: text, tools: { note }, stopWhen: stepCountIs(3), ...quiet, onError() {} });
    check((await result.text).includes("noted"), `ai, ${name}: the tool's result is answered`);
    same(`ai, ${name}, tools in steps`, kept, [text, text]);
    const object = await generateText({ model, prompt: PROMPT, output: Output.object({ schema: z.object({ text: z.string() }) }), ...quiet });
    same(`ai, ${name}, an object`, object.output, { text: PROMPT });
    await fails(`ai, ${name}: 429 is an error`, () => generateText({ model, prompt: "[[mock status=429]]", ...quiet }),
                (e) => e.statusCode === 429 && /mock error/.test(e.message));
    await fails(`ai, ${name}: a cut stream is an error`, async () => {
      let error;
      for await (const part of streamText({ model, prompt: "[[mock cut=4 say=fox words=50]]", ...quiet, onError() {} }).fullStream)
        if (part.type === "error") error = part.error;
      if (error) throw error;
    });
    const again = await generateText({ model, prompt: `[[mock status=503 once=${once()} after=50]] again`, ...quiet, maxRetries: 2 });
    check(again.text.endsWith("again"), `ai, ${name}: 503 is tried again`);
    const image = { type: "file", mediaType: "image/png", data: Buffer.from("hello") };
    const asked = [{ role: "user", content: [image, { type: "text", text: PROMPT }] }];
    same(`ai, ${name}, an image in the prompt`, (await generateText({ model, messages: asked, ...quiet })).text, PROMPT);
    await load(`ai, ${name}`, async (prompt, abortSignal) => (await generateText({ model, prompt, abortSignal, ...quiet })).text,
      async (prompt, abortSignal) => {
        let error;
        const result = streamText({ model, prompt, abortSignal, ...quiet, onError: (e) => { error = e.error; } });
        let got = "";
        for await (const t of result.textStream) got += t;
        if (error || abortSignal?.aborted) throw error ?? new Error("aborted");
        return got;
      }, name === "openai chat" ? 200 : 20);
  };
  Object.defineProperty(suite, "name", { value: `ai, ${name}` });
  await run(suite);
}
await run(async function embeddings() {
  const { embedding } = await embed({ model: openai.embedding("text-embedding-3-small"), value: "alpha", ...{ maxRetries: 0 },
    providerOptions: { openai: { dimensions: 8 } } });
  same("ai, embeddings", embedding);
});
