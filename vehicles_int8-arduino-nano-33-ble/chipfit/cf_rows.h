/* Windows of rows: what a run of layers that is computed row by row keeps of its inner tensors.
 *
 * A window holds the rows from `first` to `next` - 1 of a tensor, one after the other. A row that is computed is put at
 * its end; when the first rows are needed no more, the others move up. */
#ifndef CF_ROWS_H
#define CF_ROWS_H

#include <stdint.h>
#include <string.h>

typedef struct {
    int16_t first, next; /* row numbers; rows of padding above the image have negative ones */
} cf_rows;

/* where a row lies, or is to lie */
static inline uint8_t *cf_rows_at(uint8_t *window, cf_rows rows, int32_t row, int32_t bytes)
{
    return window + (row - rows.first) * bytes;
}

static inline void cf_rows_fill(uint8_t *window, cf_rows *rows, int32_t zero, int32_t bytes)
{
    memset(cf_rows_at(window, *rows, rows->next, bytes), (int)zero, (size_t)bytes);
    rows->next++;
}

static inline void cf_rows_drop(uint8_t *window, cf_rows *rows, int32_t count, int32_t bytes)
{
    rows->first = (int16_t)(rows->first + count);
    if (rows->first != rows->next) {
        memmove(window, window + count * bytes, (size_t)((rows->next - rows->first) * bytes));
    }
}

#endif
