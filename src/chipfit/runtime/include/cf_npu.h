/* What a program brings for a model with a command stream: the call of the NPU's driver. */
#ifndef CF_NPU_H
#define CF_NPU_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CF_NPU_REGIONS 3
#define CF_NPU_ALIGNMENT 16u

/* Lets the NPU execute a command stream, and returns when it is done.
 *
 * stream: the payload for the driver. bases, sizes: address and bytes of the memory regions that it counts from, which
 * are constants (0), working memory (1), and a second, fast one (2; the same as the first where there is none). All
 * addresses are aligned to CF_NPU_ALIGNMENT. What the NPU writes must be seen by the core afterwards: caches are the
 * affair of this function. */
void cf_npu_invoke(const void *stream, size_t stream_bytes, void *const bases[CF_NPU_REGIONS],
                   const size_t sizes[CF_NPU_REGIONS]);

#ifdef __cplusplus
}
#endif

#endif
