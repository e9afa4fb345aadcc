/* Weights of which many are 0: `codes` has a bit for each that says whether it is not, `more` the others as bytes. Two
 * words of weights take a byte of bits, the first weight lowest. */
#ifndef CF_UNPACK_ZEROS_H
#define CF_UNPACK_ZEROS_H

#include "cf_unpack.h"

/* the word of the four weights of which the lowest bits tell those that are not 0; returns the rest of these */
CF_INLINE const uint8_t *cf_unpack_nonzeros(uint32_t bits, const uint8_t *values, int32_t is_lane, uint32_t *w)
{
    uint32_t word = 0;
    if ((bits & 1u) != 0) {
        word = *values++;
    }
    if ((bits & 2u) != 0) {
        word |= (uint32_t)*values++ << 8;
    }
    if ((bits & 4u) != 0) {
        word |= (uint32_t)*values++ << 16;
    }
    if ((bits & 8u) != 0) {
        word |= (uint32_t)*values++ << 24;
    }
    *w = is_lane ? cf_sadd16(word & 0xff00ff00u, cf_sxtb16(word)) : word;
    return values;
}

CF_SHARED_BODY void cf_unpack_zeros_body(const uint32_t *packed, cf_unpack_state *s, uint32_t *w)
{
    cf_unpack_at at = cf_unpack_go_on(packed, s);
    const int32_t is_lane = cf_unpack_head(packed)[5] & CF_UNPACK_LANES;
    for (; at.parts[0] != 0; at.parts += 3) {
        CF_ROLLED
        for (int32_t i = at.parts[0]; i > 0; i--) {
            int32_t n = at.parts[2];
            w = cf_unpack_literals(&at.literals, at.parts[1], w);
            CF_ROLLED
            for (; n > 1; n -= 2, w += 2) {
                const uint32_t bits = *at.codes++;
                at.more = cf_unpack_nonzeros(bits, at.more, is_lane, w);
                at.more = cf_unpack_nonzeros(bits >> 4, at.more, is_lane, w + 1);
            }
            if (n > 0) {
                at.more = cf_unpack_nonzeros(*at.codes++, at.more, is_lane, w++);
            }
        }
    }
    cf_unpack_end(packed, s, at);
}

CF_KERNEL void cf_unpack_zeros(const uint32_t *packed, void *state, uint32_t *w /* scratch: the words */)
{
    cf_unpack_zeros_body(packed, (cf_unpack_state *)state, w);
}

#endif
