/* Weights of a palette of up to 16, each times a factor from 1 to 256 as a lane of 16 bits: what depthwise kernels for
 * cores with DSP instructions read. A byte of codes makes one word, the lower index first. `more` has the factors of
 * each part with weights, less 1. */
#ifndef CF_UNPACK_SCALED_H
#define CF_UNPACK_SCALED_H

#include "cf_unpack.h"

CF_SHARED_BODY void cf_unpack_scaled_body(const uint32_t *packed, cf_unpack_state *s, uint32_t *w)
{
    cf_unpack_at at = cf_unpack_go_on(packed, s);
    const int8_t *palette = cf_unpack_weights(packed);
    for (; at.parts[0] != 0; at.parts += 3) {
        CF_ROLLED
        for (int32_t i = at.parts[0]; i > 0; i--) {
            int32_t n = at.parts[2];
            w = cf_unpack_literals(&at.literals, at.parts[1], w);
            if (n > 0) {
                const int32_t factor = 1 + *at.more++;
                CF_ROLLED
                for (; n > 0; n--) {
                    const uint32_t both = *at.codes++;
                    *w++ = cf_lanes(palette[both & 15u] * factor, palette[both >> 4] * factor);
                }
            }
        }
    }
    cf_unpack_end(packed, s, at);
}

CF_KERNEL void cf_unpack_scaled(const uint32_t *packed, void *state, uint32_t *w /* scratch: the words */)
{
    cf_unpack_scaled_body(packed, (cf_unpack_state *)state, w);
}

#endif
