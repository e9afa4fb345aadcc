/* What the sketches of projects use of Arduino's core, for tests. Serial is the emulator's console. */
#ifndef ARDUINO_H
#define ARDUINO_H

#include <stddef.h>
#include <stdint.h>

#define F(text) (text)

class SerialPort {
public:
    void begin(unsigned long baud);
    void print(const char *text);
    void print(long number);
    void print(unsigned long number);
    void print(double number, int digits);
    void println(const char *text);
    explicit operator bool() const { return true; }
};

extern SerialPort Serial;

unsigned long micros();
unsigned long millis();
void delay(unsigned long ms);
void setup();
void loop();

#endif
