/* A part of a model that an Ethos-U computes: its inputs are copied to where the command stream expects them, the NPU
 * executes the stream, and the outputs are copied from where it leaves them. */
#ifndef CF_ETHOS_U_H
#define CF_ETHOS_U_H

#include "cf_kernel.h"
#include "cf_npu.h"

#define CF_ETHOS_U_TENSORS 32

typedef struct {
    int32_t stream_bytes, constant_bytes;
    int32_t scratch_bytes, fast_bytes; /* of the working memory, and of a second one; 0: there is none */
    int32_t inputs, outputs;
    int32_t offsets[CF_ETHOS_U_TENSORS]; /* in the working memory: inputs, then outputs */
    int32_t sizes[CF_ETHOS_U_TENSORS];   /* likewise, bytes */
} cf_ethos_u_params;

/* cf_ethos_u(stream, constants, scratch, inputs ..., outputs ..., params): as many tensors as there are */
#define cf_ethos_u(...) cf_ethos_u_run((const void *const[]){__VA_ARGS__}, sizeof((const void *[]){__VA_ARGS__}))

static inline uint8_t *cf_ethos_u_aligned(const void *p)
{
    return (uint8_t *)(((uintptr_t)p + (CF_NPU_ALIGNMENT - 1u)) & ~(uintptr_t)(CF_NPU_ALIGNMENT - 1u));
}

CF_KERNEL void cf_ethos_u_run(const void *const *arguments, size_t bytes)
{
    const cf_ethos_u_params *p = (const cf_ethos_u_params *)arguments[bytes / sizeof(void *) - 1u];
    const void *const *tensors = arguments + 3;
    uint8_t *scratch = cf_ethos_u_aligned(arguments[2]);
    uint8_t *fast = p->fast_bytes ? cf_ethos_u_aligned(scratch + p->scratch_bytes) : scratch;
    void *const bases[CF_NPU_REGIONS] = {(void *)(uintptr_t)arguments[1], scratch, fast};
    const size_t sizes[CF_NPU_REGIONS] = {(size_t)p->constant_bytes, (size_t)p->scratch_bytes,
                                          (size_t)(p->fast_bytes ? p->fast_bytes : p->scratch_bytes)};
    for (int32_t i = 0; i < p->inputs; i++) {
        memcpy(scratch + p->offsets[i], tensors[i], (size_t)p->sizes[i]);
    }
    cf_npu_invoke(arguments[0], (size_t)p->stream_bytes, bases, sizes);
    for (int32_t i = p->inputs; i < p->inputs + p->outputs; i++) {
        memcpy((void *)(uintptr_t)tensors[i], scratch + p->offsets[i], (size_t)p->sizes[i]);
    }
}

#endif
