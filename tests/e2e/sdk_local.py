#!/usr/bin/env python3
"""The model in the gateway's own process, asked in every dialect by that dialect's SDK: the same answer, whole and streamed.
See sdk.py."""
import anthropic
import openai
from google import genai
from google.genai import types

from sdk import KEY, URL, check, raises, run, same

MODEL, QUESTION, ANSWER = "local", "What is the capital of France?", "The capital of France is Paris."
client = openai.OpenAI(base_url=URL + "/v1", api_key=KEY, max_retries=0, timeout=60)
claude = anthropic.Anthropic(base_url=URL, api_key=KEY, max_retries=0, timeout=60)
gemini = genai.Client(api_key=KEY, http_options=types.HttpOptions(base_url=URL, timeout=60000))
USER = [{"role": "user", "content": QUESTION}]


def chat():
    ask = lambda **more: client.chat.completions.create(model=MODEL, messages=USER, max_tokens=20, temperature=0, **more)
    answer = ask()
    same("local, chat", answer.choices[0].message.content, ANSWER)
    check(answer.usage.prompt_tokens > 0 and answer.usage.completion_tokens > 0 and answer.choices[0].finish_reason == "stop",
          "local, chat: usage and finish reason", answer)
    same("local, chat, streamed", "".join(e.choices[0].delta.content or "" for e in ask(stream=True) if e.choices), ANSWER)
    check(ask(extra_body={"max_tokens": 2}).choices[0].finish_reason == "length", "local, chat: max_tokens ends it")


def completions():
    answer = client.completions.create(model=MODEL, prompt=QUESTION, max_tokens=8, temperature=0)
    streamed = "".join(e.choices[0].text for e in client.completions.create(
        model=MODEL, prompt=QUESTION, max_tokens=8, temperature=0, stream=True) if e.choices)
    check(answer.choices[0].text and streamed == answer.choices[0].text, "local, completions: streamed as whole", (answer, streamed))


def responses():
    ask = lambda **more: client.responses.create(model=MODEL, input=QUESTION, max_output_tokens=20, temperature=0, **more)
    answer = ask()
    same("local, responses", answer.output_text, ANSWER)
    check(answer.status == "completed" and answer.usage.output_tokens > 0, "local, responses: status and usage", answer)
    same("local, responses, streamed", "".join(e.delta for e in ask(stream=True) if e.type == "response.output_text.delta"), ANSWER)


def messages():
    ask = dict(model=MODEL, max_tokens=20, messages=USER, extra_body={"temperature": 0})
    answer = claude.messages.create(**ask)
    same("local, messages", answer.content[0].text, ANSWER)
    check(answer.stop_reason == "end_turn" and answer.usage.output_tokens > 0, "local, messages: stop and usage", answer)
    with claude.messages.stream(**ask) as s:
        same("local, messages, streamed", "".join(s.text_stream), ANSWER)
    check(claude.messages.create(**{**ask, "max_tokens": 2}).stop_reason == "max_tokens", "local, messages: max_tokens ends it")
    check(claude.messages.count_tokens(model=MODEL, messages=USER).input_tokens > 5, "local, count_tokens")


def generate():
    config = types.GenerateContentConfig(max_output_tokens=20, temperature=0)
    answer = gemini.models.generate_content(model=MODEL, contents=QUESTION, config=config)
    same("local, generateContent", answer.text, ANSWER)
    check(answer.usage_metadata.candidates_token_count > 0, "local, generateContent: usage", answer)
    same("local, generateContent, streamed", "".join(p.text or "" for p in gemini.models.generate_content_stream(
        model=MODEL, contents=QUESTION, config=config)), ANSWER)
    check(gemini.models.count_tokens(model=MODEL, contents=QUESTION).total_tokens > 5, "local, countTokens")


def several():
    """n answers: each whole, streams mixed by index, the prompt counted once, a seed that gives them again."""
    ask = lambda **more: client.chat.completions.create(model=MODEL, messages=USER, max_tokens=20, **more)
    one, three = ask(temperature=0), ask(temperature=0, n=3)
    check([c.message.content for c in three.choices] == [ANSWER] * 3 and [c.index for c in three.choices] == [0, 1, 2],
          "local, n=3: three answers", three)
    check(three.usage.prompt_tokens == one.usage.prompt_tokens and three.usage.completion_tokens == 3 * one.usage.completion_tokens,
          "local, n=3: usage", three.usage)
    texts, ends = ["", "", ""], {}
    for e in ask(n=3, seed=7, temperature=1.5, stream=True):
        for c in e.choices:
            texts[c.index] += c.delta.content or ""
            ends[c.index] = c.finish_reason or ends.get(c.index)
    check(len(set(texts)) > 1 and all(texts) and all(ends.values()) and len(ends) == 3, "local, n=3, streamed: different answers", (texts, ends))
    again = [c.message.content for c in ask(n=3, seed=7, temperature=1.5).choices]
    check(again == texts, "local, n=3: a seed gives them again, whole as streamed", (again, texts))
    got = client.completions.create(model=MODEL, prompt=QUESTION, max_tokens=8, temperature=0, n=2)
    check(len(got.choices) == 2 and got.choices[0].text == got.choices[1].text, "local, completions, n=2", got)
    config = types.GenerateContentConfig(max_output_tokens=20, temperature=0, candidate_count=2)
    got = gemini.models.generate_content(model=MODEL, contents=QUESTION, config=config)
    check([c.content.parts[0].text for c in got.candidates] == [ANSWER] * 2, "local, generateContent, two candidates", got)
    raises("local: nine answers are refused", openai.BadRequestError, lambda: ask(n=9), lambda e: e.param == "n")
    stream = ask(n=8, stream=True, extra_body={"max_tokens": 200})
    next(iter(stream))
    stream.close()
    same("local, after a stream of many that was left", ask(temperature=0).choices[0].message.content, ANSWER)


def tokens():
    """Log probabilities in each dialect that has them, whole as streamed; biases."""
    ask = lambda **more: client.chat.completions.create(**{**dict(model=MODEL, messages=USER, max_tokens=20, temperature=0, logprobs=True, top_logprobs=3), **more})
    listed = ask().choices[0].logprobs.content
    check(b"".join(bytes(t.bytes) for t in listed).decode() == ANSWER and "".join(t.token for t in listed) == ANSWER, "local, chat: the tokens are the text", listed)
    check(all(t.logprob <= 0 and len(t.top_logprobs) == 3 and t.top_logprobs[0].token == t.token and
              t.top_logprobs[0].logprob == t.logprob >= t.top_logprobs[1].logprob >= t.top_logprobs[2].logprob for t in listed),
          "local, chat: the first of the most likely tokens is the one taken at temperature 0", listed)
    streamed = [t for e in ask(stream=True) for c in e.choices if c.logprobs for t in c.logprobs.content]
    check(streamed == listed, "local, chat, streamed: the same tokens", (streamed, listed))
    hot = lambda: [c.logprobs.content for c in ask(temperature=1.5, seed=7, n=2).choices]
    check(hot() == hot(), "local, chat: a seed gives the same tokens again")
    check(ask(logprobs=False, top_logprobs=None).choices[0].logprobs is None, "local, chat: none unless they were asked for")
    got = client.completions.create(model=MODEL, prompt=QUESTION, max_tokens=8, temperature=0, logprobs=2).choices[0]
    check("".join(got.logprobs.tokens) == got.text and len(got.logprobs.top_logprobs[0]) == 2 and got.logprobs.text_offset[0] == 0
          and got.logprobs.text_offset[1] == len(got.logprobs.tokens[0]), "local, completions: tokens and where they stand", got)
    ask = dict(model=MODEL, input=QUESTION, max_output_tokens=20, temperature=0, include=["message.output_text.logprobs"], top_logprobs=3)
    got = client.responses.create(**ask).output[0].content[0].logprobs
    check([(t.token, t.logprob) for t in got] == [(t.token, t.logprob) for t in listed], "local, responses: the same tokens", got)
    streamed = [t for e in client.responses.create(**ask, stream=True) if e.type == "response.output_text.delta" for t in e.logprobs]
    check([(t.token, t.logprob) for t in streamed] == [(t.token, t.logprob) for t in listed], "local, responses, streamed: the same tokens", streamed)
    config = types.GenerateContentConfig(max_output_tokens=20, temperature=0, response_logprobs=True, logprobs=3)
    got = gemini.models.generate_content(model=MODEL, contents=QUESTION, config=config).candidates[0].logprobs_result
    check([(t.token, t.log_probability) for t in got.chosen_candidates] == [(t.token, t.logprob) for t in listed] and
          all(len(t.candidates) == 3 for t in got.top_candidates), "local, generateContent: the same tokens", got)
    bias = lambda bias: client.chat.completions.create(model=MODEL, messages=USER, max_tokens=6, temperature=0, logit_bias=bias).choices[0].message.content
    first = gemini.models.generate_content(model=MODEL, contents=QUESTION, config=config).candidates[0].logprobs_result.chosen_candidates[0]
    check(not bias({str(first.token_id): -100}).startswith(first.token), "local, chat: a token that is ruled out does not come")
    check(bias({str(first.token_id): 100}) == first.token * 6, "local, chat: a token that is wanted comes", first)
    raises("local: a bias for no token is refused", openai.BadRequestError, lambda: bias({"99999999": 1}), lambda e: e.param == "logit_bias")
    raises("local: too many alternatives are refused", openai.BadRequestError, lambda: client.chat.completions.create(
        model=MODEL, messages=USER, logprobs=True, top_logprobs=21), lambda e: e.param == "top_logprobs")


def refusals():
    raises("local: a bad parameter is named", openai.BadRequestError, lambda: client.chat.completions.create(
        model=MODEL, messages=USER, temperature=9), lambda e: e.param == "temperature")
    raises("local, messages: a bad parameter is 400", anthropic.BadRequestError, lambda: claude.messages.create(
        model=MODEL, messages=USER, max_tokens=9, extra_body={"temperature": 9}))


if __name__ == "__main__":
    run(chat, completions, responses, messages, generate, several, tokens, refusals)
