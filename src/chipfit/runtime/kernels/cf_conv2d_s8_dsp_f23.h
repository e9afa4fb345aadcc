/* CONV_2D on int8, 3x3, stride 1, for cores with DSP instructions: Winograd's F(2,3) along the rows, 2.7 bytes of
 * weights for each (speed for flash). 4 multiplications make 2 outputs of a row of 3 weights in place of 6. */
#ifndef CF_CONV2D_S8_DSP_F23_H
#define CF_CONV2D_S8_DSP_F23_H

#include "cf_tile_winograd_f23.h"
#include "cf_tile_winograd_rows.h"

/* V of two channels, pixels d0 to d3 with values 0 to 255: |V| <= 510 */
CF_INLINE void cf_f23_sums(int32_t *v, int32_t position, uint32_t d0, uint32_t d1, uint32_t d2, uint32_t d3)
{
    *v = (int32_t)(d1 + d2);
    v += position;
    *v = (int32_t)cf_ssub16(d2, d1);
    v += position;
    *v = (int32_t)cf_ssub16(d0, d2);
    v += position;
    *v = (int32_t)cf_ssub16(d1, d3);
}

CF_SHARED_BODY void cf_f23_transform(const int32_t *row, int32_t *to, int32_t two_tiles, int32_t in_c)
{
    const int32_t pixel = in_c / 4, position = 3 * in_c;
    CF_ROLLED
    for (int32_t tile = 0; tile < 2 * two_tiles; tile++, row += 2 * pixel) {
        int32_t *v = to + tile / 2 * 4 * position + tile % 2 * 2;
        CF_ROLLED
        for (int32_t c = 0; c < pixel; c++, v += 4) {
            const int32_t *d = row + c;
            uint32_t u[4];
            for (int32_t i = 0; i < 4; i++, d += pixel) {
                u[i] = (uint32_t)*d ^ 0x80808080u;
            }
            cf_f23_sums(v, position, cf_uxtb16(u[0]), cf_uxtb16(u[1]), cf_uxtb16(u[2]), cf_uxtb16(u[3]));
            cf_f23_sums(v + 1, position, cf_uxtb16_ror8(u[0]), cf_uxtb16_ror8(u[1]), cf_uxtb16_ror8(u[2]),
                        cf_uxtb16_ror8(u[3]));
        }
    }
}

CF_KERNEL void cf_conv2d_s8_dsp_f23(const int8_t *x,  /* (n, in_h, in_w, in_c) */
                                    const int32_t *w, /* stream of channel pairs: see cf_tile_winograd.h */
                                    int8_t *y,        /* (n, out_h, out_w, out_c) */
                                    void *scratch,    /* see cf_tile_winograd_rows.h */
                                    const cf_winograd_params *p)
{
    cf_winograd(x, w, y, (int32_t *)scratch, p, cf_f23_transform, cf_winograd_f23, 2, 4);
}

#endif
