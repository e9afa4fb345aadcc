#ifndef STAND_IN_VARIABLES_H
#define STAND_IN_VARIABLES_H

#include "tensorflow/lite/micro/micro_allocator.h"

namespace tflite {

struct MicroResourceVariables {
    int count;
    static MicroResourceVariables *Create(MicroAllocator *, int num_variables)
    {
        static MicroResourceVariables variables;
        variables.count = num_variables;
        return &variables;
    }
};

}  // namespace tflite

#endif
