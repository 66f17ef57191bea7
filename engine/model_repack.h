/* engine/model_repack.h - a model that was loaded with the scalar table, in the file's layout, made ready for another one. */
#ifndef ENGINE_MODEL_REPACK_H
#define ENGINE_MODEL_REPACK_H

#include "engine/model.h"

/* Packs the first n_layers layers for ops, and the output when these are all, with all threads of p; m->ops becomes ops. The weights of the other
 * layers, which are elsewhere now, may not be read any more. GW_ENOMEM, and m is only good for model_fini. */
enum gw_status model_repack(struct model *m, const struct kern_ops *ops, struct pool *p,
                            unsigned n_layers, struct gw_err *err);

#endif
