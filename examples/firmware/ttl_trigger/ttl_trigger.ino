// Trigger box of myoloop: TTL triggers for a stimulator (DS8R, DS7A, DS5), for an Arduino (AVR, SAMD or like).
//
// The protocol is written down in myoloop/stimulators/ttl_trigger.py. Written for safety: outputs are low at start, at
// the end of a train (at most 250 ms), 250 ms after the last whole line, and at anything that is not understood. No
// output gives more than 150 triggers in a second, whatever it is told, nor more than 40 for one line. All times are
// differences of unsigned 32-bit microseconds, so that their wrap after 71 minutes changes nothing.
//
// A line to the pins needs a resistor to ground (10 kilo-ohm): a board without power, or in reset, holds them by nothing
// else. This is research software; the stimulator behind it is the medical device, with its own limits set by hand.

#include <Arduino.h>

static const uint8_t VERSION = 1;
static const uint8_t OUTPUTS = 4;
static const uint8_t PINS[OUTPUTS] = {5, 6, 7, 8};
static const uint32_t PERIOD_MIN_US = 6667;
static const uint32_t PERIOD_MAX_US = 1000000;
static const uint32_t TRAIN_MAX_MS = 250;
static const uint32_t WATCHDOG_MS = 250;
static const uint8_t PULSES_MAX = 40;
static const uint32_t HIGH_US = 100;
static const uint8_t LINE_MAX = 80;
static const uint8_t FIELDS_MAX = 2 + OUTPUTS;

static const uint8_t NOT_UNDERSTOOD = 1;
static const uint8_t OUT_OF_RANGE = 2;

struct Output {
  uint32_t periodUs;  // 0: none
  uint32_t lastUs;    // its last edge; counts only where `edged`
  uint32_t made;
  uint8_t left;
  bool edged;
  bool high;
};

static Output outputs[OUTPUTS];
static uint32_t trainStartUs, trainUs;  // the train runs while now - start < length
static uint32_t lineUs;                 // when the last whole line came
static char line[LINE_MAX + 1];
static uint8_t lineLength;
static bool lineTooLong;

// ---- outputs ------------------------------------------------------------------------------------------------------

static void allLow() {
  for (uint8_t i = 0; i < OUTPUTS; i++) {
    digitalWrite(PINS[i], LOW);
    outputs[i].periodUs = 0;
    outputs[i].high = false;
  }
  trainUs = 0;
}

// An edge that could not be seen for more than half the range of micros() must not look new after its wrap.
static void forgetOldEdges(uint32_t nowUs) {
  for (uint8_t i = 0; i < OUTPUTS; i++) {
    if (outputs[i].edged && nowUs - outputs[i].lastUs > 0x80000000UL) outputs[i].lastUs = nowUs - 0x80000000UL;
  }
}

static void giveEdges() {
  for (uint8_t i = 0; i < OUTPUTS; i++) {
    Output &out = outputs[i];
    uint32_t nowUs = micros();
    if (out.high && nowUs - out.lastUs >= HIGH_US) {
      digitalWrite(PINS[i], LOW);
      out.high = false;
    }
    if (out.periodUs == 0) continue;
    if (nowUs - trainStartUs >= trainUs || nowUs - lineUs >= WATCHDOG_MS * 1000UL) {
      allLow();
      return;
    }
    if (out.left == 0) continue;
    uint32_t sinceUs = nowUs - out.lastUs;
    // The second limit stands whatever the first says.
    if (out.edged && (sinceUs < out.periodUs || sinceUs < PERIOD_MIN_US)) continue;
    digitalWrite(PINS[i], HIGH);
    out.high = true;
    // What is late stays late: no two edges are closer than a period.
    out.lastUs = nowUs;
    out.edged = true;
    out.made++;
    out.left--;
  }
}

// ---- lines --------------------------------------------------------------------------------------------------------

static uint16_t crcOf(const char *data, uint8_t length) {
  uint16_t crc = 0xFFFF;
  for (uint8_t i = 0; i < length; i++) {
    crc ^= (uint16_t)(uint8_t)data[i] << 8;
    for (uint8_t bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? (uint16_t)(crc << 1) ^ 0x1021 : (uint16_t)(crc << 1);
  }
  return crc;
}

static char hexOf(uint8_t nibble) { return nibble < 10 ? (char)('0' + nibble) : (char)('A' + nibble - 10); }

static char reply[200];
static uint8_t replyLength;

static void put(char c) {
  if (replyLength < sizeof(reply)) reply[replyLength++] = c;
}

static void putNumber(uint32_t value) {
  char digits[10];
  uint8_t count = 0;
  do {
    digits[count++] = (char)('0' + value % 10);
    value /= 10;
  } while (value);
  put(',');
  while (count) put(digits[--count]);
}

static void beginReply(char kind) {
  replyLength = 0;
  put(kind);
}

static void sendReply() {
  uint16_t crc = crcOf(reply, replyLength);
  put('*');
  for (int8_t shift = 12; shift >= 0; shift -= 4) put(hexOf((uint8_t)(crc >> shift & 15)));
  put('\n');
  // Edges are not kept waiting for the port: it is fed as it empties.
  for (uint8_t i = 0; i < replyLength; i++) {
    while (Serial.availableForWrite() < 1) giveEdges();
    Serial.write((uint8_t)reply[i]);
  }
}

static void putEdges(uint32_t nowUs) {
  for (uint8_t i = 0; i < OUTPUTS; i++) {
    putNumber(outputs[i].made);
    putNumber(outputs[i].edged ? nowUs - outputs[i].lastUs : 0);
  }
}

static void refuse(uint32_t sequence, uint8_t code) {
  allLow();
  uint32_t nowUs = micros();
  beginReply('e');
  putNumber(sequence);
  putNumber(nowUs);
  putNumber(code);
  putEdges(nowUs);
  sendReply();
}

static void answer(char kind, uint32_t sequence) {
  uint32_t nowUs = micros();
  beginReply(kind);
  putNumber(sequence);
  putNumber(nowUs);
  if (kind == 'i') {
    putNumber(VERSION);
    putNumber(OUTPUTS);
    putNumber(PERIOD_MIN_US);
    putNumber(TRAIN_MAX_MS);
    putNumber(WATCHDOG_MS);
    putNumber(PULSES_MAX);
    putNumber(HIGH_US);
  } else {
    for (uint8_t i = 0; i < OUTPUTS; i++) putNumber(outputs[i].periodUs);
  }
  putEdges(nowUs);
  sendReply();
}

// Numbers after the letter, each below 2^32; their count, or 0 where the body is anything else.
static uint8_t readNumbers(const char *body, uint8_t length, uint32_t *numbers) {
  uint8_t count = 0, at = 1;
  while (at < length) {
    if (body[at++] != ',' || count == FIELDS_MAX) return 0;
    uint64_t value = 0;
    uint8_t digits = 0;
    while (at < length && body[at] >= '0' && body[at] <= '9') {
      value = value * 10 + (uint64_t)(body[at++] - '0');
      if (++digits > 10) return 0;
    }
    if (digits == 0 || value > 0xFFFFFFFFULL) return 0;
    numbers[count++] = (uint32_t)value;
  }
  return count;
}

static bool crcIsRight(const char *text, uint8_t length) {
  if (length < 6 || text[length - 5] != '*') return false;
  uint16_t crc = crcOf(text, (uint8_t)(length - 5));
  for (uint8_t i = 0; i < 4; i++) {
    if (text[length - 4 + i] != hexOf((uint8_t)(crc >> (12 - 4 * i) & 15))) return false;
  }
  return true;
}

static void startTrain(uint32_t sequence, const uint32_t *fields) {
  bool good = fields[0] >= 1 && fields[0] <= TRAIN_MAX_MS;
  for (uint8_t i = 0; i < OUTPUTS; i++) {
    uint32_t periodUs = fields[1 + i];
    if (periodUs != 0 && (periodUs < PERIOD_MIN_US || periodUs > PERIOD_MAX_US)) good = false;
  }
  if (!good) {
    refuse(sequence, OUT_OF_RANGE);
    return;
  }
  trainStartUs = micros();
  trainUs = fields[0] * 1000UL;
  for (uint8_t i = 0; i < OUTPUTS; i++) {
    outputs[i].periodUs = fields[1 + i];
    outputs[i].left = PULSES_MAX;
  }
  giveEdges();
  answer('t', sequence);
}

static void obey(const char *text, uint8_t length) {
  uint32_t numbers[FIELDS_MAX];
  uint8_t count = crcIsRight(text, length) ? readNumbers(text, (uint8_t)(length - 5), numbers) : 0;
  char kind = text[0];
  bool whole = (kind == 'T' && count == FIELDS_MAX) || ((kind == 'I' || kind == 'S') && count == 1);
  if (!whole) {
    refuse(0, NOT_UNDERSTOOD);
    return;
  }
  lineUs = micros();
  if (kind == 'T') {
    startTrain(numbers[0], numbers + 1);
  } else if (kind == 'S') {
    allLow();
    answer('s', numbers[0]);
  } else {
    answer('i', numbers[0]);
  }
}

// ---- the loop -----------------------------------------------------------------------------------------------------

void setup() {
  for (uint8_t i = 0; i < OUTPUTS; i++) {
    // The level before the direction: a pin is never driven high by becoming an output.
    digitalWrite(PINS[i], LOW);
    pinMode(PINS[i], OUTPUT);
  }
  allLow();
  lineUs = micros() - WATCHDOG_MS * 1000UL;
  Serial.begin(115200);
  beginReply('H');
  putNumber(VERSION);
  sendReply();
}

void loop() {
  forgetOldEdges(micros());
  giveEdges();
  while (Serial.available() > 0) {
    int c = Serial.read();
    if (c < 0) break;
    if (c == '\n') {
      uint8_t length = lineLength;
      bool tooLong = lineTooLong;
      lineLength = 0;
      lineTooLong = false;
      if (tooLong) {
        refuse(0, NOT_UNDERSTOOD);
      } else if (length > 0) {
        obey(line, length);
      }
    } else if (lineLength < LINE_MAX) {
      line[lineLength++] = (char)c;
    } else {
      lineTooLong = true;
    }
    giveEdges();
  }
}
