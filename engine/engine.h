/* engine/engine.h - one model, many sequences, in this process.
 *
 * The engine is a loaded GGUF model with its tokenizer and chat template; a request is a list of
 * messages and sampling parameters; the answer comes as events on the channel of the thread that asked.
 * It knows tokens, not HTTP. One scheduler thread owns all mutable state (KV cache, sequences); callers
 * meet it in bounded queues. It never aborts, never spins when idle, and never uses more threads than
 * the process may (affinity and cgroup quota). */
#ifndef ENGINE_ENGINE_H
#define ENGINE_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/span.h"

struct engine;

/* How keys and values are held. */
enum engine_kv {
    ENGINE_KV_AUTO, /* int8, where heads have 64 numbers or more; else f16 */
    ENGINE_KV_F16,
    ENGINE_KV_I8, /* half the memory; see docs/engine.md for what it and the others cost */
    ENGINE_KV_FP8,
    ENGINE_KV_I4, /* from here on rotated: kernels/kv_code.h */
    ENGINE_KV_POLAR4,
    ENGINE_KV_POLAR3,
    ENGINE_KV_QJL,
    ENGINE_KV_ADAPTIVE, /* int8 in the first layers, int4 in the others */
};

/* What is done with the keys and values of requests that have ended. Answers are the same in any case. */
enum engine_prefixes {
    ENGINE_PREFIXES_LRU,     /* kept for others; when pages are short the longest unused go first */
    ENGINE_PREFIXES_PREDICT, /* those first that are least likely to be used again */
    ENGINE_PREFIXES_OFF,     /* not kept, and nothing is shared */
};

/* How a GPU keeps a model's matrices. */
enum engine_weights {
    ENGINE_WEIGHTS_AS_STORED,
    ENGINE_WEIGHTS_FP8, /* e4m3, whatever they are stored as: kern_cuda_matrix_new_e4m3 */
};

/* A LoRA adapter: a GGUF file (general.type = adapter), or a folder as PEFT writes it. */
struct engine_adapter {
    const char *name; /* what requests call it, not empty */
    const char *path;
};

enum { ENGINE_MAX_ADAPTERS = 256 };

/* What each of several GPUs has: layers of its own, or a share of each layer. */
enum engine_split { ENGINE_SPLIT_LAYERS, ENGINE_SPLIT_TENSORS };

struct engine_config {
    const char *model_path;
    const struct engine_adapter *adapters; /* all are loaded; each request chooses one or none */
    unsigned n_adapters;                   /* at most ENGINE_MAX_ADAPTERS */
    unsigned threads;                      /* 0: what the process may use */
    unsigned max_context;                  /* tokens a sequence; 0: the model's, at most 8,192 */
    unsigned max_seqs;                     /* sequences at once; 0: 8 */
    unsigned max_queued;                   /* waiting requests; 0: 64 */
    enum engine_kv kv;
    enum engine_prefixes prefixes;
    enum engine_weights weights; /* of layers that GPUs compute; the CPU's are as stored */
    const char *device;          /* NULL, "auto", "cpu", "cuda:0,1"; see device.h */
    enum engine_split split;
    const char
        *draft_path; /* a smaller model with the same vocabulary that guesses tokens; NULL: none */
    const char *medusa_path; /* a folder of heads that guess tokens, instead; NULL: none */
    bool no_drafts;          /* answers are the same with and without; for comparing speed */
    const char
        *kernels; /* NULL: best; "scalar", "avx2", "avx512", "amx": at most that, for tests */
    void (*progress)(void *ctx, uint64_t done, uint64_t total); /* bytes loaded; may be NULL */
    void *progress_ctx;
};

/* Loads the model and starts the scheduler. The file is untrusted: errors say what is wrong with it and
 * nothing is allocated that the file's size does not justify. GW_EPARSE, GW_EUNSUPPORTED, GW_ENOMEM,
 * GW_EIO. */
enum gw_status engine_open(const struct engine_config *cfg, struct engine **out,
                           struct gw_err *err);

/* Cancels what runs (its events are not delivered), ends the threads, frees. e may be NULL. All channels
 * must be closed. */
void engine_close(struct engine *e);

struct engine_info {
    char name[64], arch[32], quant[32]; /* "SmolLM2 135M Instruct", "llama", "Q4_1" */
    char kernels[160];                  /* chosen kernel per tensor type, for people */
    char device[160]; /* which GPUs compute how many layers, or why none does; "" on the CPU */
    uint64_t file_bytes, n_params, kv_bytes;
    unsigned n_vocab, n_layers, n_embd, max_context, threads, n_adapters;
    char warning[160]; /* e.g. unknown pre-tokenizer or template: fallback used */
};
void engine_info(const struct engine *e, struct engine_info *out);

/* A GPU that computes layers. What its driver does not tell is 0, and known is false when it tells nothing. */
enum { ENGINE_MAX_GPUS = 8 };
struct engine_gpu {
    char name[64];
    unsigned number; /* as the driver counts */
    bool known, throttled;
    unsigned sm_mhz, mem_mhz, celsius,
        percent;          /* clocks; temperature; share of time in which it computes */
    double watts, joules; /* now; since its driver was loaded */
    uint64_t bytes, used_bytes, ecc_errors;
};
/* What it costs that a GPU has no room for all: seconds of one token, measured once at the start. Zeroes where there is nothing such. */
struct engine_cost {
    unsigned host_layers;             /* on the CPU */
    unsigned host_kv_tokens;          /* whose keys and values lie in the host's memory */
    double host_layer_s, gpu_layer_s; /* a layer there, and here with its share of the output */
    double host_kv_s, gpu_kv_s;       /* to attend to a token of context there, and here */
};
struct engine_device {
    struct engine_cost cost;
    unsigned n_layers, n_gpus; /* 0: the CPU computes all */
    bool failed;               /* a GPU did, and every request is refused until the next start */
    struct engine_gpu gpus[ENGINE_MAX_GPUS];
};

/* What the GPUs do now: about a millisecond each. Thread: any, but no event loop. */
void engine_device(const struct engine *e, struct engine_device *out);

/* Whether device of cfg is well-formed, whether there is such a device, and whether it keeps keys, values and weights as kv and weights say; nothing
 * else of cfg is looked at. GW_EINVAL, GW_EUNSUPPORTED, with words that say what is missing and what to do. *note (may be NULL): NULL, or what of it
 * will not be had although the model can be served, static words. Thread: any. */
enum gw_status engine_check_device(const struct engine_config *cfg, const char **note,
                                   struct gw_err *err);

/* Whether GPUs can be given parts of the model as "split" of engine_config says: its "device", and the shape of the model at "model_path" where that can
 * be read (what cannot be read is engine_open's to refuse). GW_EINVAL, GW_EUNSUPPORTED, with words that say what to do. Thread: any; reads the file's head. */
enum gw_status engine_check_split(const struct engine_config *cfg, struct gw_err *err);

/* How much a step takes at once: one pass over the weights for all of it. */
enum { ENGINE_STEP_BUCKETS = 12 };
struct engine_steps {
    uint64_t n, requests, tokens; /* steps, and what they had in all */
    /* [i]: steps of more than half of 1 << i and at most that; larger ones are in n alone */
    uint64_t by_requests[ENGINE_STEP_BUCKETS], by_tokens[ENGINE_STEP_BUCKETS];
};

struct engine_stats {
    uint64_t prompt_tokens; /* computed */
    uint64_t cached_tokens; /* of prompts, taken from the cache instead */
    uint64_t completion_tokens, requests, rejected, canceled;
    uint64_t draft_tokens, draft_taken;               /* guessed, and of those right */
    uint64_t draft_model_tokens, draft_model_taken;   /* of them, by the draft model */
    uint64_t draft_medusa_tokens, draft_medusa_taken; /* of them, by Medusa heads */
    uint64_t
        parked; /* times a running request lost its slot to a higher priority or another tenant */
    unsigned running, queued;
    uint64_t kv_used_tokens; /* on pages of running sequences */
    uint64_t kv_idle_tokens; /* on pages that are kept for prefixes only, and can be taken back */
    uint64_t kv_total_tokens;
    uint64_t evicted_tokens; /* on pages that were kept for prefixes and taken back */
    uint64_t missed_tokens;  /* of them, computed again soon; known with ENGINE_PREFIXES_PREDICT */
    uint64_t copied_tokens;  /* on shared pages that were copied before somebody wrote there */
    uint64_t mask_hits,
        mask_misses;     /* places of formats whose tokens were known, or had to be found */
    uint64_t mask_bytes; /* of what is known, at most MASK_CACHE_BYTES */
    struct engine_steps steps;
};
void engine_stats(struct engine *e, struct engine_stats *out);

/* ---- requests --------------------------------------------------------------------------- */

struct engine_message {
    struct gw_span role;    /* "system", "user", "assistant", "tool" */
    struct gw_span content; /* text; special tokens in it stay text */
};

enum {
    ENGINE_MAX_TENANT_BYTES = 128,
    ENGINE_MAX_PRIORITY = 100,
    ENGINE_MAX_BIAS = 1024,
    ENGINE_MAX_TOP_LOGPROBS = 20
};

/* What is added to a token's logit before anything is cut or drawn; a token that a format rules out stays out. */
struct engine_bias {
    int32_t id; /* of the vocabulary */
    float bias; /* -100 to 100 */
};

/* What an answer must look like. Made of a client's words: see engine_grammar_new. */
enum engine_format_kind {
    ENGINE_FORMAT_JSON,   /* a JSON object */
    ENGINE_FORMAT_SCHEMA, /* JSON that meets a JSON Schema */
    ENGINE_FORMAT_REGEX,  /* all of it meets a regular expression */
    ENGINE_FORMAT_TOOLS,  /* text with calls in it, or calls alone */
};

struct engine_format_tool {
    struct gw_span name;
    struct gw_span schema; /* of the arguments; empty: any object */
};

struct engine_format {
    enum engine_format_kind kind;
    struct gw_span
        text; /* SCHEMA: the schema, JSON; REGEX: the expression; TOOLS: the schema of an answer without
                          * calls, or empty: any text */
    bool ordered; /* members of objects come in the order in which schemas have them */
    bool
        closed; /* objects whose properties are named have no others, unless additionalProperties is given */
    /* TOOLS: a call is `begin`, an object of "name" and "arguments", and `end`. */
    struct gw_span begin, end;
    const struct engine_format_tool *tools;
    unsigned n_tools;
    bool must_call; /* the answer begins with a call, and no text comes */
    bool single;    /* nothing comes behind the first call */
};

/* A format made ready to steer answers. Immutable, counted references, any thread. */
struct engine_grammar;

/* Makes a grammar, which depends on no model. Bounded in time and memory whatever the format says. GW_EINVAL: it can never
 * be met, or is no schema; GW_EPARSE: no JSON or no regular expression; GW_EUNSUPPORTED: a keyword is not built in;
 * GW_ELIMIT: too large or too complex; GW_ENOMEM. Messages name the place in the schema. On success *out is the caller's
 * reference. */
enum gw_status engine_grammar_new(const struct engine_format *format, struct engine_grammar **out,
                                  struct gw_err *err);
void engine_grammar_unref(struct engine_grammar *g); /* g may be NULL */

/* The same, but what was made of an equal format for the same scope (whose request it is) may be given again: grammars are
 * kept in bounded memory for all engines of the process (engine/grammar_cache.h). Thread: any. */
enum gw_status engine_grammar_get(const struct engine_format *format, struct gw_span scope,
                                  struct engine_grammar **out, struct gw_err *err);
struct engine_grammar_stats {
    uint64_t hits,
        misses;       /* of engine_grammar_get; a format that cannot be made is a miss each time */
    uint64_t dropped; /* to make room */
    uint64_t kept, bytes; /* now */
};
void engine_grammar_stats(struct engine_grammar_stats *out);

struct engine_params {
    unsigned max_tokens;                       /* 0: what fits into the context */
    float temperature;                         /* 0: greedy */
    float top_p;                               /* 1: off */
    float min_p;                               /* 0: off */
    unsigned top_k;                            /* 0: off */
    float presence_penalty, frequency_penalty; /* -2 to 2 */
    float repeat_penalty;                      /* 1: off */
    uint64_t seed;                             /* 0: random */
    const struct gw_span *stop;                /* stop strings, never part of the answer */
    unsigned n_stop;                           /* at most 16 */
    const struct engine_bias *bias;            /* those of one token add up */
    unsigned n_bias;                           /* at most ENGINE_MAX_BIAS */
    bool logprobs;                             /* events tell tokens (struct engine_token) */
    unsigned top_logprobs;          /* alternatives of each, at most ENGINE_MAX_TOP_LOGPROBS */
    struct engine_grammar *grammar; /* NULL: any text; the request takes a reference */
    uint64_t
        deadline_ns; /* gw_clock_ns() after which the request ends with GW_ETIMEDOUT; 0: none */
    struct gw_span tenant;  /* whose request it is: prefixes are shared within a tenant only, and
                            * tenants take turns; at most ENGINE_MAX_TENANT_BYTES */
    struct gw_span adapter; /* name of one of the engine's adapters; empty: the model as it is */
    int priority; /* at most ENGINE_MAX_PRIORITY from 0: higher ones go first, and take the slot of a lower one */
};

enum engine_finish {
    ENGINE_FINISH_STOP,
    ENGINE_FINISH_LENGTH,
    ENGINE_FINISH_CANCELED,
    ENGINE_FINISH_ERROR
};

enum engine_event_type {
    ENGINE_EVENT_START, /* prompt is processed: prompt_tokens is set */
    ENGINE_EVENT_TEXT,  /* more answer, whole UTF-8 characters */
    ENGINE_EVENT_DONE,  /* the last one: finish and counts; status and error when it failed */
};

struct engine_prob {
    int32_t id;
    float logprob; /* natural logarithm, 0 or below; -INFINITY for none */
};

/* A token of the answer, with the probability that the model gave it: from its raw logits, whatever biases, penalties,
 * formats and temperature made of them. Tokens of a stop string and the end of the answer are not told. */
struct engine_token {
    struct engine_prob drawn;
    uint32_t
        text_bytes; /* of the text, behind that of the tokens before: what became certain with it */
    uint16_t skip;  /* bytes at the beginning of its own that are not part of the answer */
    uint16_t n_top; /* alternatives that follow, the most likely first */
};

struct engine_event {
    enum engine_event_type type;
    void *ctx;          /* as given to engine_submit */
    struct gw_buf text; /* TEXT: the receiver frees it with gw_buf_fini */
    struct gw_buf
        tokens; /* TEXT, when asked for: those whose text has come (engine_token_next); freed likewise */
    enum engine_finish finish;
    enum gw_status status; /* DONE: GW_OK, GW_ELIMIT prompt too long, GW_ETIMEDOUT, GW_ENOMEM ... */
    unsigned prompt_tokens, completion_tokens;
    unsigned cached_tokens; /* of the prompt: another request had computed them */
    uint64_t prefill_ns, decode_ns;
    char error[160];
};

/* One per thread that submits; events come back through it. */
struct engine_chan;
struct engine_chan *engine_chan_new(struct engine *e); /* NULL when out of memory */
void engine_chan_free(struct engine_chan *ch);         /* cancels its requests */
int engine_chan_fd(const struct engine_chan *ch); /* readable: call engine_chan_next until false */
bool engine_chan_next(struct engine_chan *ch, struct engine_event *ev);

/* Queues a request; messages and params are copied. *id is set and is never 0. GW_EAGAIN: too many requests
 * are unfinished, or the prompts that wait would fill the KV cache many times (answer 429); GW_EINVAL: a parameter out of range;
 * GW_ENOENT: there is no such adapter; GW_ENOMEM. */
enum gw_status engine_submit(struct engine_chan *ch, const struct engine_message *messages,
                             unsigned n_messages, const struct engine_params *params, void *ctx,
                             uint64_t *id, struct gw_err *err);

/* Ends the request soon; after this returns no event with its ctx is delivered any more. Unknown ids
 * are ignored. Thread: the channel's. */
void engine_cancel(struct engine_chan *ch, uint64_t id);

/* Takes the next record out of an event's tokens, which *tokens then begins behind; false when there is none. */
bool engine_token_next(struct gw_span *tokens, struct engine_token *out,
                       struct engine_prob top[ENGINE_MAX_TOP_LOGPROBS]);

/* The bytes that a token adds to an answer, perhaps part of a character; of a control token its name. Empty for ids
 * outside of the vocabulary. Borrowed from e. Thread: any. */
struct gw_span engine_token_bytes(const struct engine *e, int32_t id);
/* What a model writes around calls and what it thinks, as its template and vocabulary tell; bits. */
enum {
    ENGINE_SAYS_LLAMA = 1,     /* <|python_tag|>, or an object with "name" and "parameters" */
    ENGINE_SAYS_MISTRAL = 2,   /* [TOOL_CALLS] */
    ENGINE_SAYS_DEEPSEEK = 4,  /* <|tool_calls_begin|> */
    ENGINE_SAYS_PHI = 8,       /* functools[, <|tool_call|> */
    ENGINE_SAYS_THINK = 16,    /* an answer may begin with <think> */
    ENGINE_SAYS_THINKING = 32, /* a prompt ends with it */
    ENGINE_SAYS_GEMMA = 64,    /* <start_function_call> */
    ENGINE_SAYS_PYTHON = 128,  /* calls as Python in a fence "tool_code", or as a list of calls */
};
unsigned engine_says(const struct engine *e);

/* Tokens are numbered from 0 to below it. */
unsigned engine_n_vocab(const struct engine *e);

/* ---- tools (CLI, tests) ------------------------------------------------------------------ */

/* Text to tokens and back, without special tokens. out: caller frees with free(). */
enum gw_status engine_tokenize(const struct engine *e, struct gw_span text, int32_t **out,
                               size_t *n);
/* The prompt that the template makes, for people and tests. */
enum gw_status engine_render(const struct engine *e, const struct engine_message *messages,
                             unsigned n_messages, struct gw_buf *out, struct gw_err *err);

struct engine_bench {
    double prefill_tokens_per_s, decode_tokens_per_s;
    double read_gb_per_s;          /* memory bandwidth measured in this run */
    double decode_bandwidth_share; /* bytes read per token * rate / read_gb_per_s */
    uint64_t bytes_per_token;
    /* With Medusa heads, and a decode of more tokens than there are heads; else 0: */
    unsigned n_heads;
    double guess_ms;  /* a guess of all of them */
    double wide_step; /* a step that checks it, over one without */
};
/* Times a prompt and a decode on an idle engine; blocks. */
enum gw_status engine_bench(struct engine *e, unsigned prompt, unsigned decode,
                            struct engine_bench *out, struct gw_err *err);

/* Checks a file as engine_open would, without loading weights; *out gets what is known. */
enum gw_status engine_inspect(const char *path, struct engine_info *out, struct gw_err *err);

/* A model written again with its matrices in another block type (engine/quantize.h). */
struct engine_quantize {
    const char *model_path, *out_path; /* out_path must not be there; it appears when it is whole */
    const char *type;                  /* "Q4_K_M", "Q8_0", ... */
    unsigned threads;                  /* 0: what the process may use */
    void (*progress)(void *ctx, uint64_t done, uint64_t total); /* bytes read; may be NULL */
    void *progress_ctx;
    uint64_t bytes; /* set: of the new file */
};

/* GW_EINVAL: an unknown type; GW_EEXIST; GW_EPARSE, GW_EUNSUPPORTED: the model; GW_EIO; GW_ENOMEM. Blocks. */
enum gw_status engine_quantize(struct engine_quantize *q, struct gw_err *err);

/* Where a model says that it comes from; "" where it says nothing. */
struct engine_provenance {
    char licence[64], source[256];
    char tokenizer
        [65]; /* SHA-256 of the tokens and merges, each with a line's end; of a folder: of tokenizer.json */
};

/* Reads a model's or an adapter's file or folder. Errors as engine_inspect. Blocks. */
enum gw_status engine_provenance(const char *path, struct engine_provenance *out,
                                 struct gw_err *err);

/* What a model's file or folder says that it holds. */
enum engine_kind {
    ENGINE_KIND_CHAT, /* and whatever cannot be read: engine_open says why */
    ENGINE_KIND_EMBED,
    ENGINE_KIND_RERANK,
    ENGINE_KIND_ADAPTER, /* changes to another model's weights (LoRA) */
    ENGINE_KIND_MEDUSA,  /* heads that guess for another model */
};

/* Looks at the file's keys or at the folder's configuration only. Blocks. */
enum engine_kind engine_kind(const char *path);

/* What an adapter's file says, without its model. */
struct engine_adapter_info {
    char arch[32]; /* of the model that it is for; "" when it does not say */
    uint64_t file_bytes, n_params;
    unsigned rank, n_layers; /* the largest; layers up to the last that is changed */
    unsigned n_matrices;     /* that are changed */
    double alpha;            /* 0: not said */
};

/* Checks a file or folder as far as is possible without the model. Errors as engine_open. */
enum gw_status engine_adapter_inspect(const char *path, struct engine_adapter_info *out,
                                      struct gw_err *err);

/* What the files of Medusa heads say, without their model. */
struct engine_medusa_info {
    uint64_t file_bytes;
    unsigned n_heads, n_blocks; /* residual blocks of each */
    unsigned n_outputs;         /* heads with an output matrix of their own */
    uint64_t n_embd;            /* width of the model that they are for */
};

/* Checks the folder as far as is possible without the model. Errors as engine_open. */
enum gw_status engine_medusa_inspect(const char *path, struct engine_medusa_info *out,
                                     struct gw_err *err);

/* ---- embeddings -------------------------------------------------------------------------- */

/* A model that turns texts into vectors of length 1, or a query and documents into scores (a reranker): BERT
 * family, GGUF or safetensors. One compute thread (with its pool) works off a bounded queue; requests take turns, so a long one does not hold up a short one,
 * and a vector does not depend on what else is computed with it. */
struct engine_embedder;

enum {
    ENGINE_EMBED_MAX_TEXTS = 2048,    /* in a request */
    ENGINE_EMBED_MAX_TOKENS = 300000, /* in a request */
};

struct engine_embed_config {
    const char
        *model_path;     /* GGUF file, or folder: model.safetensors, config.json, tokenizer.json */
    unsigned threads;    /* 0: what the process may use */
    unsigned max_tokens; /* of a text, its two special ones included; 0: what the model names (256
                             * for all-MiniLM-L6-v2); at most what it has positions for (512) */
    unsigned max_queued; /* unfinished requests; 0: 64 */
    const char *kernels; /* as in engine_config */
};

/* Loads the model and starts its thread. The files are untrusted, as in engine_open. GW_ENOENT,
 * GW_EPARSE, GW_EUNSUPPORTED, GW_EINVAL, GW_ENOMEM, GW_EIO. */
enum gw_status engine_embedder_open(const struct engine_embed_config *cfg,
                                    struct engine_embedder **out, struct gw_err *err);

/* Drops what is unfinished (no events), ends the threads, frees. e may be NULL. All channels must be
 * closed. */
void engine_embedder_close(struct engine_embedder *e);

struct engine_embed_info {
    char name[64], arch[32], quant[32]; /* "all-minilm-l6-v2", "bert", "F32" */
    char kernels[32];                   /* "avx512 fma"; empty from engine_embed_inspect */
    uint64_t file_bytes, n_params;
    unsigned n_dims, n_vocab, n_layers, max_tokens, threads;
    bool reranks;    /* scores, and gives no vectors: n_dims is 1 */
    char pooling[8]; /* "mean", "cls", "score" */
};
void engine_embedder_info(const struct engine_embedder *e, struct engine_embed_info *out);

/* Checks a folder as engine_embedder_open would, without starting anything. */
enum gw_status engine_embed_inspect(const char *path, struct engine_embed_info *out,
                                    struct gw_err *err);

struct engine_embed_stats {
    uint64_t requests, texts, tokens, rejected, canceled;
    unsigned unfinished;
};
void engine_embedder_stats(const struct engine_embedder *e, struct engine_embed_stats *out);

/* The one event of a request. */
struct engine_embed_event {
    void *ctx; /* as given to engine_embed_submit */
    enum gw_status
        status;      /* GW_OK; GW_ELIMIT: a text or the request has too many tokens (nothing is
                            * cut off silently); GW_ETIMEDOUT; GW_ENOMEM; GW_ECANCELED: closing */
    char error[160]; /* names the text by its index, counted from 0 */
    float *
        vectors; /* GW_OK: [n_texts][n_dims], the receiver frees it with free(); else NULL. Of a reranker:
                      * [n_texts][1], a score from 0 to 1 each */
    unsigned n_texts, n_dims;
    unsigned prompt_tokens;       /* special ones included */
    uint64_t wait_ns, compute_ns; /* until the first text was begun; from then on */
};

/* One per thread that submits, as engine_chan. */
struct engine_embed_chan;
struct engine_embed_chan *engine_embed_chan_new(struct engine_embedder *e); /* NULL: no memory */
void engine_embed_chan_free(struct engine_embed_chan *ch); /* cancels its requests; may be NULL */
int engine_embed_chan_fd(const struct engine_embed_chan *ch); /* readable: call _next until false */
bool engine_embed_chan_next(struct engine_embed_chan *ch, struct engine_embed_event *ev);

/* Queues 1 to ENGINE_EMBED_MAX_TEXTS texts, UTF-8, none empty; they are copied. deadline_ns: gw_clock_ns()
 * after which the request ends with GW_ETIMEDOUT, 0: none. *id is set and is never 0. GW_EAGAIN: queue full
 * (answer 429 or 503); GW_EINVAL: number of texts, or an empty one; GW_ELIMIT: a text that is too long
 * whatever it says; GW_ENOMEM. Thread: the channel's. */
enum gw_status engine_embed_submit(struct engine_embed_chan *ch, const struct gw_span *texts,
                                   unsigned n_texts, uint64_t deadline_ns, void *ctx, uint64_t *id,
                                   struct gw_err *err);

/* The same for a reranker: texts[0] is the query, the others (at least one) are documents; the event has their
 * scores, n_texts counts documents. The model sees a query and a document as one text, whose tokens count. Errors
 * name documents as texts from 0. */
enum gw_status engine_rerank_submit(struct engine_embed_chan *ch, const struct gw_span *texts,
                                    unsigned n_texts, uint64_t deadline_ns, void *ctx, uint64_t *id,
                                    struct gw_err *err);

/* Ends the request soon; after this returns no event with its ctx is delivered any more. Unknown ids are
 * ignored. Thread: the channel's. */
void engine_embed_cancel(struct engine_embed_chan *ch, uint64_t id);

#endif
