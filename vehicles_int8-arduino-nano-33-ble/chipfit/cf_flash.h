/* CF_FLASH, behind the type of a constant or of what a pointer points at: it lies in flash that ordinary loads do not
 * read, as on an AVR. Everywhere else it says nothing. It is GNU C, not C++: keep such constants in .c files. */
#ifndef CF_FLASH_H
#define CF_FLASH_H

#if defined(__AVR__) && defined(__clang__)
#define CF_FLASH __attribute__((address_space(1)))
#elif defined(__AVR__)
#if !defined(__FLASH) && !defined(__cplusplus)
#error "constants in flash need GNU C: -std=gnu11"
#endif
#define CF_FLASH __flash
#else
#define CF_FLASH
#endif

#endif
