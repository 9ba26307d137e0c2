/* The listener of the textbooks: keepalive with its three numbers, and nothing else.
 *
 * docs/course/for-c-programmers.md compares it with ours, call by call. A test compiles it and plays it in the lab.
 *     cc -Wall -Wextra -o keepalive docs/course/keepalive.c && ./keepalive 127.0.0.1 7008
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

int NetWorkServerInit(const char *ip, int port)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    int on = 1, idle = 2, interval = 1, count = 3;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
    inet_pton(AF_INET, ip, &address.sin_addr);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 5) < 0) {
        perror("bind or listen");
        exit(1);
    }
    return fd;
}

int main(int argc, char **argv)
{
    int listener = NetWorkServerInit(argc > 1 ? argv[1] : "127.0.0.1", argc > 2 ? atoi(argv[2]) : 7008);

    for (;;) {
        char buffer[1024];
        ssize_t count;
        int peer = accept(listener, NULL, NULL);

        while ((count = read(peer, buffer, sizeof buffer)) > 0)
            if (write(peer, buffer, count) != count)
                break;
        if (count < 0)
            perror("read");
        close(peer);
    }
}
