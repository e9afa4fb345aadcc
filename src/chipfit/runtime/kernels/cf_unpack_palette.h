/* Weights of a palette of up to 16: indices of 1, 2, 3 or 4 bits. Two of them, the lower one first, choose a half of a
 * word from the pairs of the state; two words of weights take `bits` bytes of codes. */
#ifndef CF_UNPACK_PALETTE_H
#define CF_UNPACK_PALETTE_H

#include "cf_unpack.h"

typedef void cf_unpack_function(const uint32_t *packed, cf_unpack_state *s, uint32_t *w);

/* load: what makes two words, of the bytes at `from` */
#define CF_UNPACK_BODY(name, bits, load)                                                                               \
    CF_SHARED_BODY void name(const uint32_t *packed, cf_unpack_state *s, uint32_t *w)                                  \
    {                                                                                                                  \
        cf_unpack_at at = cf_unpack_go_on(packed, s);                                                                  \
        const uint16_t *pairs = s->pairs;                                                                              \
        const uint8_t *from = at.codes;                                                                                \
        const uint32_t mask = (1u << 2 * (bits)) - 1u;                                                                 \
        for (; at.parts[0] != 0; at.parts += 3) {                                                                      \
            CF_ROLLED                                                                                                  \
            for (int32_t i = at.parts[0]; i > 0; i--) {                                                                \
                int32_t n = at.parts[2];                                                                               \
                w = cf_unpack_literals(&at.literals, at.parts[1], w);                                                  \
                CF_ROLLED                                                                                              \
                for (; n > 1; n -= 2, from += (bits), w += 2) {                                                        \
                    const uint32_t c = (load);                                                                         \
                    w[0] = pairs[c & mask] | (uint32_t)pairs[c >> 2 * (bits) & mask] << 16;                            \
                    w[1] = pairs[c >> 4 * (bits) & mask] | (uint32_t)pairs[c >> 6 * (bits) & mask] << 16;              \
                }                                                                                                      \
                if (n > 0) {                                                                                           \
                    const uint32_t c = (load);                                                                         \
                    *w++ = pairs[c & mask] | (uint32_t)pairs[c >> 2 * (bits) & mask] << 16;                            \
                    from += (bits);                                                                                    \
                }                                                                                                      \
            }                                                                                                          \
        }                                                                                                              \
        at.codes = from;                                                                                               \
        cf_unpack_end(packed, s, at);                                                                                  \
    }
CF_UNPACK_BODY(cf_unpack_1, 1, from[0])
CF_UNPACK_BODY(cf_unpack_2, 2, from[0] | (uint32_t)from[1] << 8)
CF_UNPACK_BODY(cf_unpack_3, 3, from[0] | (uint32_t)from[1] << 8 | (uint32_t)from[2] << 16)
CF_UNPACK_BODY(cf_unpack_4, 4, *(const uint32_t *)(const void *)from)

CF_KERNEL void cf_unpack_palette(const uint32_t *packed, void *state, uint32_t *w /* scratch: the words */,
                                 cf_unpack_function *body)
{
    body(packed, (cf_unpack_state *)state, w);
}

#endif
