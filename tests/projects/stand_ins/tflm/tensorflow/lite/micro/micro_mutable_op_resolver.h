#ifndef STAND_IN_RESOLVER_H
#define STAND_IN_RESOLVER_H

#include "tensorflow/lite/micro/micro_allocator.h"

namespace tflite {

struct MicroOpResolver {
    unsigned added = 0;
    unsigned room;
    explicit MicroOpResolver(unsigned count) : room(count) {}
    TfLiteStatus Add() { return added++ < room ? kTfLiteOk : kTfLiteError; }
};

template <unsigned kCount>
struct MicroMutableOpResolver : MicroOpResolver {
    MicroMutableOpResolver() : MicroOpResolver(kCount) {}
    TfLiteStatus AddAssignVariable() { return Add(); }
    TfLiteStatus AddAdd() { return Add(); }
    TfLiteStatus AddCallOnce() { return Add(); }
    TfLiteStatus AddConv2D() { return Add(); }
    TfLiteStatus AddEthosU() { return Add(); }
    TfLiteStatus AddRelu() { return Add(); }
    TfLiteStatus AddReadVariable() { return Add(); }
    TfLiteStatus AddReshape() { return Add(); }
    TfLiteStatus AddVarHandle() { return Add(); }
};

}  // namespace tflite

#endif
