// Runs the sketch (included before this) on a clock of its own: lines "<us> <hex bytes or ->" in, "E <us> <output>" for
// each rising edge and "A <us> <line>" for each answer out. The loop takes 10 us.
#include <cstdio>
#include <deque>
#include <string>

static const uint32_t START_US = 4294000000u;
static uint32_t nowUs = START_US;
static int levels[16];
static std::deque<uint8_t> received;
static std::string said;
Port Serial;

uint32_t micros() { return nowUs; }
void pinMode(uint8_t, uint8_t) {}
void digitalWrite(uint8_t pin, uint8_t level) {
  if (level && !levels[pin]) std::printf("E %u %u\n", (unsigned)(nowUs - START_US), (unsigned)(pin - 5));
  levels[pin] = level;
}
int Port::available() { return (int)received.size(); }
int Port::read() {
  if (received.empty()) return -1;
  int byte = received.front();
  received.pop_front();
  return byte;
}
void Port::write(uint8_t byte) {
  said.push_back((char)byte);
  if (byte != '\n') return;
  std::printf("A %u %s", (unsigned)(nowUs - START_US), said.c_str());
  said.clear();
}

int main() {
  setup();
  unsigned untilUs;
  char hex[4096];
  while (std::scanf("%u %4095s", &untilUs, hex) == 2) {
    while (nowUs - START_US < untilUs) {
      loop();
      nowUs += 10;
    }
    unsigned byte;
    for (const char *at = hex; *at != '-' && std::sscanf(at, "%2x", &byte) == 1; at += 2) received.push_back((uint8_t)byte);
    loop();
  }
  return 0;
}
