/* Forms of the requantization, the cheapest first (see ops/_fold.py). A = 256 * acc + c. */
#ifndef CF_FORM_H
#define CF_FORM_H

enum {
    CF_FORM_LINE,      /* sat8((A * m >> 32) >> shift) */
    CF_FORM_TWO_LINES, /* A < 0: A -= j; then sat8(((A * m >> 32) + rounding) >> shift) */
    CF_FORM_EXACT      /* TFLite's own, A = 256 * acc; a shift for each output, rounding is the output's zero point */
};

#endif
