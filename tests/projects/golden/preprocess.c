/* From the pixels of a picture to what the model takes. Made by chipfit. */
#include "preprocess.h"

int8_t tiny_net_pixel(uint8_t value, int32_t channel)
{
    (void)channel;
    /* in fixed point; shifting a negative number down rounds down, as on every compiler for these chips */
    const int32_t line = (value * INT32_C(321) + INT32_C(-34784)) >> 12;
    return (int8_t)(line < -128 ? -128 : line > 127 ? 127 : line);
}

void tiny_net_preprocess(const uint8_t *pixels, int8_t *input)
{
    for (int32_t i = 0; i < INT32_C(16); i++) {
        input[i] = tiny_net_pixel(pixels[i], 0);
    }
}
