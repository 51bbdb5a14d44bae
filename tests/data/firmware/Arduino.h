// As much of an Arduino as the sketch needs, for the bench.
#pragma once
#include <stddef.h>
#include <stdint.h>
#define HIGH 1
#define LOW 0
#define OUTPUT 1
uint32_t micros();
void digitalWrite(uint8_t pin, uint8_t level);
void pinMode(uint8_t pin, uint8_t mode);
struct Port {
  void begin(long) {}
  int available();
  int read();
  int availableForWrite() { return 1; }
  void write(uint8_t byte);
};
extern Port Serial;
