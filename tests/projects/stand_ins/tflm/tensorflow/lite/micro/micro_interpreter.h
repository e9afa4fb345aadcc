#ifndef STAND_IN_INTERPRETER_H
#define STAND_IN_INTERPRETER_H

#include "stand_in_result.h"
#include "stand_in_tflm.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/micro/micro_resource_variable.h"
#include "tensorflow/lite/schema/schema_generated.h"

struct TfLiteTensor {
    union {
        void *data;
    } data;
};

namespace tflite {

class MicroInterpreter {
public:
    MicroInterpreter(const Model *model, const MicroOpResolver &resolver, MicroAllocator *allocator,
                     MicroResourceVariables *variables = nullptr)
        : model_(model), resolver_(resolver), allocator_(allocator), variables_(variables), tensors_()
    {
    }

    TfLiteStatus AllocateTensors()
    {
        stand_in_start();
        tensors_[0].data.data = stand_in_input();
        tensors_[1].data.data = stand_in_output();
        const bool is_whole = resolver_.added == resolver_.room && allocator_->size >= STAND_IN_ARENA;
        const bool has_variables = (variables_ == nullptr ? 0 : variables_->count) == STAND_IN_VARIABLES;
        const uintptr_t places = reinterpret_cast<uintptr_t>(model_->bytes) | reinterpret_cast<uintptr_t>(allocator_->arena);
        return is_whole && has_variables && (places & 15u) == 0 ? kTfLiteOk : kTfLiteError;
    }

    TfLiteStatus Invoke()
    {
        stand_in_run();
        return kTfLiteOk;
    }

    TfLiteTensor *input(size_t index) { return index == 0 ? &tensors_[0] : nullptr; }
    TfLiteTensor *output(size_t index) { return index == 0 ? &tensors_[1] : nullptr; }
    size_t arena_used_bytes() const { return STAND_IN_ARENA; }

private:
    const Model *model_;
    const MicroOpResolver &resolver_;
    MicroAllocator *allocator_;
    MicroResourceVariables *variables_;
    TfLiteTensor tensors_[2];
};

}  // namespace tflite

#endif
