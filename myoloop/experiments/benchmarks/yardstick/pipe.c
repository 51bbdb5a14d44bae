/* The yardstick over plain pipes in C: source, processor and sink, three processes.
 *
 * pipe START_NS PERIOD_NS BLOCKS WARM CHANNELS SAMPLES SECTIONS OUT  b0 b1 b2 a1 a2  b0 ...
 *
 * OUT gets BLOCKS times (emitted, arrived) as int64 nanoseconds of CLOCK_MONOTONIC, 0 where nothing arrived, then
 * the CPU seconds of the three after the warm-up as double.
 */
#define _GNU_SOURCE
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

enum { MAX_CHANNELS = 64, MAX_SAMPLES = 256, MAX_SECTIONS = 16, WINDOW_BLOCKS = 64 };

typedef struct { int64_t number, t_ns; int16_t counts[MAX_SAMPLES * MAX_CHANNELS]; } Block;
typedef struct { int64_t number; double current_ma; } Command;
typedef struct { int64_t emitted, arrived; } Stamp;

static int64_t start_ns, period_ns;
static int blocks, warm, channels, samples, sections;
static double sos[MAX_SECTIONS][5];
static double *cpu;
static Stamp *stamps;

static int64_t now_ns(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* CPU time since the end of the warm-up. */
static void account(int who, int number) {
    static int64_t since = -1;
    int64_t used = now_ns(CLOCK_PROCESS_CPUTIME_ID);
    if (since < 0 && number >= warm) since = used;
    if (since >= 0) cpu[who] = (used - since) * 1e-9;
}

static int read_whole(int fd, void *to, size_t size) {
    size_t have = 0;
    while (have < size) {
        struct pollfd wait = {fd, POLLIN, 0};
        if (poll(&wait, 1, 2000) <= 0) return 0;
        ssize_t got = read(fd, (char *)to + have, size - have);
        if (got <= 0) return 0;
        have += got;
    }
    return 1;
}

static size_t block_bytes(void) { return 2 * sizeof(int64_t) + sizeof(int16_t) * samples * channels; }

static void source(int out) {
    static Block block;
    uint32_t state = 1;
    for (int number = 0; number < blocks; number++) {
        for (int i = 0; i < samples * channels; i++) {
            state = state * 1664525u + 1013904223u;
            block.counts[i] = (int16_t)((int32_t)(state >> 16) % 1000 - 500);
        }
        int64_t due = start_ns + number * period_ns;
        struct timespec at = {due / 1000000000, due % 1000000000};
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
        block.number = number;
        block.t_ns = stamps[number].emitted = now_ns(CLOCK_MONOTONIC);
        if (write(out, &block, block_bytes()) < 0) return;
        account(0, number);
    }
}

static void processor(int in, int out, int window) {
    static Block block;
    static double z[MAX_SECTIONS][MAX_CHANNELS][2], ring[WINDOW_BLOCKS][MAX_CHANNELS], sum[MAX_CHANNELS];
    for (int seen = 0; seen < blocks && read_whole(in, &block, block_bytes()); seen++) {
        double *power = ring[seen % window], mean = 0;
        for (int c = 0; c < channels; c++) sum[c] -= power[c], power[c] = 0;
        for (int i = 0; i < samples; i++)
            for (int c = 0; c < channels; c++) {
                double x = block.counts[i * channels + c] * 0.1;
                for (int s = 0; s < sections; s++) {
                    const double *k = sos[s];
                    double y = k[0] * x + z[s][c][0];
                    z[s][c][0] = k[1] * x - k[3] * y + z[s][c][1];
                    z[s][c][1] = k[2] * x - k[4] * y;
                    x = y;
                }
                power[c] += x * x;
            }
        for (int c = 0; c < channels; c++) sum[c] += power[c], mean += sqrt(sum[c] / (window * samples)) / channels;
        Command command = {block.number, fmin(20.0, mean / 8.0)};
        if (write(out, &command, sizeof command) < 0) return;
        account(1, (int)block.number);
    }
}

static void sink(int in) {
    Command command;
    for (int seen = 0; seen < blocks && read_whole(in, &command, sizeof command); seen++) {
        int64_t t_ns = now_ns(CLOCK_MONOTONIC);
        if (command.number >= 0 && command.number < blocks && !stamps[command.number].arrived)
            stamps[command.number].arrived = t_ns;
        account(2, (int)command.number);
    }
}

int main(int argc, char **argv) {
    if (argc < 9) return 2;
    start_ns = atoll(argv[1]);
    period_ns = atoll(argv[2]);
    blocks = atoi(argv[3]);
    warm = atoi(argv[4]);
    channels = atoi(argv[5]);
    samples = atoi(argv[6]);
    sections = atoi(argv[7]);
    if (channels > MAX_CHANNELS || samples > MAX_SAMPLES || sections > MAX_SECTIONS || argc != 9 + 5 * sections) return 2;
    for (int s = 0; s < sections; s++)
        for (int k = 0; k < 5; k++) sos[s][k] = atof(argv[9 + 5 * s + k]);
    int window = (int)lround(0.25e9 / period_ns);
    if (window < 1 || window > WINDOW_BLOCKS) return 2;
    int whole_s = (int)((now_ns(CLOCK_MONOTONIC) < start_ns ? start_ns - now_ns(CLOCK_MONOTONIC) : 0) / 1000000000
                        + blocks * period_ns / 1000000000) + 5;
    size_t size = sizeof(Stamp) * blocks + 3 * sizeof(double);
    stamps = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (stamps == MAP_FAILED) return 3;
    cpu = (double *)(stamps + blocks);
    int a[2], b[2];
    if (pipe(a) || pipe(b)) return 3;
    signal(SIGPIPE, SIG_IGN);
    for (int role = 0; role < 3; role++) {
        if (fork() == 0) {
#ifdef __linux__
            prctl(PR_SET_PDEATHSIG, SIGKILL);
#endif
            alarm(whole_s);
            close(a[role == 0 ? 0 : 1]);
            close(b[role == 1 ? 0 : 1]);
            if (role == 0) close(b[0]), source(a[1]);
            if (role == 1) processor(a[0], b[1], window);
            if (role == 2) close(a[0]), sink(b[0]);
            _exit(0);
        }
    }
    close(a[0]), close(a[1]), close(b[0]), close(b[1]);
#ifdef __linux__
    prctl(PR_SET_PDEATHSIG, SIGKILL);
#endif
    while (wait(NULL) > 0) {}
    FILE *out = fopen(argv[8], "wb");
    if (!out || fwrite(stamps, 1, size, out) != size) return 3;
    return fclose(out) ? 3 : 0;
}
