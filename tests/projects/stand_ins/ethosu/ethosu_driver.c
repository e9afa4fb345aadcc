/* Writes down what it is handed (chipfit.out), and lets the emulator's NPU execute it. */
#include "ethosu_driver.h"

#include "cf_port.h"
#include "stand_in_result.h"

#define VTOR (*(volatile uint32_t *)(uintptr_t)0xE000ED08u)
#define REGIONS 3
#define NPU_INVOKE 0x100

static struct ethosu_driver *registered;
static int is_reserved;

static void require(int holds, const char *what)
{
    if (!holds) {
        cf_port_print(what);
        cf_port_exit(99);
    }
}

static intptr_t invoke_npu(const void *block)
{
    register intptr_t r0 __asm__("r0") = NPU_INVOKE;
    register const void *r1 __asm__("r1") = block;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

int ethosu_init(struct ethosu_driver *drv, void *const base_address, const void *fast_memory,
                const size_t fast_memory_size, uint32_t secure_enable, uint32_t privilege_enable)
{
    void *shared = ethosu_semaphore_create();
    require(fast_memory == NULL && fast_memory_size == 0 && secure_enable && privilege_enable, "init\n");
    drv->base = base_address;
    drv->semaphore = ethosu_semaphore_create();
    require(shared != NULL && drv->semaphore != NULL && shared != drv->semaphore, "semaphores\n");
    require(ethosu_semaphore_create() == NULL, "a third semaphore\n");
    ethosu_semaphore_give(drv->semaphore);
    ethosu_semaphore_give(drv->semaphore);
    require(ethosu_semaphore_take(drv->semaphore, UINT64_MAX) == 0, "take\n");
    require(ethosu_semaphore_take(drv->semaphore, UINT64_MAX) == 0, "take again\n");
    registered = drv;
    return STAND_IN_INIT;
}

struct ethosu_driver *ethosu_reserve_driver(void)
{
    require(registered != NULL && !is_reserved, "reserve\n");
    is_reserved = 1;
    return registered;
}

void ethosu_release_driver(struct ethosu_driver *drv)
{
    require(drv == registered && is_reserved, "release\n");
    is_reserved = 0;
}

void ethosu_irq_handler(struct ethosu_driver *drv)
{
    require(drv == registered, "interrupt\n");
    ethosu_semaphore_give(drv->semaphore);
}

int ethosu_invoke_v3(struct ethosu_driver *drv, const void *custom_data_ptr, const int custom_data_size,
                     uint64_t *const base_addr, const size_t *base_addr_size, const int num_base_addr, void *user_arg)
{
    uint32_t block[2 + 2 * REGIONS] = {(uint32_t)(uintptr_t)custom_data_ptr, (uint32_t)custom_data_size};
    void (*handler)(void) = ((void (**)(void))(uintptr_t)VTOR)[16 + STAND_IN_INTERRUPT];
    (void)user_arg;
    require(num_base_addr == REGIONS && is_reserved, "invoke\n");
    for (int i = 0; i < REGIONS; i++) {
        block[2 + 2 * i] = (uint32_t)base_addr[i];
        block[3 + 2 * i] = (uint32_t)base_addr_size[i];
    }
    cf_port_write(&drv->base, sizeof drv->base);
    cf_port_write(block, sizeof block);
    cf_port_write(custom_data_ptr, (size_t)custom_data_size);
    cf_port_write((const void *)(uintptr_t)base_addr[0], base_addr_size[0]);
    require(invoke_npu(block) == 0, "no NPU\n");
    handler(); /* as the NPU's interrupt */
    require(ethosu_semaphore_take(drv->semaphore, UINT64_MAX) == 0, "wait\n");
    return STAND_IN_RESULT;
}
