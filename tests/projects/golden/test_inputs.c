/* Test inputs, stored: samples of inputs.npy. Made by chipfit.
 *
 * 0: sample 0
 * 1: sample 1
 */
#include "test_inputs.h"
#include "preprocess.h"
#include "chipfit/cf_flash.h"

/* as a camera would deliver them: channel by channel, left to right, top to bottom */
static const CF_FLASH uint8_t pixels[32] = {
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23,
    24, 25, 26, 27, 28, 29, 30, 31
};

/* what the outputs must be */
static const CF_FLASH int8_t output_0[18] = {
    -9, -9, -9, -8, -8, -8, -8, -8, -8, -7, -7, -7, -7, -7, -7, -7, -7, -7
};

void tiny_net_test_load(tiny_net_t *model, int32_t index)
{
    const CF_FLASH uint8_t *from = pixels + index * INT32_C(16);
    int8_t *to = tiny_net_input_0(model);
    for (int32_t i = 0; i < INT32_C(16); i++) {
        to[i] = tiny_net_pixel(from[i], 0);
    }
}

int32_t tiny_net_test_differences(const tiny_net_t *model, int32_t index)
{
    int32_t differences = 0;
    {
        const TINY_NET_OUTPUT_0_TYPE *given = tiny_net_output_0(model);
        const int32_t count = (int32_t)TINY_NET_OUTPUT_0_COUNT;
        const CF_FLASH TINY_NET_OUTPUT_0_TYPE *wanted = output_0 + index * count;
        for (int32_t i = 0; i < count; i++) {
            differences += given[i] != wanted[i];
        }
    }
    return differences;
}
