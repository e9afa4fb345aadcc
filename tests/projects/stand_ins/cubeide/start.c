#include "main.h"

#include <string.h>

#include "cf_port.h"
#include "model_app.h"

uint32_t SystemCoreClock = 216000000u;
UART_HandleTypeDef huart1;

HAL_StatusTypeDef HAL_UART_Transmit(UART_HandleTypeDef *uart, const uint8_t *data, uint16_t size, uint32_t timeout)
{
    if (uart != &huart1 || size != strlen((const char *)data) || timeout != HAL_MAX_DELAY) {
        cf_port_exit(2);
    }
    cf_port_print((const char *)data);
    return 0;
}

int main(void)
{
    return model_app_run();
}
