/* tests/unit/engine/test_hf.c - folders of safetensors: the same model in every format gives the same weights. */
#include <sys/stat.h>

#include <math.h>
#include <unistd.h>

#include "base/buf.h"
#include "engine/hf.h"
#include "engine/model.h"
#include "engine/tokenizer.h"
#include "tests/test.h"

enum { D = 128, FF = 256, HEADS = 2, KV = 1, DIM = 64, VOCAB = 264, GROUP = 32 };

enum form { PLAIN, GPTQ, GPTQ_V2, GPTQ_ZEROS, GPTQ_ORDER, AWQ, FP8, FP8_BLOCKS, FP8_WIDE };

/* A file while it is made. */
struct st {
    struct gw_buf head, data;
};

static void put(struct st *s, const char *name, const char *dtype, unsigned a, unsigned b,
                const void *bytes, size_t n)
{
    gw_buf_printf(&s->head, "%s\"%s\":{\"dtype\":\"%s\",\"shape\":[", s->head.len == 0 ? "" : ",",
                  name, dtype);
    gw_buf_printf(&s->head, b == 0 ? "%u]" : "%u,%u]", a, b);
    gw_buf_printf(&s->head, ",\"data_offsets\":[%zu,%zu]}", s->data.len, s->data.len + n);
    gw_buf_add(&s->data, (struct gw_span){bytes, n});
}

static uint32_t draw(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)(*seed >> 33);
}

static uint16_t half(float f)
{
    return kern_f32_f16(f);
}

/* The numbers of one linear layer: codes, a scale and a zero a group of inputs and output. */
struct linear {
    unsigned out, in;
    uint8_t q[FF * FF], zero[FF * FF / GROUP];
    float scale[FF * FF / GROUP], w[FF * FF]; /* w: what they stand for */
};

static unsigned group_of(enum form form, unsigned i, unsigned in)
{
    return form == GPTQ_ORDER ? i % (in / GROUP) : i / GROUP;
}

static void make_linear(struct linear *l, enum form form, unsigned out, unsigned in, uint64_t *seed)
{
    const unsigned groups = in / GROUP;

    *l = (struct linear){.out = out, .in = in};
    for (unsigned i = 0; i < out * groups; i++) {
        l->scale[i] = kern_f16_f32(half((float)(100 + draw(seed) % 100) / 8192));
        l->zero[i] = (uint8_t)(form == GPTQ_ZEROS || form == AWQ ? 1 + draw(seed) % 15 : 8);
    }
    for (unsigned o = 0; o < out; o++)
        for (unsigned i = 0; i < in; i++) {
            const unsigned g = group_of(form, i, in) * out + o;
            const uint8_t q = (uint8_t)(draw(seed) % 16);

            l->q[o * in + i] = q;
            l->w[o * in + i] = (float)(q - l->zero[g]) * l->scale[g];
        }
}

static void put_four(struct st *s, const char *stem, const struct linear *l, enum form form)
{
    static const unsigned order[8] = {0, 2, 4, 6, 1, 3, 5, 7};
    static uint32_t words[FF * FF / 8], zeros[FF * FF / GROUP / 8], index[FF];
    static uint16_t scales[FF * FF / GROUP];
    const unsigned groups = l->in / GROUP, in = l->in, out = l->out;
    char name[128];

    memset(words, 0, sizeof(words));
    memset(zeros, 0, sizeof(zeros));
    for (unsigned i = 0; i < in; i++)
        for (unsigned o = 0; o < out; o++) {
            const uint32_t q = l->q[o * in + i];

            if (form == AWQ)
                for (unsigned k = 0; k < 8; k++)
                    words[i * (out / 8) + o / 8] |= order[k] == o % 8 ? q << (4 * k) : 0;
            else
                words[i / 8 * out + o] |= q << (4 * (i % 8));
        }
    for (unsigned g = 0; g < groups; g++)
        for (unsigned o = 0; o < out; o++) {
            const uint32_t z = l->zero[g * out + o];

            scales[g * out + o] = half(l->scale[g * out + o]);
            for (unsigned k = 0; form == AWQ && k < 8; k++)
                zeros[g * (out / 8) + o / 8] |= order[k] == o % 8 ? z << (4 * k) : 0;
            if (form != AWQ)
                zeros[g * (out / 8) + o / 8] |= (form == GPTQ_V2 ? z : z - 1) << (4 * (o % 8));
        }
    (void)snprintf(name, sizeof(name), "%s.qweight", stem);
    put(s, name, "I32", form == AWQ ? in : in / 8, form == AWQ ? out / 8 : out, words,
        (size_t)in * out / 2);
    (void)snprintf(name, sizeof(name), "%s.scales", stem);
    put(s, name, "F16", groups, out, scales, (size_t)groups * out * 2);
    (void)snprintf(name, sizeof(name), "%s.qzeros", stem);
    put(s, name, "I32", groups, out / 8, zeros, (size_t)groups * out / 2);
    for (unsigned i = 0; i < in; i++)
        index[i] = group_of(form, i, in);
    (void)snprintf(name, sizeof(name), "%s.g_idx", stem);
    if (form != AWQ)
        put(s, name, "I32", in, 0, index, (size_t)in * 4);
}

/* Codes of E4M3 for the numbers -8 to 7, times a scale that is a power of two: exact. */
static void put_eight(struct st *s, const char *stem, struct linear *l, enum form form)
{
    static const uint8_t codes[8] = {0x00, 0x38, 0x40, 0x44, 0x48, 0x4a, 0x4c, 0x4e};
    static uint8_t q[FF * FF];
    static float scales[FF * FF];
    const unsigned wide = form == FP8_WIDE ? 128 : 32;
    const unsigned rows = (l->out + 15) / 16, cols = (l->in + wide - 1) / wide;
    char name[128];

    for (unsigned o = 0; o < l->out; o++)
        for (unsigned i = 0; i < l->in; i++) {
            const int v = l->q[o * l->in + i] % 8, at = (int)(o / 16 * cols + i / wide);
            const bool minus = l->q[o * l->in + i] >= 8;

            scales[form == FP8 ? 0 : at] = ldexpf(1, form == FP8 ? -5 : -4 - at % 3);
            q[o * l->in + i] = (uint8_t)(codes[v] | (minus ? 0x80 : 0));
            l->w[o * l->in + i] = (float)(minus ? -v : v) * scales[form == FP8 ? 0 : at];
        }
    (void)snprintf(name, sizeof(name), "%s.weight", stem);
    put(s, name, "F8_E4M3", l->out, l->in, q, (size_t)l->out * l->in);
    (void)snprintf(name, sizeof(name), "%s.%s", stem,
                   form == FP8 ? "weight_scale" : "weight_scale_inv");
    if (form == FP8)
        put(s, name, "F32", 1, 0, scales, 4);
    else
        put(s, name, "F32", rows, cols, scales, (size_t)rows * cols * 4);
}

/* One linear layer in both files. */
static void put_linear(struct st *plain, struct st *packed, const char *stem, enum form form,
                       unsigned out, unsigned in, uint64_t *seed)
{
    static struct linear l;
    char name[128];

    make_linear(&l, form, out, in, seed);
    if (form >= FP8)
        put_eight(packed, stem, &l, form);
    else
        put_four(packed, stem, &l, form);
    (void)snprintf(name, sizeof(name), "%s.weight", stem);
    put(plain, name, "F32", out, in, l.w, (size_t)out * in * 4);
}

static void put_both(struct st *a, struct st *b, const char *name, unsigned rows, unsigned cols,
                     uint64_t *seed)
{
    static uint16_t h[VOCAB * D];

    for (unsigned i = 0; i < rows * (cols == 0 ? 1 : cols); i++)
        h[i] = half((float)(draw(seed) % 256) / 128 - 1);
    put(a, name, "F16", rows, cols, h, (size_t)rows * (cols == 0 ? 1 : cols) * 2);
    put(b, name, "F16", rows, cols, h, (size_t)rows * (cols == 0 ? 1 : cols) * 2);
}

static void make_weights(struct st *plain, struct st *packed, enum form form)
{
    static const struct {
        const char *stem;
        unsigned out, in;
    } all[] = {{"self_attn.q_proj", HEADS * DIM, D},
               {"self_attn.k_proj", KV * DIM, D},
               {"self_attn.v_proj", KV * DIM, D},
               {"self_attn.o_proj", D, HEADS * DIM},
               {"mlp.gate_proj", FF, D},
               {"mlp.up_proj", FF, D},
               {"mlp.down_proj", D, FF}};
    uint64_t seed = 11;
    char name[96];

    put_both(plain, packed, "model.embed_tokens.weight", VOCAB, D, &seed);
    put_both(plain, packed, "model.norm.weight", D, 0, &seed);
    put_both(plain, packed, "model.layers.0.input_layernorm.weight", D, 0, &seed);
    put_both(plain, packed, "model.layers.0.post_attention_layernorm.weight", D, 0, &seed);
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        (void)snprintf(name, sizeof(name), "model.layers.0.%s", all[i].stem);
        put_linear(plain, packed, name, form, all[i].out, all[i].in, &seed);
    }
}

/* ---- folders ---------------------------------------------------------------------------------------------- */

static void write_bytes(const char *dir, const char *name, struct gw_span bytes)
{
    char path[128];
    FILE *f;

    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    f = fopen(path, "we");
    if (!CHECK(f != NULL))
        return;
    CHECK(fwrite(bytes.ptr, 1, bytes.len, f) == bytes.len);
    CHECK(fclose(f) == 0);
}

static void write_config(const char *dir, enum form form)
{
    static const char *const quant[] = {
        "",
        ",\"quantization_config\":{\"quant_method\":\"gptq\",\"bits\":4,\"group_size\":32}",
        ",\"quantization_config\":{\"quant_method\":\"gptq\",\"bits\":4,\"group_size\":32,"
        "\"checkpoint_format\":\"gptq_v2\"}",
        ",\"quantization_config\":{\"quant_method\":\"gptq\",\"bits\":4,\"group_size\":32}",
        ",\"quantization_config\":{\"quant_method\":\"gptq\",\"bits\":4,\"group_size\":32,"
        "\"desc_act\":true}",
        ",\"quantization_config\":{\"quant_method\":\"awq\",\"bits\":4,\"group_size\":32,"
        "\"version\":\"gemm\"}",
        ",\"quantization_config\":{\"quant_method\":\"fp8\"}",
        ",\"quantization_config\":{\"quant_method\":\"fp8\",\"weight_block_size\":[16,32]}",
        ",\"quantization_config\":{\"quant_method\":\"fp8\",\"weight_block_size\":[16,128]}"};
    struct gw_buf b = {0};

    gw_buf_printf(&b,
                  "{\"model_type\":\"llama\",\"hidden_size\":%d,\"intermediate_size\":%d,"
                  "\"num_hidden_layers\":1,\"num_attention_heads\":%d,\"num_key_value_heads\":%d,"
                  "\"vocab_size\":%d,\"max_position_embeddings\":512,\"rms_norm_eps\":1e-05,"
                  "\"rope_theta\":500000.0,\"eos_token_id\":[257,258],\"bos_token_id\":256,"
                  "\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":8.0,"
                  "\"low_freq_factor\":1.0,\"high_freq_factor\":4.0,"
                  "\"original_max_position_embeddings\":128},\"tie_word_embeddings\":true%s}",
                  D, FF, HEADS, KV, VOCAB, quant[form]);
    write_bytes(dir, "config.json", gw_buf_span(&b));
    gw_buf_fini(&b);
}

/* The 256 bytes in their printable form, two merged pieces and three special tokens. */
static void write_tokenizer(const char *dir)
{
    struct gw_buf b = {0};
    unsigned n = 0;

    gw_buf_adds(&b, "{\"model\":{\"type\":\"BPE\",\"vocab\":{");
    for (unsigned c = 0; c < 256; c++) {
        const bool shown = (c > 32 && c < 127) || (c > 160 && c != 173);

        gw_buf_printf(&b, "%s\"\\u%04x\":%u", c == 0 ? "" : ",", shown ? c : 256 + n, c);
        n += shown ? 0 : 1;
    }
    gw_buf_adds(&b, ",\"ab\":259,\"abc\":260},\"merges\":[\"a b\",[\"ab\",\"c\"]]},"
                    "\"added_tokens\":[{\"id\":256,\"content\":\"<s>\",\"special\":true},"
                    "{\"id\":257,\"content\":\"</s>\",\"special\":true},"
                    "{\"id\":258,\"content\":\"<end>\",\"special\":true}],"
                    "\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"use_regex\":true}}");
    write_bytes(dir, "tokenizer.json", gw_buf_span(&b));
    gw_buf_fini(&b);
}

static void write_weights(const char *dir, struct st *s)
{
    struct gw_buf b = {0};
    const uint64_t len = s->head.len + 2;

    gw_buf_add(&b, (struct gw_span){(const char *)&len, sizeof(len)});
    gw_buf_addc(&b, '{');
    gw_buf_add(&b, gw_buf_span(&s->head));
    gw_buf_addc(&b, '}');
    gw_buf_add(&b, gw_buf_span(&s->data));
    write_bytes(dir, "model.safetensors", gw_buf_span(&b));
    gw_buf_fini(&b);
    gw_buf_fini(&s->head);
    gw_buf_fini(&s->data);
}

static void remove_folder(const char *dir)
{
    static const char *const names[] = {"config.json", "tokenizer.json", "model.safetensors"};
    char path[128];

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
        (void)unlink(path);
    }
    (void)rmdir(dir);
}

/* ---- tests ------------------------------------------------------------------------------------------------- */

/* Largest difference of two tensors, relative to the largest weight; 2 when they have different shapes. */
static double difference(const struct gguf_tensor *a, const struct gguf_tensor *b)
{
    static float x[VOCAB * D], y[VOCAB * D];
    double worst = 0, most = 0;
    const size_t n = (size_t)(a->dims[0] * a->dims[1]);

    if (a->dims[0] != b->dims[0] || a->dims[1] != b->dims[1] || n > VOCAB * D)
        return 2;
    kern_row_f32((enum kern_type)a->type, a->data, n, x);
    kern_row_f32((enum kern_type)b->type, b->data, n, y);
    for (size_t i = 0; i < n; i++) {
        worst = fmax(worst, fabs((double)x[i] - (double)y[i]));
        most = fmax(most, fabs((double)x[i]));
    }
    return most > 0 ? worst / most : 2;
}

static void check_model(const struct gguf *g)
{
    struct gw_err err = {0};
    struct model m = {0};
    struct tok_ids ids = {0};
    struct tok *tok = NULL;

    if (!CHECK(model_inspect(&m, g, kern_ops(NULL), &err) == GW_OK) ||
        !CHECK(tok_open(g, &tok, &err) == GW_OK))
        printf("%s\n", err.text);
    CHECK(m.n_layers == 1 && m.n_vocab == VOCAB && m.ropes[0].freqs != NULL);
    if (tok != NULL) {
        CHECK(tok_encode(tok, GW_SPAN("abc"), false, &ids) == GW_OK);
        CHECK(ids.n == 1 && ids.ids[0] == 260);
        tok_ids_fini(&ids);
    }
    tok_free(tok);
    model_fini(&m);
}

static void test_form(enum form form, uint32_t type, double bound)
{
    char plain[] = "/tmp/test_hf_XXXXXX", packed[] = "/tmp/test_hf_XXXXXX";
    struct st a = {.head = {0}}, b = {.head = {0}};
    struct gguf *x = NULL, *y = NULL;
    struct gw_err err = {0};

    if (!CHECK(mkdtemp(plain) != NULL && mkdtemp(packed) != NULL))
        return;
    make_weights(&a, &b, form);
    write_weights(plain, &a);
    write_weights(packed, &b);
    write_config(plain, PLAIN);
    write_config(packed, form);
    write_tokenizer(plain);
    write_tokenizer(packed);
    CHECK(hf_is_folder(packed));
    if (!CHECK(hf_open(plain, true, &x, &err) == GW_OK) ||
        !CHECK(hf_open_any(packed, true, &y, &err) == GW_OK)) {
        printf("%s\n", err.text);
    } else {
        for (size_t i = 0; i < gguf_n_tensors(x); i++) {
            const struct gguf_tensor *t = gguf_tensor_at(x, i), *u = gguf_tensor_at(y, i);
            const double d = difference(t, u);

            if (!CHECK(gw_span_eq(t->name, u->name) && d <= bound))
                printf("form %d: %.*s: %g\n", (int)form, (int)t->name.len, t->name.ptr, d);
        }
        CHECK(gguf_tensor(y, "blk.0.ffn_up.weight")->type == type);
        check_model(x);
        check_model(y);
    }
    gguf_close(x);
    gguf_close(y);
    remove_folder(plain);
    remove_folder(packed);
}

static void test_refusals(void)
{
    static const struct {
        const char *config;
        const char *words;
    } cases[] = {
        {"{\"model_type\":\"mamba\"}", "model_type is not built in"},
        {"{\"model_type\":\"llama\"}", "num_hidden_layers"},
        {"[", "config.json"},
        {"{\"model_type\":\"llama\",\"num_hidden_layers\":1e9}", "num_hidden_layers"},
    };
    char dir[] = "/tmp/test_hf_XXXXXX";

    if (!CHECK(mkdtemp(dir) != NULL))
        return;
    CHECK(!hf_is_folder(dir));
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct gguf *g = NULL;
        struct gw_err err = {0};

        write_bytes(dir, "config.json", gw_span_str(cases[i].config));
        CHECK(hf_open(dir, true, &g, &err) != GW_OK && g == NULL);
        if (!CHECK(strstr(err.text, cases[i].words) != NULL))
            printf("%s\n", err.text);
    }
    remove_folder(dir);
}

int main(void)
{
    test_form(GPTQ, KERN_TYPE_Q4_0, 0);
    test_form(GPTQ_V2, KERN_TYPE_Q4_0, 0);
    test_form(GPTQ_ZEROS, KERN_TYPE_Q4_1, 1e-3);
    test_form(GPTQ_ORDER, KERN_TYPE_F16, 1e-3);
    test_form(AWQ, KERN_TYPE_Q4_1, 1e-3);
    test_form(FP8, KERN_TYPE_E4M3, 0);
    test_form(FP8_BLOCKS, KERN_TYPE_F16, 0);
    test_form(FP8_WIDE, KERN_TYPE_E4M3, 0);
    test_refusals();
    return test_done();
}
