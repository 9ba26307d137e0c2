/* What it costs to read 16 KiB from a TCP connection on loopback, by the offset of the buffer in its page.
 *
 *     cc -O2 -o place place.c && ./place
 *
 * Prints the least CPU time of 400 reads for each offset, in microseconds, because other load on the machine only adds to it.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { SIZE = 16 * 1024, TIMES = 400 };

static char from[SIZE] __attribute__((aligned(4096)));
static char to[2 * 4096 + SIZE] __attribute__((aligned(4096)));

static double cpu_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return now.tv_sec * 1e6 + now.tv_nsec / 1e3;
}

static void must(int holds, const char *what)
{
    if (!holds) {
        perror(what);
        exit(1);
    }
}

int main(void)
{
    const int places[] = {0, 1, 16, 31, 32, 64, 128, 2048, 4064, 4080};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0), sender = socket(AF_INET, SOCK_STREAM, 0);
    must(!bind(listener, (struct sockaddr *)&address, length) && !listen(listener, 1), "listen");
    must(!getsockname(listener, (struct sockaddr *)&address, &length), "getsockname");
    must(!connect(sender, (struct sockaddr *)&address, length), "connect");
    int reader = accept(listener, NULL, NULL);
    must(reader >= 0, "accept");
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        double least = 1e9;
        for (int nth = 0; nth < TIMES; nth++) {
            must(write(sender, from, SIZE) == SIZE, "write");
            double before = cpu_us();
            must(recv(reader, to + places[i], SIZE, MSG_WAITALL) == SIZE, "recv");
            double took = cpu_us() - before;
            least = took < least ? took : least;
        }
        printf("%4d bytes into a page: %.1f us\n", places[i], least);
    }
}
