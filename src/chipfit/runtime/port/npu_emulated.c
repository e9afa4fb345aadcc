/* cf_npu_invoke on chipfit's emulator: a request for semihosting of a number that is left to applications, which the
 * emulator answers with its simulator of the NPU. Source of the numbers: "Semihosting for AArch32 and AArch64" (Arm, 2.0),
 * section 7. */
#include <stdint.h>

#include "cf_npu.h"
#include "cf_port.h"

#define NPU_INVOKE 0x100

static intptr_t request(intptr_t operation, const void *argument)
{
    register intptr_t r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

void cf_npu_invoke(const void *stream, size_t stream_bytes, void *const bases[CF_NPU_REGIONS],
                   const size_t sizes[CF_NPU_REGIONS])
{
    uintptr_t block[2 + 2 * CF_NPU_REGIONS];
    block[0] = (uintptr_t)stream;
    block[1] = stream_bytes;
    for (int i = 0; i < CF_NPU_REGIONS; i++) {
        block[2 + 2 * i] = (uintptr_t)bases[i];
        block[3 + 2 * i] = sizes[i];
    }
    if (request(NPU_INVOKE, block) != 0) {
        cf_port_exit(71); /* EX_OSERR of sysexits.h */
    }
}
