/* Runs tiny net on the stored test inputs, again and again, and prints what came out.
 * Written by chipfit; yours to change.
 *
 * Instead of a stored input an application writes its own:
 *     uint8_t picture[4][4][1];
 *     tiny_net_preprocess(&picture[0][0][0], tiny_net_input_0(&model));
 */
#include <Arduino.h>

#include <TinyNet.h>
#include "tiny_net/test_inputs.h"

static tiny_net_t model;

void setup()
{
    Serial.begin(115200);
    while (!Serial && millis() < 5000) {
        /* a board whose USB port is its own waits for the monitor, but not for ever */
    }
    if (tiny_net_init(&model, NULL, 0) != 0) {
        Serial.println(F("tiny_net: no memory"));
        for (;;) {
        }
    }
}

void loop()
{
    int differ = 0;
    tiny_net_reset(&model);
    for (int32_t i = 0; i < TINY_NET_TEST_INPUTS; i++) {
        tiny_net_test_load(&model, i);
        const unsigned long start = micros();
        tiny_net_run(&model);
        const unsigned long time = micros() - start;
        const bool is_same = tiny_net_test_differences(&model, i) == 0;
        differ += is_same ? 0 : 1;

        Serial.print(F("input "));
        Serial.print((long)i);
        const int32_t best = tiny_net_best(&model);
        Serial.print(F(": class "));
        Serial.print((long)best);
        Serial.print(F(" "));
        Serial.print(tiny_net_label(best));
        Serial.print(F(", score "));
        Serial.print(tiny_net_score(&model, best), 3);
        Serial.print(F(", "));
        Serial.print(time);
        Serial.print(F(" us: "));
        Serial.println(is_same ? F("ok") : F("differs from the reference"));
    }
    Serial.print(F("chipfit tiny_net: "));
    Serial.print((long)TINY_NET_TEST_INPUTS);
    Serial.print(F(" test inputs, "));
    Serial.print((long)differ);
    Serial.println(F(" differ"));
    delay(5000);
}
