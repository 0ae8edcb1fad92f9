// An echo server on poll(2), in C with wasi-libc's sockets: ADDRESS PORT CONNECTIONS. It ends after the last connection.

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MOST 1024

static int fail(const char *what) {
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    return 1;
}

int main(int argc, char **argv) {
    if (argc != 4) {
        fprintf(stderr, "usage: poll_echo ADDRESS PORT CONNECTIONS\n");
        return 2;
    }
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[2]))};
    if (inet_pton(AF_INET, argv[1], &address.sin_addr) != 1) return fail("inet_pton");
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (listener < 0) return fail("socket");
    if (bind(listener, (struct sockaddr *)&address, sizeof address)) return fail("bind");
    if (listen(listener, 128)) return fail("listen");
    socklen_t length = sizeof address;
    if (getsockname(listener, (struct sockaddr *)&address, &length)) return fail("getsockname");
    printf("listening on %s:%d\n", argv[1], ntohs(address.sin_port));
    fflush(stdout);

    struct pollfd fds[MOST] = {{.fd = listener, .events = POLLIN}};
    int count = 1, accepted = 0, all = atoi(argv[3]);
    while (accepted < all || count > 1) {
        if (poll(fds, count, -1) < 0) return fail("poll");
        if (fds[0].revents & POLLIN && accepted < all && count < MOST) {
            int fd = accept(listener, NULL, NULL);
            if (fd < 0) return fail("accept");
            fds[count++] = (struct pollfd){.fd = fd, .events = POLLIN};
            accepted++;
        }
        for (int at = 1; at < count; at++) {
            if (!(fds[at].revents & (POLLIN | POLLHUP))) continue;
            char buffer[4096];
            ssize_t got = recv(fds[at].fd, buffer, sizeof buffer, 0);
            if (got < 0) return fail("recv");
            if (got == 0) {
                close(fds[at].fd);
                fds[at--] = fds[--count];
                continue;
            }
            for (ssize_t sent = 0; sent < got;) {
                ssize_t more = send(fds[at].fd, buffer + sent, got - sent, 0);
                if (more < 0) return fail("send");
                sent += more;
            }
            fds[at].revents = 0;
        }
    }
    printf("served %d connections\n", accepted);
    return 0;
}
