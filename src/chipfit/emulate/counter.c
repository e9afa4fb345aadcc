/* Counts what an emulated core executes: one call per executed block of instructions (Unicorn's UC_HOOK_BLOCK).
 *
 * A block is a run of instructions that always execute together. Its instructions are counted once, from the lengths
 * in the code; each execution then adds that number. Predicated instructions (IT blocks) count whether their
 * condition holds or not, as they do on the chip. counter.py holds the same in Python: keep the two equal.
 *
 * No libc and no unicorn headers: whatever it needs is handed in by address. */
#include <stdint.h>

#ifdef _WIN32
#define EXPORT __declspec(dllexport)
/* A library without the C runtime needs an entry point of its own. */
int __stdcall DllMainCRTStartup(void *module, unsigned reason, void *reserved)
{
    (void)module;
    (void)reason;
    (void)reserved;
    return 1;
}
#else
#define EXPORT __attribute__((visibility("default")))
#endif

#define CHUNK 256

struct block { /* what one mark executed of a block */
    uint64_t address;
    uint64_t hits;
    uint64_t taken; /* executions that did not go on with the instruction behind the block */
    uint32_t size;  /* bytes; 0: the slot is free */
    uint32_t instructions;
    int32_t mark;  /* index of the mark that starts here, or -1 */
    int32_t owner; /* index of the mark that executed it, or -1 */
};

struct mark {
    uint64_t address;
    uint64_t visits;
    uint64_t instructions;
};

struct state {
    int (*read)(void *uc, uint64_t address, void *bytes, uint64_t size);
    int (*stop)(void *uc);
    void (*watched)(uint64_t address); /* called before a block at a watched address runs */
    int (*tick)(uint64_t total);       /* called about every tick_step instructions; nonzero stops */
    struct block *blocks;
    struct block *last; /* the block that ran before this one */
    struct mark *marks;
    uint64_t slots; /* a power of two */
    uint64_t used;
    uint64_t mark_count;
    uint64_t total;
    uint64_t limit;
    uint64_t next_tick;
    uint64_t tick_step;
    uint64_t watch[2];
    uint64_t behind; /* the address behind the last block */
    uint64_t since; /* total at the entry of the current mark */
    int64_t current; /* mark that the instructions now belong to, or -1 */
    uint32_t is_riscv;
    uint32_t problem; /* see counter.py: LIMIT, TABLE_FULL, STOPPED, UNREADABLE */
};

enum { LIMIT = 1, TABLE_FULL = 2, STOPPED = 3, UNREADABLE = 4 };

static int is_long(const struct state *s, unsigned low, unsigned high)
{
    if (s->is_riscv) {
        return (low & 3) == 3; /* RISC-V unprivileged manual, 1.5: two low bits set mean 32 bits */
    }
    return (high >> 3) >= 0x1d; /* Armv7-M ARM, A5.1: 0b11101, 0b11110, 0b11111 start a 32-bit instruction */
}

static uint32_t count(struct state *s, void *uc, uint64_t address, uint32_t size)
{
    uint8_t bytes[CHUNK];
    uint32_t at = 0, n = 0;
    while (at < size) {
        uint32_t length = size - at < CHUNK ? size - at : CHUNK;
        uint32_t i = 0;
        if (s->read(uc, address + at, bytes, length) != 0) {
            s->problem = UNREADABLE;
            return 0;
        }
        while (i < length) {
            i += is_long(s, bytes[i], bytes[i + 1]) ? 4 : 2;
            ++n;
        }
        at += i;
    }
    return n;
}

static struct block *find(struct state *s, void *uc, uint64_t address, uint32_t size, int32_t owner)
{
    uint64_t mask = s->slots - 1;
    uint64_t key = (address >> 1) ^ ((uint64_t)(uint32_t)owner << 40);
    uint64_t i = (key * 0x9E3779B97F4A7C15u >> 32) & mask;
    uint64_t m;
    struct block *b;
    while (s->blocks[i].size != 0) {
        b = &s->blocks[i];
        if (b->address == address && b->size == size && b->owner == owner) {
            return b;
        }
        i = (i + 1) & mask;
    }
    if (s->used * 4 >= s->slots * 3) {
        s->problem = TABLE_FULL;
        return 0;
    }
    b = &s->blocks[i];
    b->address = address;
    b->size = size;
    b->instructions = count(s, uc, address, size);
    b->mark = -1;
    b->owner = owner;
    for (m = 0; m < s->mark_count; ++m) {
        if (s->marks[m].address == address) {
            b->mark = (int32_t)m;
        }
    }
    ++s->used;
    return b;
}

EXPORT void cf_counter_block(void *uc, uint64_t address, uint32_t size, void *user)
{
    struct state *s = user;
    struct block *b;
    if (s->problem != 0) {
        return; /* the emulator is on its way out */
    }
    if (address == s->watch[0] || address == s->watch[1]) {
        s->watched(address);
    }
    if (s->last != 0 && address != s->behind) {
        ++s->last->taken;
    }
    b = find(s, uc, address, size, (int32_t)s->current);
    if (b != 0 && b->mark >= 0) {
        if (s->current >= 0) {
            s->marks[s->current].instructions += s->total - s->since;
        }
        s->current = b->mark;
        s->since = s->total;
        ++s->marks[s->current].visits;
        b = find(s, uc, address, size, (int32_t)s->current);
    }
    s->last = b;
    s->behind = address + size;
    if (b != 0) {
        ++b->hits;
        s->total += b->instructions;
        if (s->total >= s->limit) {
            s->problem = LIMIT;
        } else if (s->total >= s->next_tick) {
            s->next_tick = s->total + s->tick_step;
            if (s->tick(s->total) != 0) {
                s->problem = STOPPED;
            }
        }
    }
    if (s->problem != 0) {
        s->stop(uc);
    }
}
