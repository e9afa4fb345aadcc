#include <stdint.h>

typedef struct {
    int instance;
} UART_HandleTypeDef;
typedef int HAL_StatusTypeDef;
#define HAL_MAX_DELAY 0xFFFFFFFFU

extern uint32_t SystemCoreClock;

HAL_StatusTypeDef HAL_UART_Transmit(UART_HandleTypeDef *uart, const uint8_t *data, uint16_t size, uint32_t timeout);
