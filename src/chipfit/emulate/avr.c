/* Runs a program on simavr's model of an AVR and says what it did: cycles and instructions between marks, stack, output.
 *
 * A process of its own, compiled on first use where simavr's headers are installed (avr.py has the other end).
 * Arguments: FOLDER MCU HZ CODE_END STACK_BOTTOM STACK_FROM MAX_INSTRUCTIONS MAX_CYCLES MARK..., addresses as bytes; data
 * addresses without the 0x800000 of ELF files. FOLDER holds flash.bin and input.bin and gets output.bin and console.bin. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "avr_uart.h"
#include "sim_avr.h"

enum { PORT_DATA = 0x3E, PORT_REQUEST = 0x4A, PORT_STATUS = 0x4B }; /* as in runtime/port/port_avr.c */
enum { READ = 1, WRITE = 2, PRINT = 3, EXIT = 4 };
enum { SP_LOW = 0x5D, SP_HIGH = 0x5E };
#define NO_MARK UINT32_MAX

typedef struct {
    unsigned long long visits, instructions, cycles;
} mark_t;

static struct {
    FILE *input, *output, *console;
    int exit_code, has_ended;
} port;

static FILE *open_in(const char *folder, const char *name, const char *mode)
{
    char path[4096];
    FILE *file;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    file = fopen(path, mode);
    if (file == NULL) {
        perror(path);
        exit(2);
    }
    return file;
}

/* the program writes what it wants into PORT_REQUEST */
static void on_request(struct avr_t *avr, avr_io_addr_t address, uint8_t value, void *param)
{
    int byte;
    (void)param;
    avr->data[address] = value;
    switch (value) {
    case READ:
        byte = fgetc(port.input);
        avr->data[PORT_STATUS] = byte == EOF;
        avr->data[PORT_DATA] = (uint8_t)byte;
        break;
    case WRITE:
        fputc(avr->data[PORT_DATA], port.output);
        break;
    case PRINT:
        fputc(avr->data[PORT_DATA], port.console);
        break;
    case EXIT:
        port.exit_code = avr->data[PORT_DATA];
        port.has_ended = 1;
        break;
    default:
        break;
    }
}

static void on_uart(struct avr_irq_t *irq, uint32_t value, void *param)
{
    (void)irq;
    (void)param;
    fputc((int)(value & 0xff), port.console);
}

/* simavr would let the computer sleep as long as the chip does */
static void do_not_sleep(struct avr_t *avr, avr_cycle_count_t cycles)
{
    (void)avr;
    (void)cycles;
}

static avr_t *make_chip(const char *folder, const char *mcu, uint32_t hz)
{
    avr_t *avr = avr_make_mcu_by_name(mcu);
    FILE *image = open_in(folder, "flash.bin", "rb");
    uint32_t flags = 0;
    if (avr == NULL) {
        fprintf(stderr, "simavr has no %s\n", mcu);
        exit(2);
    }
    avr_init(avr);
    avr->frequency = hz;
    avr->log = LOG_NONE;
    avr->sleep = do_not_sleep;
    if (fread(avr->flash, 1, avr->flashend + 1u, image) == 0) {
        fprintf(stderr, "flash.bin is empty\n");
        exit(2);
    }
    fclose(image);
    avr->pc = 0;
    avr->codeend = avr->flashend;
    avr_register_io_write(avr, PORT_REQUEST, on_request, NULL);
    avr_ioctl(avr, AVR_IOCTL_UART_GET_FLAGS('0'), &flags);
    flags &= ~(uint32_t)AVR_UART_FLAG_STDIO;
    avr_ioctl(avr, AVR_IOCTL_UART_SET_FLAGS('0'), &flags);
    avr_irq_register_notify(avr_io_getirq(avr, AVR_IOCTL_UART_GETIRQ('0'), UART_IRQ_OUTPUT), on_uart, NULL);
    return avr;
}

static unsigned stack_pointer(const avr_t *avr)
{
    return avr->data[SP_LOW] | (unsigned)avr->data[SP_HIGH] << 8;
}

/* PUSH, CALL, RCALL, ICALL: after them the stack pointer is whole */
static int moves_stack(const avr_t *avr)
{
    const unsigned op = avr->flash[avr->pc] | (unsigned)avr->flash[avr->pc + 1] << 8;
    return (op & 0xFE0F) == 0x920F || (op & 0xFE0E) == 0x940E || (op & 0xF000) == 0xD000 || op == 0x9509;
}

typedef struct {
    unsigned bottom; /* the stack may use this byte, but none below */
    uint32_t from;   /* the function whose stack is measured */
    unsigned last, steady, lowest;
    unsigned entry, used; /* stack pointer at the entry of `from`, 0 outside of it */
} stack_t_;

/* Looks at the stack pointer after an instruction. Its bytes are written one after the other when a function makes room for
 * variables, so that it counts only where an instruction has moved it as a whole, or where it stays for three. */
static int watch_stack(stack_t_ *s, unsigned sp, int is_whole)
{
    s->steady = sp == s->last ? s->steady + 1u : 0u;
    s->last = sp;
    if (!is_whole && s->steady < 3u) {
        return 1;
    }
    if (s->entry != 0u && sp > s->entry) { /* it has returned */
        s->used = s->entry - s->lowest > s->used ? s->entry - s->lowest : s->used;
        s->entry = 0;
    }
    if (sp < s->lowest) {
        s->lowest = sp;
    }
    return sp + 1u >= s->bottom;
}

int main(int argc, char **argv)
{
    enum { FOLDER = 1, MCU, HZ, CODE_END, STACK_BOTTOM, STACK_FROM, MAX_INSTRUCTIONS, MAX_CYCLES, MARKS };
    if (argc < MARKS) {
        return 2;
    }
    avr_t *avr = make_chip(argv[FOLDER], argv[MCU], (uint32_t)strtoul(argv[HZ], NULL, 10));
    const uint32_t code_end = (uint32_t)strtoul(argv[CODE_END], NULL, 10);
    const unsigned long long limit = strtoull(argv[MAX_INSTRUCTIONS], NULL, 10);
    const unsigned long long cycle_limit = strtoull(argv[MAX_CYCLES], NULL, 10);
    const uint32_t mark_count = (uint32_t)(argc - MARKS);
    const char *why = "exit";
    unsigned long long instructions = 0;
    uint32_t current = NO_MARK, fault_pc;
    stack_t_ stack = {0};
    mark_t *marks = calloc(mark_count + 1u, sizeof *marks);
    uint32_t *mark_at = malloc((avr->flashend + 1u) * sizeof *mark_at);
    if (marks == NULL || mark_at == NULL) {
        return 2;
    }
    memset(mark_at, 0xff, (avr->flashend + 1u) * sizeof *mark_at);
    for (uint32_t i = 0; i < mark_count; i++) {
        mark_at[strtoul(argv[MARKS + i], NULL, 10)] = i;
    }
    stack.bottom = (unsigned)strtoul(argv[STACK_BOTTOM], NULL, 10);
    stack.from = (uint32_t)strtoul(argv[STACK_FROM], NULL, 10);
    stack.lowest = UINT32_MAX;
    port.input = open_in(argv[FOLDER], "input.bin", "rb");
    port.output = open_in(argv[FOLDER], "output.bin", "wb");
    port.console = open_in(argv[FOLDER], "console.bin", "wb");

    for (;;) {
        const uint32_t pc = fault_pc = (uint32_t)avr->pc;
        const avr_cycle_count_t before = avr->cycle;
        int is_whole;
        if (pc >= code_end) {
            why = "execution";
            break;
        }
        if (mark_at[pc] != NO_MARK) {
            current = mark_at[pc];
            marks[current].visits++;
        }
        if (pc == stack.from && stack.entry == 0u) {
            stack.entry = stack.lowest = stack_pointer(avr);
        }
        is_whole = moves_stack(avr);
        avr->run_cycle_count = 1; /* one instruction at a time */
        avr_run(avr);
        instructions++;
        if (current != NO_MARK) {
            marks[current].instructions++;
            marks[current].cycles += avr->cycle - before;
        }
        if (port.has_ended) {
            break;
        }
        if (avr->state == cpu_Crashed || avr->state == cpu_Done) {
            why = "crash";
            break;
        }
        if (!watch_stack(&stack, stack_pointer(avr), is_whole)) {
            why = "stack";
            break;
        }
        if (instructions >= limit || avr->cycle >= cycle_limit) {
            why = "limit";
            break;
        }
    }
    printf("%s %d %u %llu %llu %u\n", why, port.exit_code, (unsigned)fault_pc, instructions,
           (unsigned long long)avr->cycle, stack.used);
    for (uint32_t i = 0; i < mark_count; i++) {
        printf("%llu %llu %llu\n", marks[i].visits, marks[i].instructions, marks[i].cycles);
    }
    if (fclose(port.output) != 0 || fclose(port.console) != 0) {
        return 2;
    }
    return 0;
}
