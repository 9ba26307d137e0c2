/* The limit: what an edge-triggered echo server costs if it does no more than it must, in C.
 *
 *     cc -O2 -o epoll_echo epoll_echo.c
 *     epoll_echo PORT            closes a connection as soon as it finds that it has ended
 *     epoll_echo PORT BUDGET     closes at most so many in a turn, after the living were served
 *
 * Keepalive is set on the listener and inherited. A connection is its descriptor: it has no state, so no output can wait.
 * Output that the kernel does not accept immediately ends the connection; the echoes that are measured are short enough.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BATCH = 1024, SCRATCH = 64 * 1024 };

static char scratch[SCRATCH];
static struct epoll_event events[BATCH];
static int *ended; /* a stack of descriptors to be closed */
static size_t ended_count, ended_room;
static long budget;

static void must(int holds, const char *what)
{
    if (!holds) {
        perror(what);
        exit(1);
    }
}

static int listen_on(int port)
{
    const int options[][3] = {
        {SOL_SOCKET, SO_REUSEADDR, 1},      {SOL_SOCKET, SO_KEEPALIVE, 1},    {IPPROTO_TCP, TCP_KEEPIDLE, 30},
        {IPPROTO_TCP, TCP_KEEPINTVL, 10},   {IPPROTO_TCP, TCP_KEEPCNT, 3},    {IPPROTO_TCP, TCP_NODELAY, 1},
    };
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    must(listener >= 0, "socket");
    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        must(!setsockopt(listener, options[i][0], options[i][1], &options[i][2], sizeof(int)), "setsockopt");
    must(!bind(listener, (struct sockaddr *)&address, sizeof address), "bind");
    must(!listen(listener, 4096), "listen");
    return listener;
}

static void accept_all(int poll, int listener)
{
    for (;;) {
        int peer = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (peer < 0)
            return;
        struct epoll_event wanted = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.fd = peer};
        must(!epoll_ctl(poll, EPOLL_CTL_ADD, peer, &wanted), "epoll_ctl");
    }
}

static void end(int peer)
{
    if (budget == 0) {
        close(peer);
        return;
    }
    if (ended_count == ended_room) {
        ended_room = ended_room ? 2 * ended_room : 64;
        must((ended = realloc(ended, ended_room * sizeof *ended)) != NULL, "realloc");
    }
    ended[ended_count++] = peer;
}

static void serve(int peer, unsigned what)
{
    for (;;) {
        ssize_t count = read(peer, scratch, sizeof scratch);
        if (count < 0 && errno == EAGAIN)
            return;
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0 || write(peer, scratch, count) != count) {
            end(peer);
            return;
        }
        /* Drained, unless the end of the stream shares this edge. */
        if ((size_t)count < sizeof scratch && !(what & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)))
            return;
    }
}

int main(int argc, char **argv)
{
    must(argc == 2 || argc == 3, "usage: epoll_echo PORT [BUDGET]");
    budget = argc == 3 ? atol(argv[2]) : 0;
    signal(SIGPIPE, SIG_IGN);
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);

    int listener = listen_on(atoi(argv[1]));
    int poll = epoll_create1(EPOLL_CLOEXEC);
    must(poll >= 0, "epoll_create1");
    struct epoll_event wanted = {.events = EPOLLIN | EPOLLET, .data.fd = listener};
    must(!epoll_ctl(poll, EPOLL_CTL_ADD, listener, &wanted), "epoll_ctl");

    for (;;) {
        int count = epoll_wait(poll, events, BATCH, ended_count ? 0 : -1);
        for (int i = 0; i < count; i++) {
            if (events[i].data.fd == listener)
                accept_all(poll, listener);
            else
                serve(events[i].data.fd, events[i].events);
        }
        /* After a full batch, more peers wait to be served. */
        for (long left = count == BATCH ? 1 : budget; left > 0 && ended_count > 0; left--)
            close(ended[--ended_count]);
    }
}
