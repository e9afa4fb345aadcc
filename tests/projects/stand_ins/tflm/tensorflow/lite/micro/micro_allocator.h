#ifndef STAND_IN_ALLOCATOR_H
#define STAND_IN_ALLOCATOR_H

#include <stddef.h>
#include <stdint.h>

enum TfLiteStatus { kTfLiteOk = 0, kTfLiteError = 1 };

namespace tflite {

struct MicroAllocator {
    const uint8_t *arena;
    size_t size;
    static MicroAllocator *Create(uint8_t *tensor_arena, size_t arena_size)
    {
        static MicroAllocator allocator;
        allocator.arena = tensor_arena;
        allocator.size = arena_size;
        return &allocator;
    }
};

}  // namespace tflite

#endif
