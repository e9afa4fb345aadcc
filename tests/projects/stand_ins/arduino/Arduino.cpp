/* The stand-in for Arduino's core: a sketch is set up and loops until it waits for the first time. */
#include "Arduino.h"

#include "cf_port.h"

SerialPort Serial;
static unsigned long now;

unsigned long micros()
{
    return now += 5;
}

unsigned long millis()
{
    return micros() / 1000;
}

void delay(unsigned long)
{
    cf_port_exit(0);
}

void SerialPort::begin(unsigned long) {}

void SerialPort::print(const char *text)
{
    cf_port_print(text);
}

void SerialPort::println(const char *text)
{
    print(text);
    print("\n");
}

void SerialPort::print(unsigned long number)
{
    char text[12];
    char *digit = text + sizeof text - 1;
    *digit = '\0';
    do {
        *--digit = static_cast<char>('0' + number % 10);
        number /= 10;
    } while (number != 0);
    print(digit);
}

void SerialPort::print(long number)
{
    if (number < 0) {
        print("-");
    }
    print(static_cast<unsigned long>(number < 0 ? -number : number));
}

void SerialPort::print(double number, int digits)
{
    long scale = 1;
    while (digits-- > 0) {
        scale *= 10;
    }
    print(static_cast<long>(number * static_cast<double>(scale)));
    print("/");
    print(scale);
}

int main()
{
    setup();
    for (;;) {
        loop();
    }
}
