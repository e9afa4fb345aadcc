/* The beginning of a layer's packed weights: see cf_unpack.h. Of a palette, all pairs of weights are put together. */
#ifndef CF_UNPACK_BEGIN_H
#define CF_UNPACK_BEGIN_H

#include "cf_unpack.h"

CF_SHARED_BODY void cf_unpack_begin_body(const uint32_t *packed, cf_unpack_state *s)
{
    const uint16_t *head = cf_unpack_head(packed);
    const int8_t *palette = cf_unpack_weights(packed);
    const int32_t n = head[2] == head[3] ? 1 << head[4] : 0; /* more: another form, without pairs */
    const int32_t is_lane = head[5] & CF_UNPACK_LANES;
    uint16_t *to = s->pairs;
    s->parts = 4u * head[0];
    s->literals = 4u * head[1];
    s->codes = 4u * head[2];
    s->more = 4u * head[3];
    CF_ROLLED
    for (int32_t i = 0; i < n; i++) {
        const int32_t high = palette[i] * 256;
        CF_ROLLED
        for (int32_t k = 0; k < n; k++) {
            const int32_t low = palette[k];
            *to++ = (uint16_t)(high + (is_lane ? low : low & 255));
        }
    }
}

CF_KERNEL void cf_unpack_begin(const uint32_t *packed, void *state /* scratch */)
{
    cf_unpack_begin_body(packed, (cf_unpack_state *)state);
}

#endif
