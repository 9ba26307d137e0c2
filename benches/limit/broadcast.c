/* The limit: what a broadcast costs that does no more than it must, in C: one send(2) for each peer, in a loop.
 *
 *     cc -O2 -o broadcast broadcast.c
 *     broadcast                  prints the port that it listens on
 *
 * A peer that sends `J` is a recipient; 64 bytes that begin with `B` are sent to all recipients; `p` is answered with `p`.
 * It serves nobody else while it broadcasts. What the kernel does not take at once is lost: a measured broadcast is short.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BATCH = 1024, MOST = 1 << 20 };

static struct epoll_event events[BATCH];
static int recipients[MOST];
static int count;

static void must(int holds, const char *what)
{
    if (!holds) {
        perror(what);
        exit(1);
    }
}

static void serve(int peer)
{
    char bytes[4096];
    ssize_t got = recv(peer, bytes, sizeof bytes, 0);
    if (got <= 0) {
        if (got == 0)
            close(peer);
        return;
    }
    if (bytes[0] == 'J' && count < MOST)
        recipients[count++] = peer;
    else if (bytes[0] == 'B')
        for (int i = 0; i < count; i++)
            send(recipients[i], bytes, got, MSG_NOSIGNAL);
    else
        send(peer, bytes, got, MSG_NOSIGNAL);
}

int main(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof address;
    struct rlimit descriptors;
    int yes = 1, poll = epoll_create1(0), listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    must(!getrlimit(RLIMIT_NOFILE, &descriptors), "getrlimit");
    descriptors.rlim_cur = descriptors.rlim_max;
    must(!setrlimit(RLIMIT_NOFILE, &descriptors), "setrlimit");
    must(!setsockopt(listener, SOL_SOCKET, SO_KEEPALIVE, &yes, sizeof yes), "SO_KEEPALIVE");
    must(!setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes), "TCP_NODELAY");
    must(!bind(listener, (struct sockaddr *)&address, sizeof address), "bind");
    must(!listen(listener, 4096), "listen");
    must(!getsockname(listener, (struct sockaddr *)&address, &length), "getsockname");
    struct epoll_event wanted = {.events = EPOLLIN | EPOLLET, .data.fd = listener};
    must(!epoll_ctl(poll, EPOLL_CTL_ADD, listener, &wanted), "epoll_ctl");
    printf("127.0.0.1:%d\n", ntohs(address.sin_port));
    fflush(stdout);
    for (;;) {
        int ready = epoll_wait(poll, events, BATCH, -1);
        for (int i = 0; i < ready; i++) {
            if (events[i].data.fd != listener) {
                serve(events[i].data.fd);
                continue;
            }
            for (int peer; (peer = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0;) {
                wanted.data.fd = peer;
                must(!epoll_ctl(poll, EPOLL_CTL_ADD, peer, &wanted), "epoll_ctl");
            }
        }
    }
}
