/* proxy/config/config_hosts.c - the hosts of AI services behind the word `ai-hosts`.
 *
 * Suffixes: each covers its subdomains; shared apexes such as google.com are left out on purpose. Based on
 * the public-domain (CC0-1.0) list ai.domains.txt of nullgen-inc/ai-blocklist, dated 2026-09-30, reduced
 * to the shortest suffixes, with hosts added that were seen in client traffic. Constant data. */
#include "proxy/config/config_private.h"

// clang-format off
const char *const config_ai_hosts[] = {
    "aiplatform.googleapis.com", "aistudio.google.com", "alkalimakersuite-pa.clients6.google.com",
    "api.anthropic.com", "api.openai.com", "api.together.xyz",
    "appsgenaiserver-pa.clients6.google.com", "assistant.google.com", "assistant.googleapis.com",
    "augmentcode.com", "auth.openai.com", "auth0.openai.com", "bard.google.com", "base44.com",
    "bfl.ai", "bfl.ml", "bolt.new", "bridge.claudeusercontent.com", "c.ai", "caktus.ai",
    "candy.ai", "chai-research.com", "chai.ml", "chaiapp.com", "character.ai", "chat.openai.com",
    "chat.together.ai", "chatglm.cn", "chatgpt.com", "chatpdf.com", "civitai.com", "claude.ai",
    "codeium.com", "codewhisperer.us-east-1.amazonaws.com", "cohere.ai", "cohere.com",
    "consensus.app", "console.anthropic.com", "continue.dev",
    "copilot-proxy.githubusercontent.com", "copilot.cloud.microsoft", "copilot.github.com",
    "copilot.microsoft.com", "copy.ai", "cursor.com", "cursor.sh", "deepseek.com", "devin.ai",
    "dify.ai", "doubao.com", "dreamstudio.ai", "duck.ai", "ecto1usercontent.com", "elevenlabs.io",
    "elicit.com", "factory.ai", "fireflies.ai", "firefly.adobe.com", "fireworks.ai", "gamma.app",
    "gateway.ai.cloudflare.com", "gauthmath.com", "gemini.google.com", "gemini.gstatic.com",
    "generativelanguage.googleapis.com", "genspark.ai", "githubcopilot.com", "grok.com",
    "groq.com", "hailuoai.com", "hailuoai.video", "heygen.com", "hf.co", "hf.space",
    "higgsfield.ai", "huggingface.co", "humata.ai", "ideogram.ai", "janitorai.com", "janitorai.io",
    "jasper.ai", "jenni.ai", "jnn-pa.googleapis.com", "kimi.ai", "kimi.com", "kimi.moonshot.cn",
    "kindroid.ai", "kling.ai", "klingai.com", "krea.ai", "leonardo.ai", "lmarena.ai", "lmsys.org",
    "lovable.dev", "lumalabs.ai", "m365.cloud.microsoft", "magnific.ai", "magnific.com",
    "manus.im", "meta-agents-apps.workers.dev", "meta.ai", "metaaiusercontent.com",
    "midjourney.com", "minimax.chat", "minimax.io", "minimaxi.com", "mistral.ai", "monica.im",
    "moonshot.ai", "muse.ai", "napkin.ai", "nomi.ai", "notebook.google.com",
    "notebooklm-pa.googleapis.com", "notebooklm.google.com", "novelai.net", "oaistatic.com",
    "oaiusercontent.com", "ollama.com", "opa-pa.clients6.google.com", "opa-pa.googleapis.com",
    "openai.azure.com", "opencode.ai", "openrouter.ai", "otter.ai", "perplexity.ai", "phind.com",
    "photomath.com", "photomath.net", "pi.ai", "pika.art", "pixverse.ai", "platform.openai.com",
    "playground.com", "playgroundai.com", "poe.com", "pplx.ai", "q.us-east-1.amazonaws.com",
    "quillbot.com", "qwen.ai", "recraft.ai", "replika.ai", "replika.com",
    "robinfrontend-pa.googleapis.com", "runway.com", "runwayml.com", "rytr.me",
    "services.ai.azure.com", "sider.ai", "sora.com", "sourcegraph.com", "stability.ai",
    "sudowrite.com", "suno.ai", "suno.com", "sydney.bing.com", "synthesia.io", "tabnine.com",
    "tailwind-pa.googleapis.com", "talkie-ai.app", "talkie-ai.com", "udio.com", "undetectable.ai",
    "v0.app", "v0.dev", "vidu.cn", "vidu.com", "vidu.studio", "waa-pa.clients6.google.com",
    "wenxin.baidu.com", "windsurf.com", "wordtune.com", "writesonic.com", "x.ai",
    "yiyan.baidu.com", "you.com", "yuanbao.tencent.com", "z.ai",
};
// clang-format on

const unsigned n_config_ai_hosts = sizeof(config_ai_hosts) / sizeof(config_ai_hosts[0]);
