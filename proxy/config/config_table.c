/* proxy/config/config_table.c - every key of sluice.yaml: what it takes, its default, its range, its help.
 *
 * The one place where a key is described: parsing, defaults, messages, docs/config.md and the JSON Schema
 * all read this table. To add a key, add a field to proxy/config/config.h and a line here. Constant data. */
#include <stddef.h>

#include "proxy/config/config_private.h"

#define IN(field)     offsetof(struct proxy_config, field)
#define TARGET(field) offsetof(struct proxy_config_target, field)
#define ROUTE(field)  offsetof(struct proxy_config_route, field)
#define LINE(field)   offsetof(struct proxy_config_line, field)
#define ALLOW(field)  offsetof(struct proxy_config_allow, field)
#define JWT(field)    offsetof(struct proxy_config_jwt, field)
#define SINK(field)   offsetof(struct proxy_config_sink, field)
#define MTLS(field)   offsetof(struct proxy_config_mtls, field)
#define BUDGET(field) offsetof(struct proxy_config_budget, field)

#define PRICE(field)   offsetof(struct proxy_config_price, field)
#define PAYLOAD(field) offsetof(struct proxy_config_payload, field)

#define MIB  ((int64_t)1 << 20)
#define SEC  ((int64_t)1000)
#define HOUR (3600 * SEC)
#define DAY  (24 * HOUR)

static const char *const kinds[] = {"engine", "openai", "anthropic", "gemini",
                                    "azure",  "vertex", "bedrock",   NULL};
static const char *const apis[] = {"chat", "completions", "responses", "embeddings", "other", NULL};
static const char *const kvs[] = {"auto",   "f16",    "int8", "fp8",      "int4",
                                  "polar4", "polar3", "qjl",  "adaptive", NULL};
static const char *const splits[] = {"layers", "tensors", NULL};
static const char *const weights[] = {"as_stored", "fp8", NULL};
static const char *const prefixes[] = {"lru", "predict", "off", NULL};
static const char *const servers[] = {"any", "vllm", "sglang", "tgi", "triton", "llama.cpp", NULL};
static const char *const conflicts[] = {"reroute", "refuse", NULL};
static const char *const scopes[] = {"leaving", "always", NULL};
static const char *const directions[] = {"request", "response", "both", NULL};
static const char *const placeholders[] = {"conversation", "caller", NULL};
static const char *const natives[] = {"auto", "off", NULL};
static const char *const policy_modes[] = {"enforce", "monitor", NULL};
static const char *const line_modes[] = {"enforce", "monitor", "off", NULL};
static const char *const unlesses[] = {"never", "justified", NULL};
static const char *const styles[] = {"name", "shape", NULL};
static const char *const pins[] = {"off", "conversation", NULL};
static const char *const fields[] = {"other", "system", "user",  "assistant", "tool",
                                     "key",   "path",   "query", "file",      NULL};
static const char *const media[] = {"image", "file", "audio", NULL};
static const char *const views[] = {"plain", "folded",  "invisible", "digits",  "base64",
                                    "hex",   "percent", "html",      "escaped", "quoted-printable",
                                    "gzip",  NULL};
static const char *const on_errors[] = {"block", "allow", NULL};
static const char *const durabilities[] = {"disk", "process", NULL};
static const char *const payload_levels[] = {"none", "hmac", "masked", "sealed", NULL};
static const char *const on_fulls[] = {"reject", "continue", NULL};
static const char *const sink_kinds[] = {"stdout",  "file",   "splunk", "elastic",
                                         "webhook", "syslog", NULL};
static const char *const sink_formats[] = {"json", "ndjson", NULL};
static const char *const sink_on_fulls[] = {"hold", "skip", NULL};
static const char *const record_classes[] = {"decided", "completed", "finding",
                                             "shadow",  "lifecycle", NULL};
static const char *const modes[] = {"deny", "splice", "bump", NULL};
static const char *const auths[] = {"none", "keys", NULL};
static const char *const pers[] = {"all", "key", "user", "team", "model", "target", NULL};
static const char *const unknown_prices[] = {"refuse", "free", NULL};
static const char *const unavailables[] = {"refuse", "local", NULL};
static const char *const cache_scopes[] = {"key", "user", "team", "tenant", NULL};
static const char *const cache_whens[] = {"deterministic", "always", NULL};
static const char *const on_off[] = {"on", "off", NULL};
static const char *const formats[] = {"text", "json", NULL};
static const char *const clients[] = {"none", "optional", "required", NULL};
static const char *const algorithms[] = {"RS256", "RS384", "RS512", "PS256",
                                         "ES256", "ES384", "EdDSA", NULL};
static const char *const cert_fields[] = {"cn", "email", "dns", "uri", NULL};
static const char *const levels[] = {"debug", "info", "warn", "error", NULL};

const char config_required[] = "(required)";

// clang-format off
const struct config_key config_keys[] = {
{"listen", CONFIG_SECTION, 0, NULL, 0, 0, NULL, "Where the gateway listens. Each is address:port, or `off`."},
{"listen.gateway", CONFIG_ADDR, IN(listen.gateway), "127.0.0.1:8080", 0, 0, NULL,
 "The API for programs: set OPENAI_BASE_URL to http://this/v1."},
{"listen.proxy", CONFIG_ADDR, IN(listen.proxy), "127.0.0.1:3128", 0, 0, NULL,
 "The HTTPS proxy for programs that nobody pointed at the gateway: set HTTPS_PROXY to http://this."},
{"listen.admin", CONFIG_ADDR, IN(listen.admin), "127.0.0.1:9090", 0, 0, NULL,
 "Health, readiness, metrics and the admin API. Not for clients."},
{"listen.tls", CONFIG_SECTION, 0, NULL, 0, 0, NULL, "TLS on the gateway port; both keys or none."},
{"listen.tls.cert", CONFIG_PATH, IN(listen.tls_cert), "", 0, 0, NULL, "PEM file with the certificate chain, leaf first."},
{"listen.tls.key", CONFIG_PATH, IN(listen.tls_key), "", 0, 0, NULL, "PEM file with the private key."},

{"listen.tls.clients", CONFIG_ENUM, IN(listen.clients), "none", 0, 0, clients,
 "Certificates of clients: `none`: not asked for; `optional`: who has none needs a key or token; `required`: without one there is no connection."},
{"listen.tls.client_ca", CONFIG_PATH, IN(listen.client_ca), "", 0, 0, NULL, "PEM file of the CAs that sign client certificates; nothing else is trusted for them."},
{"listen.tls.client_crl", CONFIG_PATH, IN(listen.client_crl), "", 0, 0, NULL, "PEM file of the CAs' revocation lists. One that is missing or out of date refuses every client certificate of its CA."},

{"targets", CONFIG_NAMED, 0, NULL, 0, 0, NULL,
 "The places that can answer, by name. Without this key: `local`, the model in this process, and those whose model or key is there: see the end of this page."},
{"targets.*.kind", CONFIG_ENUM, TARGET(kind), config_required, 0, 0, kinds,
 "`engine`: a model in this process. The others are servers (docs/targets.md): `openai` is every server that speaks OpenAI's API, `azure` Azure OpenAI, `vertex` and `bedrock` the models of Google Cloud and AWS."},
{"targets.*.zone", CONFIG_ZONE, TARGET(zone), NULL, 0, 0, NULL,
 "How far text travels: `process`, `private` (a server of yours) or `approved` (a provider outside). An engine is always `process`; required for the others."},
{"targets.*.models", CONFIG_LIST, TARGET(models), NULL, 0, 0, NULL, "Patterns of the model names that it takes (`gpt-*`). Without this key: every model."},
{"targets.*.model", CONFIG_PATH, TARGET(model), "", 0, 0, NULL,
 "engine: the GGUF file or the folder of a chat model, an embedding model or a reranker. A relative path is looked for beside the configuration, then in models_dir."},
{"targets.*.draft", CONFIG_PATH, TARGET(draft), "", 0, 0, NULL,
 "engine: a smaller chat model with the same vocabulary, found as `model` is. It guesses tokens that the model checks (docs/engine.md); answers are the same with and without."},
{"targets.*.medusa", CONFIG_PATH, TARGET(medusa), "", 0, 0, NULL,
 "engine: a folder of Medusa heads of the model (`medusa_lm_head.safetensors`), found as `model` is, instead of `draft`. They guess tokens that the model checks (docs/engine.md); answers are the same with and without."},
{"targets.*.threads", CONFIG_UINT, TARGET(threads), "0", 0, 1024, NULL, "engine: compute threads; 0: as many as the process may use."},
{"targets.*.max_context", CONFIG_UINT, TARGET(max_context), "0", 0, 1 << 20, NULL, "engine: tokens a conversation; 0: the model's own, at most 8,192."},
{"targets.*.max_seqs", CONFIG_UINT, TARGET(max_seqs), "0", 0, 1024, NULL, "engine: conversations at once; 0: 8."},
{"targets.*.kv", CONFIG_ENUM, TARGET(kv), "auto", 0, 0, kvs,
 "engine: how keys and values are kept (docs/engine.md): `int8`, `f16` (twice the memory), `auto`: int8 where the model's heads are large enough for it; `fp8` (the bytes of int8, and a little further off); or rotated and with fewer bits, at a cost that is measured there: `int4`, `polar4`, `polar3`, `qjl`, `adaptive`."},
{"targets.*.prefixes", CONFIG_ENUM, TARGET(prefixes), "lru", 0, 0, prefixes,
 "engine: which keys and values of ended requests go first when memory for them is short (docs/engine.md): `lru`: the longest unused; `predict`: the least likely to be used again, learned from what was. `off`: none are kept and none are shared, every prompt is computed as a whole."},
{"targets.*.device", CONFIG_STRING, TARGET(device), "auto", 0, 0, NULL,
 "engine: what computes the model's layers: `cpu`; `cuda:0`, a GPU by its number, or several, `cuda:0,1`, each a part of the layers; `auto`: all GPUs that are there, else the CPU. Layers that do not fit stay on the CPU (docs/gpu.md)."},
{"targets.*.split", CONFIG_ENUM, TARGET(split), "layers", 0, 0, splits,
 "engine: what each of several GPUs has: `layers`: some of the layers, which is for models that one has no room for; `tensors`: a share of each layer, so that they work at once (docs/gpu.md)."},
{"targets.*.weights", CONFIG_ENUM, TARGET(weights), "as_stored", 0, 0, weights,
 "engine: how GPUs keep the model's matrices: `as_stored`; `fp8`: as e4m3, 8 bits a weight whatever the file has, for FP8 tensor cores and for types that GPUs do not multiply otherwise (docs/gpu.md). For GPUs only."},
{"targets.*.adapters", CONFIG_PAIRS, TARGET(adapters), NULL, 0, 0, NULL,
 "engine: `name: file` of LoRA adapters of the model, GGUF files or PEFT folders, found as `model` is (docs/models.md). A request chooses one by its model's name: `name`, `TARGET:name`, or any model's with `:name` behind it."},
{"targets.*.base_url", CONFIG_URL, TARGET(base_url), NULL, 0, 0, NULL, "servers: where it is. openai: required, up to and with the version, `https://api.openai.com/v1`. azure: required, `https://NAME.openai.azure.com`. The others know theirs; this key is for private endpoints."},
{"targets.*.endpoints", CONFIG_URLS, TARGET(endpoints), NULL, 0, 0, NULL, "servers: several base URLs of servers that answer alike, instead of base_url; at most 16. The load is shared by how fast each one answers, and one that fails is left alone for a while (docs/targets.md)."},
{"targets.*.default_model", CONFIG_STRING, TARGET(default_model), "", 0, 0, NULL,
 "servers: the model to ask for when the requested one is not the target's own: `auto`, or a request that policy moved here."},
{"targets.*.key", CONFIG_SECRET, TARGET(key), NULL, 0, 0, NULL, "servers but vertex: the provider's key, `file:PATH` or `env:NAME`. Never the key itself. Without this key: none is sent. bedrock: a Bedrock API key, instead of access_key and secret_key."},
{"targets.*.keys", CONFIG_SECRETS, TARGET(keys), NULL, 0, 0, NULL, "servers: several keys, instead of key; at most 16. One that was refused (429, 401) rests while there are others."},
{"targets.*.apis", CONFIG_WORDS, TARGET(apis), NULL, 0, 0, apis,
 "openai, azure: the APIs that the server has. Clients of another one are translated to chat. Without this key: all."},
{"targets.*.usage", CONFIG_ENUM, TARGET(usage), "on", 0, 0, on_off,
 "openai, azure: `on` asks for the tokens of streams (`stream_options.include_usage`) also where the client did not, and takes them out of what it gets. `off`: for servers that refuse the option; tokens of streams are estimates then."},
{"targets.*.deployments", CONFIG_PAIRS, TARGET(deployments), NULL, 0, 0, NULL, "azure: `model: deployment`. A model that is not listed is the deployment of the same name."},
{"targets.*.api_version", CONFIG_STRING, TARGET(api_version), "", 0, 0, NULL, "azure: the version of the REST API, a date; `v1`: the paths below /openai/v1. Without this key: 2024-10-21."},
{"targets.*.project", CONFIG_STRING, TARGET(project), "", 0, 0, NULL, "vertex: the project's id; without this key the one that the credentials name."},
{"targets.*.location", CONFIG_STRING, TARGET(location), "", 0, 0, NULL, "vertex: required: `europe-west4`, `global`."},
{"targets.*.credentials", CONFIG_DOCUMENT, TARGET(credentials), NULL, 0, 0, NULL, "vertex: `file:PATH` of a service account's JSON key, or `env:NAME` with its text. Without this key: the account of the machine, on Google Cloud."},
{"targets.*.region", CONFIG_STRING, TARGET(region), "", 0, 0, NULL, "bedrock: required: `eu-central-1`."},
{"targets.*.access_key", CONFIG_SECRET, TARGET(access_key), NULL, 0, 0, NULL, "bedrock: the access key's id, `file:PATH` or `env:AWS_ACCESS_KEY_ID`."},
{"targets.*.secret_key", CONFIG_SECRET, TARGET(secret_key), NULL, 0, 0, NULL, "bedrock: the secret access key, `file:PATH` or `env:AWS_SECRET_ACCESS_KEY`."},
{"targets.*.session_token", CONFIG_SECRET, TARGET(session_token), NULL, 0, 0, NULL, "bedrock: the session token of temporary keys."},
{"targets.*.ca", CONFIG_PATH, TARGET(ca), "", 0, 0, NULL, "servers: PEM file of the certificates to trust; without it the system's."},
{"targets.*.resolve", CONFIG_RESOLVES, TARGET(resolve), NULL, 0, 0, NULL, "servers: `host: address` or `host: address:port`, instead of asking the resolver."},
{"targets.*.proxy", CONFIG_URL, TARGET(egress.url), NULL, 0, 0, NULL, "servers: `http://host:port` of an HTTP proxy to go through (CONNECT, also for http://). TLS inside is verified as ever. Without this key: directly; the environment's proxy variables do not count."},
{"targets.*.proxy_auth", CONFIG_SECRET, TARGET(egress.auth), NULL, 0, 0, NULL, "servers: `user:password` for the proxy, `file:PATH` or `env:NAME`."},
{"targets.*.max_idle", CONFIG_UINT, TARGET(max_idle), "32", 0, 10000, NULL, "servers: idle connections to keep, per worker."},
{"targets.*.timeouts", CONFIG_SECTION, 0, NULL, 0, 0, NULL, "How long to wait for a target."},
{"targets.*.timeouts.connect", CONFIG_DURATION, TARGET(connect_ms), "5s", 10, HOUR, NULL, "Until the connection stands, TLS included."},
{"targets.*.timeouts.first_byte", CONFIG_DURATION, TARGET(first_byte_ms), "120s", 10, DAY, NULL, "From the request's last byte to the answer's first."},
{"targets.*.timeouts.idle", CONFIG_DURATION, TARGET(idle_ms), "120s", 10, DAY, NULL, "Between two pieces of an answer."},
{"targets.*.retries", CONFIG_UINT, TARGET(retries), "2", 0, 5, NULL, "servers: how often a request that failed before its answer began is tried again on this target, elsewhere or after a wait."},
{"targets.*.hedge_after", CONFIG_DURATION, TARGET(hedge_ms), "0", 0, HOUR, NULL, "servers: when nothing of an answer has come for so long, another endpoint or key of the target is asked too, and the first answer wins. 0: off. The loser may be billed."},
{"targets.*.breaker", CONFIG_SECTION, 0, NULL, 0, 0, NULL, "servers: when an endpoint is left alone."},
{"targets.*.breaker.failures", CONFIG_UINT, TARGET(breaker.failures), "5", 0, 255, NULL, "So many failures in a row; 0: their number does not matter."},
{"targets.*.breaker.error_rate", CONFIG_UINT, TARGET(breaker.error_percent), "50", 0, 100, NULL, "So many percent of the attempts of the last one to two windows; 0: their share does not matter."},
{"targets.*.breaker.min_requests", CONFIG_UINT, TARGET(breaker.min_requests), "20", 1, 10000, NULL, "Attempts in the window, below which their share says nothing."},
{"targets.*.breaker.window", CONFIG_DURATION, TARGET(breaker.window_ms), "10s", 100, HOUR, NULL, "The window."},
{"targets.*.breaker.open", CONFIG_DURATION, TARGET(breaker.open_ms), "10s", 10, HOUR, NULL, "How long it is left alone; then one request tries. Each trial that fails doubles it, up to eight times."},
{"targets.*.server", CONFIG_ENUM, TARGET(server), "any", 0, 0, servers, "servers of your own: the software, whose health is then asked for at its usual path."},
{"targets.*.health", CONFIG_SECTION, 0, NULL, 0, 0, NULL, "servers: each endpoint is asked whether it is well. Without path and server: not asked."},
{"targets.*.health.path", CONFIG_STRING, TARGET(health.path), "", 0, 0, NULL, "Asked with GET at the endpoint's host, without the base URL's path: `/health`. 200 to 299 is well."},
{"targets.*.health.interval", CONFIG_DURATION, TARGET(health.interval_ms), "5s", 50, HOUR, NULL, "Between two probes of an endpoint."},
{"targets.*.health.timeout", CONFIG_DURATION, TARGET(health.timeout_ms), "2s", 10, HOUR, NULL, "For the whole of a probe."},
{"targets.*.health.failures", CONFIG_UINT, TARGET(health.failures), "3", 1, 100, NULL, "So many in a row: the endpoint gets no requests."},
{"targets.*.health.successes", CONFIG_UINT, TARGET(health.successes), "1", 1, 100, NULL, "So many in a row: it gets requests again."},

{"reliability", CONFIG_SECTION, 0, NULL, 0, 0, NULL, "Requests that are tried again; what is said of a single target is there."},
{"reliability.retry_budget", CONFIG_UINT, IN(reliability.retry_percent), "20", 0, 100, NULL, "Percent: retries of a target may be so large a share of its requests, and ten at once."},
{"reliability.backoff", CONFIG_DURATION, IN(reliability.backoff_ms), "250ms", 1, HOUR, NULL, "Before the same endpoint and key are tried again; doubles with each try, half of it random."},
{"reliability.max_wait", CONFIG_DURATION, IN(reliability.max_wait_ms), "8s", 0, HOUR, NULL, "The longest wait for a retry, also when a provider asks for more (`retry-after`): then its answer is passed on."},
{"reliability.first_event", CONFIG_DURATION, IN(reliability.first_event_ms), "5s", 0, HOUR, NULL, "So long the head of a stream waits for its first event, which may be an error that another attempt can mend; 0: not at all."},

{"routes", CONFIG_ITEMS, 0, NULL, 0, 0, NULL,
 "Which targets a requested model may use; the first line that matches. Without this key: `auto` goes by complexity (simple prompts to the nearest zone first, complex ones to the farthest first), every other model to the targets that take it, the farthest zone first."},
{"routes[].model", CONFIG_LIST, ROUTE(models), config_required, 0, 0, NULL, "A pattern or a list of them: `auto`, `gpt-*`, `*`."},
{"routes[].to", CONFIG_LIST, ROUTE(to), NULL, 0, 0, NULL, "Targets in the order to try. Either this or the three tiers."},
{"routes[].simple", CONFIG_LIST, ROUTE(tiers[GW_TIER_SIMPLE]), NULL, 0, 0, NULL, "Targets for simple prompts, in the order to try."},
{"routes[].moderate", CONFIG_LIST, ROUTE(tiers[GW_TIER_MODERATE]), NULL, 0, 0, NULL, "Targets for moderate prompts. A tier without a target that may be used takes the next harder one's, then the easier one's."},
{"routes[].complex", CONFIG_LIST, ROUTE(tiers[GW_TIER_COMPLEX]), NULL, 0, 0, NULL, "Targets for complex prompts."},
{"routes[].on_conflict", CONFIG_ENUM, ROUTE(on_conflict), "reroute", 0, 0, conflicts,
 "When policy forbids all of these targets: `reroute` to any target in an allowed zone, or `refuse` with 403."},
{"aliases", CONFIG_PAIRS, IN(aliases), NULL, 0, 0, NULL, "`requested: meant` model names, replaced before routing."},

{"policy", CONFIG_ITEMS, 0, NULL, 0, 0, NULL,
 "What happens to findings and requests (docs/policy.md). Each finding, and the request as a whole, takes the first line that matches it; the results are combined. Without this key: the built-in policy."},
{"policy[].name", CONFIG_STRING, LINE(name), config_required, 0, 0, NULL, "In records, headers and messages."},
{"policy[].when", CONFIG_SECTION, 0, NULL, 0, 0, NULL, "All that is said must hold. Without class, rule, confidence, severity and count the line is about requests, not findings."},
{"policy[].when.class", CONFIG_CLASSES, LINE(classes), NULL, 0, 0, NULL, "One or a list of: secret, pii, phi, financial, source_code, confidential, injection."},
{"policy[].when.rule", CONFIG_LIST, LINE(rules), NULL, 0, 0, NULL, "Rule ids or patterns, `aws-*`."},
{"policy[].when.group", CONFIG_LIST, LINE(groups), NULL, 0, 0, NULL, "The caller is in one of these groups."},
{"policy[].when.user", CONFIG_LIST, LINE(users), NULL, 0, 0, NULL, "Patterns of the caller's key name."},
{"policy[].when.model", CONFIG_LIST, LINE(models), NULL, 0, 0, NULL, "Patterns of the requested model."},
{"policy[].when.key", CONFIG_LIST, LINE(keys), NULL, 0, 0, NULL, "Patterns of the name or the id of the caller's key."},
{"policy[].when.team", CONFIG_LIST, LINE(teams), NULL, 0, 0, NULL, "Patterns of the caller's team."},
{"policy[].when.target", CONFIG_LIST, LINE(targets), NULL, 0, 0, NULL, "Patterns of targets (and of intercepted hosts): the line is about what would go there. `block` keeps it away from them, edits hold there."},
{"policy[].when.field", CONFIG_WORDS, LINE(fields), NULL, 0, 0, fields, "Where the finding stands."},
{"policy[].when.view", CONFIG_WORDS, LINE(views), NULL, 0, 0, views, "In which form the text held it: `plain`, or what had to be undone to see it."},
{"policy[].when.media", CONFIG_WORDS, LINE(media), NULL, 0, 0, media, "The request holds one of these beside texts: nobody can look into an image for what is sensitive."},
{"policy[].when.time", CONFIG_SECTION, 0, NULL, 0, 0, NULL, "Hours of the week."},
{"policy[].when.time.days", CONFIG_LIST, LINE(days), NULL, 0, 0, NULL, "Days and ranges of days: `mon-fri`, `[sat, sun]`. Without this key: every day."},
{"policy[].when.time.hours", CONFIG_STRING, LINE(hours), "", 0, 0, NULL, "From and to, `08:00-18:00`. Past midnight when the end is earlier: then the day is the one that it begins on. Without this key: all day."},
{"policy[].when.time.zone", CONFIG_STRING, LINE(zone), "", 0, 0, NULL, "A time zone of the system, `Europe/Berlin`, or an offset, `+02:00`. Without this key: UTC."},
{"policy[].when.confidence", CONFIG_AT_LEAST, LINE(min_confidence), "0", 0, 100, NULL, "At least this confidence: `\">=60\"` or 60."},
{"policy[].when.severity", CONFIG_SEVERITY, LINE(min_severity), "info", 0, 0, NULL, "At least this severity: info, low, medium, high, critical."},
{"policy[].when.count", CONFIG_AT_LEAST, LINE(min_count), "0", 0, 10000, NULL, "At least so many findings of this line in the request."},
{"policy[].then", CONFIG_ACTION, LINE(action), config_required, 0, 0, NULL,
 "An action (allow, alert, coach, mask, tokenize, redact, block), or a mapping with zone."},
{"policy[].then.zone", CONFIG_ZONES, LINE(zones), NULL, 0, 0, NULL, "It may go to these zones only: one or a list of process, private, approved."},
{"policy[].then.action", CONFIG_ACTION, LINE(action), NULL, 0, 0, NULL, "The action beside the zone limit."},
{"policy[].then.else", CONFIG_ACTION, LINE(else_action), NULL, 0, 0, NULL, "The action when no target lies in these zones, instead of the limit. Without this key the request is refused."},
{"policy[].then.unless", CONFIG_ENUM, LINE(unless), "never", 0, 0, unlesses, "With action: block: `justified` lets a request pass as `coach` that says why in the field x-sluice-justification."},
{"policy[].then.style", CONFIG_ENUM, LINE(style), "name", 0, 0, styles, "With action: tokenize: what stands for the value: `name` (`DLP_EMAIL_7QK2M4XA`), or `shape`: a value of the same kind that is nobody's (`u7qk2m4xa@example.invalid`)."},
{"policy[].then.pin", CONFIG_ENUM, LINE(pin), "conversation", 0, 0, pins, "With zone, of a line about findings: `conversation` keeps what follows in the same conversation in these zones, too; `off`: each request is judged alone."},
{"policy[].mode", CONFIG_ENUM, LINE(mode), "enforce", 0, 0, line_modes, "`monitor`: the line changes nothing, and what it would do is recorded. `off`: as if it was not there."},
{"policy[].message", CONFIG_STRING, LINE(message), "", 0, 0, NULL, "Told to whom it concerns, when it blocks or coaches: in the error, and in the header x-sluice-message."},
{"policy[].appeal", CONFIG_STRING, LINE(appeal), "", 0, 0, NULL, "Where to turn to, a URL or a text; told with the message."},
{"policy[].scope", CONFIG_ENUM, LINE(scope), "leaving", 0, 0, scopes, "Edits (mask, tokenize, redact) hold for text that is `leaving` the process, or `always`."},
{"policy[].on", CONFIG_ENUM, LINE(on), "request", 0, 0, directions,
 "What the line is about: findings in the `request`, in the `response` while it streams, or `both`. In answers tokenize counts as redact and coach as alert; `zone` and `count` are about requests."},
{"conversations", CONFIG_SECTION, 0, NULL, 0, 0, NULL, "Conversations that a line with `then.pin: conversation` keeps in its zones."},
{"conversations.ttl", CONFIG_DURATION, IN(conversations.ttl_ms), "24h", SEC, 30 * DAY, NULL, "For how long after their last request. Kept in memory: a restart forgets them, and each gateway has its own."},
{"default", CONFIG_ACTION, IN(default_action), "allow", 0, 0, NULL, "What happens to findings in requests that no line matches; in answers nothing does."},
{"mode", CONFIG_ENUM, IN(mode), "enforce", 0, 0, policy_modes, "`monitor`: no line of `policy` is enforced, and what would have happened is recorded (docs/policy.md)."},
{"simulate", CONFIG_PATH, IN(simulate), "", 0, 0, NULL, "A YAML file with `policy` and perhaps `default`: each request is judged by it, too, and where it would have decided otherwise the record says so. Nothing of it is done."},
{"allowlist", CONFIG_ITEMS, 0, NULL, 0, 0, NULL, "Findings that are none. All that an entry says must hold; what it takes away is recorded as allowed. Needs one of value, value_hmac, regex, rule and path."},
{"allowlist[].id", CONFIG_STRING, ALLOW(id), "", 0, 0, NULL, "Its name in records. Without this key: its file and line."},
{"allowlist[].value", CONFIG_STRING, ALLOW(value), "", 0, 0, NULL, "The found value itself, all of it."},
{"allowlist[].value_hmac", CONFIG_STRING, ALLOW(value_hmac), "", 0, 0, NULL, "The value's HMAC as records of findings have it (`unmapped.sluice.value_hmac`): so that it need not be written down. Holds for one gateway's key."},
{"allowlist[].regex", CONFIG_STRING, ALLOW(regex), "", 0, 0, NULL, "A pattern, as rules have them, of the whole value."},
{"allowlist[].rule", CONFIG_LIST, ALLOW(rules), NULL, 0, 0, NULL, "Rule ids or patterns."},
{"allowlist[].path", CONFIG_LIST, ALLOW(paths), NULL, 0, 0, NULL, "Patterns of where it stands, as records have it: `/metadata/*`, `path`, `query string`."},
{"allowlist[].user", CONFIG_LIST, ALLOW(users), NULL, 0, 0, NULL, "Patterns of the caller's name."},
{"allowlist[].group", CONFIG_LIST, ALLOW(groups), NULL, 0, 0, NULL, "The caller is in one of these groups."},
{"allowlist[].key", CONFIG_LIST, ALLOW(keys), NULL, 0, 0, NULL, "Patterns of the name or the id of the caller's key."},
{"allowlist[].owner", CONFIG_STRING, ALLOW(owner), config_required, 0, 0, NULL, "Who answers for it."},
{"allowlist[].expires", CONFIG_DATE, ALLOW(expires_ms), config_required, 0, 0, NULL, "The last day on which it holds (UTC). `serve --check` and the log say which end within 14 days."},
{"allowlist[].reason", CONFIG_STRING, ALLOW(reason), "", 0, 0, NULL, "Why these are no findings."},
{"allowlist_file", CONFIG_PATH, IN(allow.file), "", 0, 0, NULL, "A YAML file with more of them under `allowlist:`. Read anew when it changes; `sluice dlp allow` and POST /api/allow write there."},
{"complexity", CONFIG_SECTION, 0, NULL, 0, 0, NULL, "Where a prompt's score (0 to 100) parts the tiers; `sluice policy test` prints scores."},
{"complexity.moderate_from", CONFIG_UINT, IN(complexity.moderate_from), "25", 0, 101, NULL, "Prompts from this score on are moderate."},
{"complexity.complex_from", CONFIG_UINT, IN(complexity.complex_from), "50", 0, 101, NULL, "Prompts from this score on are complex; 101: none."},

{"dlp", CONFIG_SECTION, 0, NULL, 0, 0, NULL, "The scan of what leaves."},
{"dlp.rules", CONFIG_PATHS, IN(dlp.rules), "builtin", 0, 0, NULL, "Rules, all in one set: `builtin`, YAML files and folders, built `.so` files. A rule in YAML takes the place of a built one with its id."},
{"dlp.native", CONFIG_ENUM, IN(dlp.native), "auto", 0, 0, natives, "`auto`: rules from YAML are compiled in the background where re2c and cc are installed, and run in an interpreter until then; `off`: they stay there."},
{"dlp.report_from", CONFIG_UINT, IN(dlp.report_from), "40", 1, 100, NULL, "Findings below this confidence are dropped."},
{"dlp.on_error", CONFIG_ENUM, IN(dlp.on_error), "block", 0, 0, on_errors, "When a scan cannot finish: `block`, or `allow` the request unscanned (the record says so)."},
{"dlp.timeout", CONFIG_DURATION, IN(dlp.timeout_ms), "10s", 0, HOUR, NULL, "What the scan of a request may take, and that of an answer, all its pieces together; then it counts as one that cannot finish (`dlp.on_error`; an answer ends), and the record says `timed_out`. 0: no limit."},
{"dlp.on_cut", CONFIG_ENUM, IN(dlp.on_cut), "block", 0, 0, on_errors, "When encoded text is nested or piled up beyond what the scan decodes (docs/detection.md): `block`, or `allow` it (the record says so)."},
{"dlp.placeholders", CONFIG_ENUM, IN(dlp.placeholders), "conversation", 0, 0, placeholders, "The same value gets the same placeholder in every turn of a `conversation`, told by its first message, or in all that one `caller` sends. Never for two callers."},

{"limits", CONFIG_SECTION, 0, NULL, 0, 0, NULL, "What a client may ask for."},
{"limits.max_body", CONFIG_BYTES, IN(limits.max_body), "32MiB", 1024, 1024 * MIB, NULL, "A larger request body is answered with 413."},
{"limits.max_header", CONFIG_BYTES, IN(limits.max_header), "64KiB", 1024, MIB, NULL, "All header fields of a request."},
{"limits.max_request_line", CONFIG_BYTES, IN(limits.max_request_line), "8KiB", 256, 64 << 10, NULL, "The request line, and each header field."},
{"limits.max_connections", CONFIG_UINT, IN(limits.max_connections), "10000", 1, 1000000, NULL, "Client connections at once, over all workers."},
{"limits.max_connections_per_client", CONFIG_UINT, IN(limits.max_connections_per_client), "0", 0, 1000000, NULL,
 "Of them from one address (IPv6: from one /64 network); 0: a half. Behind a load balancer all clients are one address: set max_connections."},
{"limits.max_memory", CONFIG_BYTES, IN(limits.max_memory), "0", 0, (int64_t)1 << 50, NULL,
 "Memory that requests and answers may hold together; beyond it a new one is answered with 503 and Retry-After. A byte of a body counts as four. 0: a half of the machine's, or of its control group's."},
{"limits.max_memory_per_client", CONFIG_BYTES, IN(limits.max_memory_per_client), "0", 0, (int64_t)1 << 50, NULL,
 "Of it for the requests of one address, beyond it 429; 0: a half."},
{"limits.header_timeout", CONFIG_DURATION, IN(limits.header_ms), "10s", 10, HOUR, NULL, "From a request's first byte to the end of its header."},
{"limits.body_timeout", CONFIG_DURATION, IN(limits.body_ms), "60s", 10, HOUR, NULL, "Between two pieces of a request body."},
{"limits.idle_timeout", CONFIG_DURATION, IN(limits.idle_ms), "75s", 10, DAY, NULL, "A connection without a request is closed after this."},
{"limits.request_timeout", CONFIG_DURATION, IN(limits.request_ms), "10m", 10, DAY, NULL, "A whole request, answer included."},

{"budgets", CONFIG_ITEMS, 0, NULL, 0, 0, NULL,
 "How much callers may use (docs/limits.md). Every budget that matches a request must have room for it. Without this key: no limits."},
{"budgets[].name", CONFIG_STRING, BUDGET(name), config_required, 0, 0, NULL, "In answers, records and metrics; counters are kept by it, so a budget that is renamed begins anew. Letters, digits, '.', '_', '-'."},
{"budgets[].per", CONFIG_ENUM, BUDGET(per), "all", 0, 0, pers, "Each key, user, team, model or target has the budget for itself; `all`: they share it."},
{"budgets[].match", CONFIG_SECTION, 0, NULL, 0, 0, NULL, "Which requests it is about. All that is said must hold; without this key: every request."},
{"budgets[].match.key", CONFIG_LIST, BUDGET(keys), NULL, 0, 0, NULL, "Ids of keys, or patterns."},
{"budgets[].match.user", CONFIG_LIST, BUDGET(users), NULL, 0, 0, NULL, "Names of users, or patterns."},
{"budgets[].match.team", CONFIG_LIST, BUDGET(teams), NULL, 0, 0, NULL, "Teams, or patterns."},
{"budgets[].match.model", CONFIG_LIST, BUDGET(models), NULL, 0, 0, NULL, "Models as they are asked for (after `aliases`), or patterns."},
{"budgets[].match.target", CONFIG_LIST, BUDGET(targets), NULL, 0, 0, NULL, "Targets that answer, or patterns."},
{"budgets[].requests", CONFIG_STRING, BUDGET(texts[ROUTER_BUDGET_REQUESTS]), "", 0, 0, NULL, "`600 / minute`. Windows: second, minute, hour, day, week, month, or a span such as 15m or 5h; on the UTC calendar."},
{"budgets[].tokens", CONFIG_STRING, BUDGET(texts[ROUTER_BUDGET_TOKENS]), "", 0, 0, NULL, "`2000000 / day` (or 2M): of prompts and answers together."},
{"budgets[].cost", CONFIG_STRING, BUDGET(texts[ROUTER_BUDGET_COST]), "", 0, 0, NULL, "`50.00 / month`, in the currency of `prices`."},
{"budgets[].concurrency", CONFIG_UINT, BUDGET(concurrency), "0", 0, 10000000, NULL, "Requests at once; 0: no limit."},
{"accounting", CONFIG_SECTION, 0, NULL, 0, 0, NULL, "What a request is taken to need before it has used anything; afterwards what it did use counts."},
{"accounting.bytes_per_token", CONFIG_UINT, IN(accounting.bytes_per_token), "3", 1, 16, NULL, "So many bytes of prompt are one token. No tokenizer makes more than one token of a byte, so with 1 a prompt never needs more than it reserved."},
{"accounting.answer_tokens", CONFIG_UINT, IN(accounting.answer_tokens), "4096", 1, 10000000, NULL, "Reserved for the answer of a request that gives no limit of its own (max_tokens); a stream that goes on reserves as much again, or ends when the budget has no more."},
{"accounting.cap_answers", CONFIG_BOOL, IN(accounting.cap_answers), "false", 0, 0, NULL, "Where a budget counts tokens or money: a request that gives no limit of its own is sent with one, answer_tokens, so that no answer is longer than what was reserved. Intercepted requests are not changed."},
{"accounting.unknown_price", CONFIG_ENUM, IN(accounting.unknown_price), "refuse", 0, 0, unknown_prices, "A budget of money, and a model that `prices` does not know: `refuse` with 503, or `free`. Models in this process are always free."},

{"redis", CONFIG_SECTION, 0, NULL, 0, 0, NULL, "Where several gateways share what their budgets count. Without this key each counts for itself."},
{"redis.url", CONFIG_STRING, IN(redis.url), "", 0, 0, NULL, "`redis://host:6379/0`. Plain TCP: for TLS put a tunnel such as stunnel in between."},
{"redis.user", CONFIG_STRING, IN(redis.user), "", 0, 0, NULL, "Of Redis' access lists; without it the default user."},
{"redis.password", CONFIG_SECRET, IN(redis.password), NULL, 0, 0, NULL, "`file:PATH` or `env:NAME`. Without this key: none is sent."},
{"redis.prefix", CONFIG_STRING, IN(redis.prefix), "sluice", 0, 0, NULL, "Begins the name of every key, so that several fleets can use one Redis."},
{"redis.timeout", CONFIG_DURATION, IN(redis.timeout_ms), "500ms", 10, 30 * SEC, NULL, "An answer that takes longer counts as none: the connection is made anew."},
{"redis.on_unavailable", CONFIG_ENUM, IN(redis.on_unavailable), "refuse", 0, 0, unavailables, "While Redis is away: `refuse` requests that have a budget with 503, or count `local`ly, from what was known last."},
{"redis.share", CONFIG_UINT, IN(redis.share), "1", 1, 1000, NULL, "With `local`: each gateway may use one part in so many of what was left. The number of gateways keeps limits exact."},

{"auth", CONFIG_SECTION, 0, NULL, 0, 0, NULL, "Who may use the gateway port."},
{"auth.required", CONFIG_BOOL, IN(auth.required), "true", 0, 0, NULL, "Callers need a key of `sluice keys create`, a token of `auth.jwt`, or a certificate that `auth.mtls` knows."},
{"auth.keys", CONFIG_PATH, IN(auth.keys), "", 0, 0, NULL, "The keys database; without it STATE_DIR/state.db."},
{"auth.jwt", CONFIG_ITEMS, 0, NULL, 0, 0, NULL, "Who signs tokens (JWT) that count like a key (docs/identity.md)."},
{"auth.jwt[].issuer", CONFIG_STRING, JWT(issuer), config_required, 0, 0, NULL, "The token's `iss`, exactly."},
{"auth.jwt[].audience", CONFIG_LIST, JWT(audience), config_required, 0, 0, NULL, "One of these must be in the token's `aud`."},
{"auth.jwt[].jwks", CONFIG_STRING, JWT(jwks), config_required, 0, 0, NULL, "The issuer's keys: an https:// URL (http:// on loopback only), or `file:PATH`."},
{"auth.jwt[].algorithms", CONFIG_WORDS, JWT(algorithms), "RS256", 0, 0, algorithms, "The signatures that are accepted."},
{"auth.jwt[].ca", CONFIG_PATH, JWT(ca), "", 0, 0, NULL, "PEM file of the certificates to trust for the URL; without it the system's."},
{"auth.jwt[].leeway", CONFIG_DURATION, JWT(leeway_ms), "30s", 0, 600 * SEC, NULL, "How far clocks may differ for `exp`, `nbf` and `iat`."},
{"auth.jwt[].refresh", CONFIG_DURATION, JWT(refresh_ms), "10m", SEC, DAY, NULL, "How often the keys are fetched; a key id that is not known fetches them sooner, at most every ten seconds."},
{"auth.jwt[].max_stale", CONFIG_DURATION, JWT(stale_ms), "24h", SEC, 30 * DAY, NULL, "How long the last good keys are used when they cannot be fetched; then tokens are answered with 503."},
{"auth.jwt[].claims", CONFIG_SECTION, 0, NULL, 0, 0, NULL, "Which claims say what; `a.b`: member b of claim a."},
{"auth.jwt[].claims.user", CONFIG_STRING, JWT(claim_user), "sub", 0, 0, NULL, "The user; a token without it is refused."},
{"auth.jwt[].claims.owner", CONFIG_STRING, JWT(claim_owner), "", 0, 0, NULL, "The tenant."},
{"auth.jwt[].claims.team", CONFIG_STRING, JWT(claim_team), "", 0, 0, NULL, "The caller's team."},
{"auth.jwt[].claims.groups", CONFIG_STRING, JWT(claim_groups), "", 0, 0, NULL, "A list of groups, or one text with blanks between them."},
{"auth.jwt[].claims.models", CONFIG_STRING, JWT(claim_models), "", 0, 0, NULL, "Patterns of the models that may be asked for. A token without the claim is refused."},
{"auth.jwt[].owner", CONFIG_STRING, JWT(grants.owner), "", 0, 0, NULL, "The tenant of all its tokens, unless a claim says it."},
{"auth.jwt[].team", CONFIG_STRING, JWT(grants.team), "", 0, 0, NULL, "The team, unless a claim says it."},
{"auth.jwt[].groups", CONFIG_LIST, JWT(grants.groups), NULL, 0, 0, NULL, "Groups of all its tokens, beside those of the claim."},
{"auth.jwt[].models", CONFIG_LIST, JWT(grants.models), NULL, 0, 0, NULL, "Patterns of the models that may be asked for; with `claims.models` the claim counts instead."},
{"auth.jwt[].targets", CONFIG_LIST, JWT(grants.targets), NULL, 0, 0, NULL, "Patterns of the targets that may answer."},
{"auth.jwt[].networks", CONFIG_NETS, JWT(grants.networks), NULL, 0, 0, NULL, "Where tokens may come from."},
{"auth.mtls", CONFIG_ITEMS, 0, NULL, 0, 0, NULL, "Whose a client certificate is: the first line that matches. A certificate that matches none may do nothing."},
{"auth.mtls[].cn", CONFIG_LIST, MTLS(names[PROXY_CERT_CN]), NULL, 0, 0, NULL, "Patterns of the subject's common name."},
{"auth.mtls[].email", CONFIG_LIST, MTLS(names[PROXY_CERT_EMAIL]), NULL, 0, 0, NULL, "Patterns of e-mail addresses (subjectAltName)."},
{"auth.mtls[].dns", CONFIG_LIST, MTLS(names[PROXY_CERT_DNS]), NULL, 0, 0, NULL, "Patterns of DNS names (subjectAltName)."},
{"auth.mtls[].uri", CONFIG_LIST, MTLS(names[PROXY_CERT_URI]), NULL, 0, 0, NULL, "Patterns of URIs (subjectAltName): `spiffe://example.org/agents/*`."},
{"auth.mtls[].org", CONFIG_LIST, MTLS(org), NULL, 0, 0, NULL, "Patterns of the subject's organisation."},
{"auth.mtls[].unit", CONFIG_LIST, MTLS(unit), NULL, 0, 0, NULL, "Patterns of the subject's organisational unit."},
{"auth.mtls[].user_from", CONFIG_ENUM, MTLS(user_from), "cn", 0, 0, cert_fields, "Which name becomes the user: the first that matched."},
{"auth.mtls[].user", CONFIG_STRING, MTLS(user), "", 0, 0, NULL, "The user, instead of a name of the certificate."},
{"auth.mtls[].owner", CONFIG_STRING, MTLS(grants.owner), "", 0, 0, NULL, "The tenant."},
{"auth.mtls[].team", CONFIG_STRING, MTLS(grants.team), "", 0, 0, NULL, "The caller's team."},
{"auth.mtls[].groups", CONFIG_LIST, MTLS(grants.groups), NULL, 0, 0, NULL, "Groups in policy."},
{"auth.mtls[].models", CONFIG_LIST, MTLS(grants.models), NULL, 0, 0, NULL, "Patterns of the models that may be asked for."},
{"auth.mtls[].targets", CONFIG_LIST, MTLS(grants.targets), NULL, 0, 0, NULL, "Patterns of the targets that may answer."},
{"auth.mtls[].networks", CONFIG_NETS, MTLS(grants.networks), NULL, 0, 0, NULL, "Where it may come from."},

{"admin", CONFIG_SECTION, 0, NULL, 0, 0, NULL, "The admin port (docs/identity.md)."},
{"admin.open", CONFIG_LIST, IN(admin.open), NULL, 0, 0, NULL,
 "Paths that need no admin key; of those that show state only. Without this key: /healthz, /readyz and /metrics. Everything else takes a key of `sluice keys create --role`."},

{"audit", CONFIG_SECTION, 0, NULL, 0, 0, NULL, "The ledger."},
{"audit.spool", CONFIG_PATH, IN(audit.spool), "", 0, 0, NULL, "Folder of the spool; without it STATE_DIR/spool."},
{"audit.durability", CONFIG_ENUM, IN(audit.durability), "disk", 0, 0, durabilities, "`disk`: a decision is synced before the request leaves. `process`: written, survives kill -9 but not a power loss."},
{"audit.on_full", CONFIG_ENUM, IN(audit.on_full), "reject", 0, 0, on_fulls, "When the spool is at its cap: `reject` requests with 503, or `continue` without a record."},
{"audit.max_spool", CONFIG_BYTES, IN(audit.max_spool), "8GiB", 8 * MIB, (int64_t)1 << 50, NULL, "The spool's cap."},
{"audit.segment", CONFIG_BYTES, IN(audit.segment), "64MiB", MIB, 1024 * MIB, NULL, "Size of one spool file."},
{"audit.retain", CONFIG_DURATION, IN(audit.retain_ms), "7d", 0, 3650 * DAY, NULL, "Delivered records stay that long while the spool is below its cap."},
{"audit.checkpoints", CONFIG_DURATION, IN(audit.checkpoint_ms), "10s", 0, HOUR, NULL, "How often a chain with new records is signed (`sluice audit verify`), at the latest every 1,000 records. 0: never."},
{"audit.payload", CONFIG_ITEMS, 0, NULL, 0, 0, NULL, "What records hold of what was asked and answered (docs/audit.md): the first line for which all holds that it says. Without a line: `hmac`."},
{"audit.payload[].when", CONFIG_SECTION, 0, NULL, 0, 0, NULL, "All that is said must hold. Without it the line is about every request."},
{"audit.payload[].when.team", CONFIG_LIST, PAYLOAD(teams), NULL, 0, 0, NULL, "Patterns of the caller's team."},
{"audit.payload[].when.user", CONFIG_LIST, PAYLOAD(users), NULL, 0, 0, NULL, "Patterns of the caller's key name."},
{"audit.payload[].when.group", CONFIG_LIST, PAYLOAD(groups), NULL, 0, 0, NULL, "The caller is in one of these groups."},
{"audit.payload[].when.key", CONFIG_LIST, PAYLOAD(keys), NULL, 0, 0, NULL, "Patterns of the name or the id of the caller's key."},
{"audit.payload[].when.model", CONFIG_LIST, PAYLOAD(models), NULL, 0, 0, NULL, "Patterns of the requested model."},
{"audit.payload[].when.target", CONFIG_LIST, PAYLOAD(targets), NULL, 0, 0, NULL, "Patterns of the target (or intercepted host) that the decision puts first."},
{"audit.payload[].level", CONFIG_ENUM, PAYLOAD(level), config_required, 0, 0, payload_levels, "`none`: no value at all. `hmac`: a keyed fingerprint of each finding and of the body. `masked`: also what a finding looks like, masked; never of secrets. `sealed`: fingerprints, and both texts, encrypted to auditor_key."},
{"audit.max_payload", CONFIG_BYTES, IN(audit.max_payload), "32KiB", 1024, 64 << 10, NULL, "So much of a request, and of its answer, is sealed; the record says how long it was."},
{"audit.auditor_key", CONFIG_PATH, IN(audit.auditor_key), "", 0, 0, NULL, "PEM file with the auditor's public key (X25519). What is sealed can be read with the secret one only (`sluice audit open`)."},
{"audit.subject_keys", CONFIG_PATH, IN(audit.subject_keys), "", 0, 0, NULL, "File with a key for each user whose texts are sealed, wrapped for the auditor (`sluice audit erase`); without it STATE_DIR/subject.keys."},
{"audit.payload_keep", CONFIG_DURATION, IN(audit.payload_keep_ms), "0", 0, 3650 * DAY, NULL, "Sealed texts can be opened for so long, at least a day and an eighth longer at most; then the keys are destroyed, as `sluice audit erase` does it, and their places in the file are used again. 0: until they are erased."},
{"audit.witness", CONFIG_SECTION, 0, NULL, 0, 0, NULL, "Who cosigns the newest checkpoint of each chain, beside the request path (C2SP tlog-witness, docs/audit.md)."},
{"audit.witness.url", CONFIG_STRING, IN(audit.witness_url), "", 0, 0, NULL, "`https://` address of the witness, in front of `/add-checkpoint`. Empty: none. `http://` for this machine only."},
{"audit.witness.ca", CONFIG_PATH, IN(audit.witness_ca), "", 0, 0, NULL, "PEM file of the certificates to trust for it; without it the system's."},
{"audit.kafka", CONFIG_SECTION, 0, NULL, 0, 0, NULL, "Where the records go; without brokers they stay in the spool."},
{"audit.kafka.brokers", CONFIG_STRING, IN(audit.kafka_brokers), "", 0, 0, NULL, "host:port, several with commas."},
{"audit.kafka.topic", CONFIG_STRING, IN(audit.kafka_topic), "ai.audit.v1", 0, 0, NULL, "The topic that the records go to."},
{"audit.kafka.checkpoints", CONFIG_STRING, IN(audit.kafka_checkpoints), "ai.audit.checkpoints", 0, 0, NULL, "The topic that the signed checkpoints go to, once the records that they cover are delivered. Empty: none."},
{"audit.kafka.partitions", CONFIG_UINT, IN(audit.kafka_partitions), "1", 0, 10000, NULL, "Of the topic, when it is not there and the gateway makes it. 0: it makes none."},
{"audit.kafka.replication", CONFIG_UINT, IN(audit.kafka_replication), "0", 0, 100, NULL, "Copies of a topic that the gateway makes; 0: the brokers' default."},
{"audit.kafka.properties", CONFIG_PROPERTIES, IN(audit.kafka_properties), NULL, 0, 0, NULL, "Further librdkafka settings, `name: value`."},
{"audit.sinks", CONFIG_ITEMS, 0, NULL, 0, 0, NULL, "Other places that the records go to, each from its own place in the spool (docs/sinks.md)."},
{"audit.sinks[].name", CONFIG_STRING, SINK(name), config_required, 0, 0, NULL, "1 to 32 of a-z, 0-9, _ and -; of its cursor and its metrics. Another name is another sink, which begins with what the spool still has."},
{"audit.sinks[].kind", CONFIG_ENUM, SINK(kind), config_required, 0, 0, sink_kinds, "What it is."},
{"audit.sinks[].path", CONFIG_PATH, SINK(path), "", 0, 0, NULL, "`file`: JSON lines are appended here; opened anew on SIGHUP."},
{"audit.sinks[].sync", CONFIG_BOOL, SINK(sync), "true", 0, 0, NULL, "`file`: a batch is on the disk before it counts as delivered. `false`: a power loss may take lines."},
{"audit.sinks[].url", CONFIG_URL, SINK(url), NULL, 0, 0, NULL, "`splunk`: where the event collector is (https://host:8088); `elastic`: the cluster; `webhook`: where to POST. http:// on loopback only."},
{"audit.sinks[].address", CONFIG_STRING, SINK(address), "", 0, 0, NULL, "`syslog`: host:port; IPv6 in brackets."},
{"audit.sinks[].tls", CONFIG_BOOL, SINK(tls), "true", 0, 0, NULL, "`syslog`: TLS (RFC 5425). `false`: plain TCP, on loopback only."},
{"audit.sinks[].token", CONFIG_SECRET, SINK(token), NULL, 0, 0, NULL, "`splunk`: the token; `elastic`: an API key, or with `user` the password; `webhook`: sent as Bearer, or with `user` as Basic."},
{"audit.sinks[].user", CONFIG_STRING, SINK(user), "", 0, 0, NULL, "`elastic`, `webhook`: the user whose password `token` is."},
{"audit.sinks[].index", CONFIG_STRING, SINK(index), "", 0, 0, NULL, "`elastic`: index or data stream; `splunk`: index, without it the token's."},
{"audit.sinks[].format", CONFIG_ENUM, SINK(format), "json", 0, 0, sink_formats, "`webhook`: the body is a JSON array, or a record a line."},
{"audit.sinks[].ca", CONFIG_PATH, SINK(ca), "", 0, 0, NULL, "PEM file of the issuers to trust; without it the system's."},
{"audit.sinks[].cert", CONFIG_PATH, SINK(cert), "", 0, 0, NULL, "PEM file of a client certificate, with its chain."},
{"audit.sinks[].cert_key", CONFIG_PATH, SINK(cert_key), "", 0, 0, NULL, "PEM file of its private key."},
{"audit.sinks[].facility", CONFIG_UINT, SINK(facility), "13", 0, 23, NULL, "`syslog`: 13 is \"log audit\"; 16 to 23 are local0 to local7."},
{"audit.sinks[].max_message", CONFIG_BYTES, SINK(max_message), "64KiB", 2048, MIB, NULL, "`syslog`: a longer message is cut, and says so."},
{"audit.sinks[].records", CONFIG_WORDS, SINK(records), NULL, 0, 0, record_classes, "Only these; without it all."},
{"audit.sinks[].batch", CONFIG_SECTION, 0, NULL, 0, 0, NULL, "A batch goes when one of these is reached."},
{"audit.sinks[].batch.records", CONFIG_UINT, SINK(batch_records), "1000", 1, 10000, NULL, "So many records at most."},
{"audit.sinks[].batch.bytes", CONFIG_BYTES, SINK(batch_bytes), "1MiB", 1024, 16 * MIB, NULL, "Their bytes."},
{"audit.sinks[].batch.every", CONFIG_DURATION, SINK(batch_ms), "1s", 0, 60 * SEC, NULL, "Time since its first record."},
{"audit.sinks[].timeout", CONFIG_DURATION, SINK(timeout_ms), "30s", SEC, 300 * SEC, NULL, "How long one delivery may take."},
{"audit.sinks[].on_full", CONFIG_ENUM, SINK(on_full), "hold", 0, 0, sink_on_fulls, "When the spool is 90 % full: `hold` what this sink has not got, until `audit.on_full` stops requests; or `skip` it, with a record that says how much."},

{"intercept", CONFIG_SECTION, 0, NULL, 0, 0, NULL, "The HTTPS proxy: what it reads, passes on, and refuses."},
{"intercept.ca_dir", CONFIG_PATH, IN(intercept.ca_dir), "", 0, 0, NULL, "Folder of the CA that `sluice ca init` made; without it STATE_DIR/ca."},
{"intercept.hosts", CONFIG_SECTION, 0, NULL, 0, 0, NULL, "Host suffixes (`openai.com` covers its subdomains). The longest suffix wins; then deny, bump, splice."},
{"intercept.hosts.bump", CONFIG_HOSTS, IN(intercept.bump), "ai-hosts", 0, 0, NULL, "Read and governed. `ai-hosts`: the built-in list of AI services."},
{"intercept.hosts.splice", CONFIG_HOSTS, IN(intercept.splice), NULL, 0, 0, NULL, "Passed on untouched, counted."},
{"intercept.hosts.deny", CONFIG_HOSTS, IN(intercept.deny), NULL, 0, 0, NULL, "Refused with 403."},
{"intercept.default", CONFIG_ENUM, IN(intercept.default_mode), "deny", 0, 0, modes, "All other hosts: `deny`, `splice` or `bump`."},
{"intercept.auth", CONFIG_ENUM, IN(intercept.auth), "none", 0, 0, auths, "`keys`: the proxy asks for a key (407): any user name, the key as password."},
{"intercept.connect_ports", CONFIG_PORTS, IN(intercept.connect_ports), "443", 0, 0, NULL, "Ports that CONNECT may name."},
{"intercept.allow_private", CONFIG_NETS, IN(intercept.allow_private), NULL, 0, 0, NULL, "Private and loopback addresses that intercepted names may resolve to: `10.1.0.0/16`. All others are refused."},
{"intercept.resolve", CONFIG_RESOLVES, IN(intercept.resolve), NULL, 0, 0, NULL, "`host: address` or `host: address:port`, instead of asking the resolver; such an address counts as allowed."},
{"intercept.proxy", CONFIG_URL, IN(intercept.egress.url), NULL, 0, 0, NULL, "`http://host:port` of an HTTP proxy through which intercepted and spliced hosts are reached. It resolves their names, so that `allow_private` counts for literal addresses only."},
{"intercept.proxy_auth", CONFIG_SECRET, IN(intercept.egress.auth), NULL, 0, 0, NULL, "`user:password` for it, `file:PATH` or `env:NAME`."},
{"intercept.upstream_ca", CONFIG_PATH, IN(intercept.upstream_ca), "", 0, 0, NULL, "PEM file of the certificates to trust for intercepted hosts; without it the system's."},

{"prices", CONFIG_SECTION, 0, NULL, 0, 0, NULL, "What tokens cost (docs/costs.md). Without prices the cost of a request is unknown, never 0."},
{"prices.currency", CONFIG_STRING, IN(prices.currency), "USD", 0, 0, NULL, "Of every amount: three capital letters."},
{"prices.file", CONFIG_PATH, IN(prices.file), "", 0, 0, NULL, "A YAML file with more lines: `table:` and, if it says one, the same `currency:`."},
{"prices.compare", CONFIG_STRING, IN(prices.compare), "", 0, 0, NULL, "The model, or `TARGET/MODEL`, at whose prices answers of the engine and of private targets are valued, too. Without this key: the default_model of the first approved target in the complex tier of a route."},
{"prices.table", CONFIG_ITEMS, 0, NULL, 0, 0, NULL, "Prices per million tokens. Of the lines that match, one that names targets comes first, then the one with the longer pattern, then the latest `from`."},
{"prices.table[].target", CONFIG_LIST, PRICE(targets), NULL, 0, 0, NULL, "Patterns of target names. Without this key: every target."},
{"prices.table[].model", CONFIG_LIST, PRICE(models), config_required, 0, 0, NULL, "Patterns of the model that the target is asked for, or says that it is."},
{"prices.table[].from", CONFIG_DATE, PRICE(amounts.from_ms), "1970-01-01", 0, 0, NULL, "The first day, in UTC, on which these prices hold."},
{"prices.table[].input", CONFIG_MONEY, PRICE(amounts.input), config_required, 0, 0, NULL, "A million input tokens."},
{"prices.table[].output", CONFIG_MONEY, PRICE(amounts.output), NULL, 0, 0, NULL, "A million output tokens. Without this key: an answer with output has no known cost."},
{"prices.table[].cached_input", CONFIG_MONEY, PRICE(amounts.cached_input), NULL, 0, 0, NULL, "Input that the provider read from its cache. Without this key: as input."},
{"prices.table[].cache_write", CONFIG_MONEY, PRICE(amounts.cache_write), NULL, 0, 0, NULL, "Input that it wrote to its cache. Without this key: as input."},
{"prices.table[].reasoning", CONFIG_MONEY, PRICE(amounts.reasoning), NULL, 0, 0, NULL, "Output that the model thought and did not say. Without this key: as output."},

{"cache", CONFIG_SECTION, 0, NULL, 0, 0, NULL, "Answers that are given again for the same request (docs/costs.md), from memory. Requests with findings never are."},
{"cache.enabled", CONFIG_BOOL, IN(cache.enabled), "false", 0, 0, NULL, "Keep answers and give them again."},
{"cache.shared", CONFIG_BOOL, IN(cache.shared), "false", 0, 0, NULL, "Share answers with other gateways through `redis.url`, where they stand in plain text until they are too old. While Redis is away, or takes longer than 100 ms, each has its own."},
{"cache.scope", CONFIG_ENUM, IN(cache.scope), "tenant", 0, 0, cache_scopes, "Who shares an answer. Never two tenants; callers without a team have their own with `team`."},
{"cache.when", CONFIG_ENUM, IN(cache.when), "deterministic", 0, 0, cache_whens, "`deterministic`: only requests with temperature 0 or a seed, and embeddings. `always`: also those that would be answered anew each time."},
{"cache.tools", CONFIG_BOOL, IN(cache.tools), "false", 0, 0, NULL, "Also requests with tools: the same question makes the client call the same tool again."},
{"cache.ttl", CONFIG_DURATION, IN(cache.ttl_ms), "1h", SEC, 30 * DAY, NULL, "How old an answer may be."},
{"cache.max_size", CONFIG_BYTES, IN(cache.max_size), "64MiB", MIB, (int64_t)64 << 30, NULL, "Memory for all answers; the least recently used go first."},
{"cache.max_entry", CONFIG_BYTES, IN(cache.max_entry), "256KiB", 1024, 64 * MIB, NULL, "A larger answer is not kept; nor is one above an eighth of max_size."},

{"log", CONFIG_SECTION, 0, NULL, 0, 0, NULL, "Lines on standard error. Never payload."},
{"log.level", CONFIG_ENUM, IN(log.level), "info", 0, 0, levels, "The least level that is written."},
{"log.format", CONFIG_ENUM, IN(log.format), "text", 0, 0, formats, "`text`: `time level event key=value ...`. `json`: one JSON object a line."},
{"log.access", CONFIG_BOOL, IN(log.access), "true", 0, 0, NULL, "One line a request."},

{"workers", CONFIG_UINT, IN(workers), "0", 0, 16, NULL, "Event loops; 0: one a core, at most 16."},
{"drain_delay", CONFIG_DURATION, IN(drain_delay_ms), "0s", 0, HOUR, NULL, "SIGTERM: how long to go on serving as before while `/readyz` says 503, so that load balancers notice; answers close their connections meanwhile."},
{"drain", CONFIG_DURATION, IN(drain_ms), "2m", 0, HOUR, NULL, "SIGTERM: how long running requests may still take."},
{"core_dumps", CONFIG_BOOL, IN(core_dumps), "false", 0, 0, NULL, "Let a crash, or a debugger of the same user, see the memory, which holds prompts and keys. For finding faults only."},
{"state_dir", CONFIG_PATH, IN(state_dir), "", 0, 0, NULL,
 "Keys, spool, CA, models. Without it /var/lib/sluice for root, else ${XDG_STATE_HOME:-~/.local/state}/sluice."},
{"models_dir", CONFIG_PATH, IN(models_dir), "", 0, 0, NULL, "Where relative model paths are looked for too; without it STATE_DIR/models."},
{"models", CONFIG_SECTION, 0, NULL, 0, 0, NULL, "Which models the engine opens (docs/models.md, Manifests)."},
{"models.require_signed", CONFIG_BOOL, IN(models.require_signed), "false", 0, 0, NULL, "Refuse models and adapters without a manifest that one of trusted_keys has signed. `false`: they are opened with a warning. A manifest that is wrong is refused always."},
{"models.trusted_keys", CONFIG_LIST, IN(models.trusted_keys), NULL, 0, 0, NULL, "Public keys of those who may sign: Ed25519, 64 hex digits each, as `sluice models sign` prints them."},
{"instance", CONFIG_STRING, IN(instance), "", 0, 0, NULL, "This gateway's name in records; without it the host's name."},
};
// clang-format on

const unsigned n_config_keys = sizeof(config_keys) / sizeof(config_keys[0]);

const struct config_key *config_key_find(const char *path)
{
    for (unsigned i = 0; i < n_config_keys; i++)
        if (strcmp(config_keys[i].path, path) == 0)
            return &config_keys[i];
    return NULL;
}

/* Damerau-free edit distance of two short words, capped by their lengths. */
static unsigned distance(struct gw_span a, const char *b, size_t n)
{
    unsigned row[49];

    if (a.len > 48 || n > 48)
        return 99;
    for (unsigned j = 0; j <= n; j++)
        row[j] = j;
    for (size_t i = 1; i <= a.len; i++) {
        unsigned diagonal = row[0];

        row[0] = (unsigned)i;
        for (size_t j = 1; j <= n; j++) {
            unsigned above = row[j];
            unsigned best = diagonal + (gw_ascii_lower(a.ptr[i - 1]) != b[j - 1]);

            if (above + 1 < best)
                best = above + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
            diagonal = above;
        }
    }
    return row[n];
}

bool config_key_suggest(const char *prefix, struct gw_span name, char *out, size_t size)
{
    size_t skip = strlen(prefix);
    unsigned best = 1 + (name.len > 5 ? 2 : 1); /* at most 2 edits, 1 in short words */
    bool found = false;

    for (unsigned i = 0; i < n_config_keys; i++) {
        const char *rest = config_keys[i].path;
        unsigned d;

        if (skip > 0 && (strncmp(rest, prefix, skip) != 0 || rest[skip] != '.'))
            continue;
        rest += skip > 0 ? skip + 1 : 0;
        if (rest[strcspn(rest, ".[*")] != '\0')
            continue; /* deeper than the place in question */
        d = distance(name, rest, strlen(rest));
        if (d < best) {
            best = d;
            (void)snprintf(out, size, "%s", rest);
            found = true;
        }
    }
    return found;
}
