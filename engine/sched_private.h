/* engine/sched_private.h - the scheduler's state, shared by sched.c (thread, set-up), sched_admit.c (slots), sched_step.c
 * (steps and sampling), sched_draft.c and sched_heads.c (guesses), sched_prefix.c (what need not be computed) and sched_bench.c. All of it belongs to the scheduler's thread, except what is
 * atomic. */
#ifndef ENGINE_SCHED_PRIVATE_H
#define ENGINE_SCHED_PRIVATE_H

#include <stdatomic.h>

#include "engine/answer.h"
#include "engine/device.h"
#include "engine/forward.h"
#include "engine/kvcache.h"
#include "engine/line.h"
#include "engine/probs.h"
#include "engine/radix.h"
#include "engine/sampler.h"
#include "engine/sched.h"
#include "engine/steer.h"

enum {
    SCHED_MAX_DRAFT = 4, /* guessed tokens of a sequence in a step */
};

/* A running sequence. */
struct seq {
    struct request *r;           /* NULL: the slot is free */
    struct tok_ids ids;          /* prompt, then what was sampled */
    unsigned n_prompt, n_cached; /* ids in the prompt; ids whose keys are in the cache */
    unsigned n_sampled, max_sampled;
    unsigned n_turn;             /* tokens computed since it got its slot */
    uint64_t age;                /* admission number: larger is younger */
    uint64_t start_ns, first_ns; /* admitted; prompt processed (0: not yet) */
    struct kvcache_seq kv;
    struct radix_root *root; /* of the prefixes that it may share */
    unsigned n_hit;          /* prompt tokens that it took from others */
    bool begun;              /* it has what the tree had, and the promise of pages */
    bool sent_back;          /* its pages were taken away once */
    bool starved;            /* it could not begin for want of pages */
    bool follows;            /* it sits this step out */
    struct seq *leader;      /* computes tokens [0, n_common) of this one too; NULL: nobody */
    uint64_t leader_age;     /* whether it is still the same */
    unsigned n_common;
    unsigned n_draft; /* guessed tokens that are fed behind the last one in this step */
    enum { BY_LOOKUP, BY_MODEL, BY_HEADS } draft_by; /* who made them */
    int taken;                                       /* of 256 guesses of prompt lookup, lately */
    int model_taken; /* of 256 of the draft model, or of the heads */
    float head_missed
        [MEDUSA_MAX_USED]; /* share of a head's guesses that were wrong behind right ones, lately */
    bool head_known;       /* head_missed was begun with what others had */
    size_t hidden_of; /* s->hidden has what the id before that one was drawn from; 0: it has not */
    struct drafter_seq own;           /* what the draft model holds */
    int32_t fed[1 + SCHED_MAX_DRAFT]; /* the last token and the guesses */
    struct sampler *sampler;
    struct steer *steer; /* NULL: any text */
    struct probs *probs; /* NULL: nobody asked */
    struct answer answer;
    struct gw_buf text;   /* what the last token added to the answer */
    struct gw_buf tokens; /* that became certain with it */
};

/* A message to the scheduler: exactly one is set. */
struct sched_cmd {
    struct request *r;
    struct sched_job *job;
};

/* A bench that its caller waits for. */
struct sched_job {
    unsigned prompt, decode;
    struct engine_bench *out;
    struct gw_err *err;
    enum gw_status status;
    bool done; /* it and status: under the scheduler's job_lock */
};

struct sched {
    struct sched_config cfg;
    struct kvcache *kv;
    struct radix *tree; /* of kv's prefixes */
    struct forward *forward;
    struct sampler_space *space;
    struct steer_space *steer_space;
    struct probs_space *probs_space;
    struct gw_queue *cmds;
    pthread_t thread;
    bool started;
    pthread_mutex_t job_lock;
    pthread_cond_t job_done;

    struct seq *seqs;          /* [max_seqs] */
    struct forward_run *runs;  /* [max_seqs] */
    struct device_pick *picks; /* [max_seqs]: of runs, for a device */
    struct seq **run_seqs;     /* [max_seqs]: whose run it is */
    struct seq **by_age;       /* [max_seqs] */
    float *hidden;             /* [max_seqs][n_embd], with heads */
    unsigned n_running;
    uint64_t token_ns; /* a prompt's token takes, lately; 0: not known yet */
    uint64_t single_ns,
        guess_ns; /* a step of single tokens, and a guess of the draft model; lately */
    /* A step of so many tokens, and the guesses of so many heads; lately; 0: not known yet. */
    uint64_t width_ns[SCHED_DRAFT_ROWS + 1], heads_ns[MEDUSA_MAX_USED + 1];
    float head_missed[MEDUSA_MAX_USED]; /* as of a sequence, of all of them */
    uint64_t next_age;
    struct line *line; /* those that wait, and what each tenant had */

    atomic_uint n_unfinished;    /* pushed and not ended */
    atomic_ullong wanted_tokens; /* of the prompts that wait, estimated */
    atomic_bool quit;
    atomic_bool
        is_lost; /* the device failed, and nothing can be computed any more; written once, after */
    char lost[160];          /* why */
    struct engine_cost cost; /* of what a device had no room for; since the start */
    atomic_uint n_running_seen, kv_used_tokens, kv_idle_tokens;
    atomic_ullong evicted_tokens, missed_tokens, copied_tokens;
    atomic_ullong prompt_tokens, cached_tokens, completion_tokens, n_requests, n_rejected,
        n_canceled, n_parked, draft_tokens, draft_taken, draft_model_tokens, draft_model_taken,
        draft_medusa_tokens, draft_medusa_taken;
    atomic_ullong n_steps, step_requests, step_tokens; /* struct engine_steps */
    atomic_ullong by_requests[ENGINE_STEP_BUCKETS], by_tokens[ENGINE_STEP_BUCKETS];
};

/* r, which was pushed, waits. */
void sched_join(struct sched *s, struct request *r);
/* Ends what was canceled or is too late. */
void sched_sweep(struct sched *s);
/* Gives slots to those whose turn it is. */
void sched_admit(struct sched *s);
/* Ends a request that has no slot; and all that wait. */
void sched_refuse(struct sched *s, struct request *r, enum gw_status status, const char *error);
void sched_refuse_waiting(struct sched *s, enum gw_status status, const char *error);
/* Gives up the scheduler's reference and counts. */
void sched_forget(struct sched *s, struct request *r);

/* Ends q: posts DONE (nothing when the request was canceled) and frees the slot. error may be NULL. */
void sched_end(struct sched *s, struct seq *q, enum engine_finish finish, enum gw_status status,
               const char *error);
/* Takes the pages of q away and puts it back in front of the waiting ones; it computes them again. */
void sched_preempt(struct sched *s, struct seq *q);
/* Takes what others have computed of q's tokens, and looks for one that computes more. */
void sched_attach(struct sched *s, struct seq *q);
/* Whether q should wait for its leader; takes the pages when the leader has what they share. */
bool sched_follows(struct sched *s, struct seq *q);
/* Lets others have the full pages of what q computed. */
void sched_publish(struct sched *s, struct seq *q);
/* Guesses what follows q's one token to feed, in a step of n_single such sequences and no prompt: q->fed and
 * q->n_draft. Returns how many. */
unsigned sched_draft(struct sched *s, struct seq *q, unsigned n_single);
/* n_taken of them were right, and are in q: gives the others' room back. row: of the logits that q's last token was drawn from. */
void sched_drafted(struct sched *s, struct seq *q, unsigned n_taken, unsigned row);
/* Guesses of the heads, at most `most`, as many as are worth their time now. Returns how many. */
unsigned sched_ask_heads(struct sched *s, struct seq *q, unsigned n_single, unsigned most,
                         int32_t *out);
/* How many of them give the most tokens a second when n_single sequences take part, each with as many. */
unsigned sched_heads_worth(const struct sched *s, const struct seq *q, unsigned n_single,
                           unsigned most);
/* n_taken of q's guesses, which the heads made, were right. */
void sched_heads_drafted(struct sched *s, struct seq *q, unsigned n_taken);
/* Keeps what q's last token was drawn from for the heads. */
void sched_keep_hidden(struct sched *s, struct seq *q, unsigned row);
/* What layers and pages cost that a device had no room for; before the thread starts. GW_EIO, GW_ENOMEM. */
enum gw_status sched_measure(struct sched *s, struct engine_cost *out, struct gw_err *err);
/* One step over what runs. */
void sched_step(struct sched *s);
/* Does the job on an idle scheduler. */
enum gw_status sched_run_bench(struct sched *s, const struct sched_job *job);

#endif
