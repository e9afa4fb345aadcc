/* Compressed weights: words of a kernel's constants, made again in scratch just before the kernel reads them.
 *
 * What is made are the very words that the kernel would read from flash. A layer's packed weights are
 *
 *   uint16   of what follows, where each begins, in words from here: parts, literals, codes, more; then bits, flags
 *   int8     the palette, 2^bits weights, or none where bits is 0
 *   uint16   parts: {repeat, literals, coded}: repeat times, so many words are copied as they are (multipliers, biases:
 *            see the kernel), then so many words of weights are made; {0, 0, 0} ends what is made at a time
 *   uint32   literals: the words that are copied
 *            codes, and more: what weights are made of, see the kernels cf_unpack_*.h
 *
 * where each of them begins at a word. cf_unpack_begin reads the head; then each call makes the weights of some more
 * output channels. */
#ifndef CF_UNPACK_H
#define CF_UNPACK_H

#include "cf_simd.h"

enum {
    CF_UNPACK_LANES = 1, /* halves of words are 256 * high + low of two weights, else two bytes */
    CF_UNPACK_SAME = 2   /* the parts are the same each time */
};

/* How far it is: where what comes next begins, bytes from the head. pairs: halves of words, by the index of the high
 * weight, then of the low one. */
typedef struct {
    uint32_t parts, literals, codes, more;
    uint16_t pairs[];
} cf_unpack_state;

CF_INLINE const uint16_t *cf_unpack_head(const uint32_t *packed)
{
    return (const uint16_t *)(const void *)packed;
}

CF_INLINE const int8_t *cf_unpack_weights(const uint32_t *packed)
{
    return (const int8_t *)(packed + 3);
}

/* n words as they are; returns where the next one goes */
CF_INLINE uint32_t *cf_unpack_literals(const uint32_t **literals, int32_t n, uint32_t *w)
{
    const uint32_t *from = *literals;
    CF_ROLLED
    for (; n > 0; n--) {
        *w++ = *from++;
    }
    *literals = from;
    return w;
}

/* what is read, of which the ends go back to the state */
typedef struct {
    const uint16_t *parts;
    const uint32_t *literals;
    const uint8_t *codes, *more;
} cf_unpack_at;

CF_INLINE cf_unpack_at cf_unpack_go_on(const uint32_t *packed, const cf_unpack_state *s)
{
    const uint8_t *head = (const uint8_t *)packed;
    const cf_unpack_at at = {(const uint16_t *)(const void *)(head + s->parts),
                             (const uint32_t *)(const void *)(head + s->literals), head + s->codes, head + s->more};
    return at;
}

/* at.parts: the {0, 0, 0} behind those that were made */
CF_INLINE void cf_unpack_end(const uint32_t *packed, cf_unpack_state *s, cf_unpack_at at)
{
    const uint8_t *head = (const uint8_t *)packed;
    if ((cf_unpack_head(packed)[5] & CF_UNPACK_SAME) == 0) {
        s->parts = (uint32_t)((const uint8_t *)(at.parts + 3) - head);
    }
    s->literals = (uint32_t)((const uint8_t *)at.literals - head);
    s->codes = (uint32_t)(at.codes - head);
    s->more = (uint32_t)(at.more - head);
}

#endif
