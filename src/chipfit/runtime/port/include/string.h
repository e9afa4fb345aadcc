/* The part of string.h that generated code uses; zig's compiler support library defines it on bare chips. */
#ifndef CF_STRING_H
#define CF_STRING_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

void *memcpy(void *to, const void *from, size_t n);
void *memmove(void *to, const void *from, size_t n);
void *memset(void *to, int byte, size_t n);
int memcmp(const void *a, const void *b, size_t n);
size_t strlen(const char *text);

#ifdef __cplusplus
}
#endif

#endif
