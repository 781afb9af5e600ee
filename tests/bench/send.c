/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/bench/send.c -- send FILE INTERFACE RATE: puts the frames of a classic pcap file of this machine's octet order
 * on an interface, RATE a second (0: as fast as it goes), and prints how many were sent, and how many a second. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum { BATCH = 32, FILE_HEADER = 24, RECORD_HEADER = 16 };

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void wait_until(double when)
{
    double left = when - now_s();
    if (left < 1e-4) /* shorter than the kernel waits anyway */
        return;
    struct timespec t = { (time_t)left, (long)((left - (double)(time_t)left) * 1e9) };
    nanosleep(&t, NULL);
}

static int packet_socket(const char *interface)
{
    int bypass = 1, fd = socket(AF_PACKET, SOCK_RAW, 0);
    struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex(interface) };
    if (fd < 0 || to.sll_ifindex == 0 || bind(fd, (struct sockaddr *)&to, sizeof to) != 0)
        return -1;
    setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &bypass, sizeof bypass);
    return fd;
}

/* All of the file; it stays in memory until the end. */
static uint8_t *read_all(const char *path, size_t *len)
{
    FILE *in = fopen(path, "rb");
    long size = in != NULL && fseek(in, 0, SEEK_END) == 0 ? ftell(in) : -1;
    uint8_t *octets = size > 0 ? malloc((size_t)size) : NULL;
    if (octets != NULL) {
        rewind(in);
        *len = fread(octets, 1, (size_t)size, in);
    }
    if (in != NULL)
        fclose(in);
    return octets;
}

/* Up to BATCH records from *at on. */
static unsigned fill(struct iovec *part, const uint8_t *file, size_t len, size_t *at)
{
    unsigned n = 0;
    for (; n < BATCH && len - *at >= RECORD_HEADER; n++) {
        uint32_t frame;
        memcpy(&frame, file + *at + 8, sizeof frame);
        if (frame > len - *at - RECORD_HEADER)
            break;
        part[n] = (struct iovec){ (void *)(file + *at + RECORD_HEADER), frame };
        *at += RECORD_HEADER + frame;
    }
    return n;
}

static unsigned long send_all(int fd, const uint8_t *file, size_t len, double rate)
{
    struct iovec part[BATCH];
    struct mmsghdr message[BATCH];
    unsigned long sent = 0, offered = 0;
    double begin = now_s();
    size_t at = FILE_HEADER;
    for (unsigned n; (n = fill(part, file, len, &at)) > 0; offered += n) {
        memset(message, 0, sizeof message);
        for (unsigned i = 0; i < n; i++) {
            message[i].msg_hdr.msg_iov = &part[i];
            message[i].msg_hdr.msg_iovlen = 1;
        }
        for (unsigned done = 0; done < n;) {
            int took = sendmmsg(fd, message + done, n - done, 0);
            done += took > 0 ? (unsigned)took : 1; /* one that does not fit the interface is passed over */
            sent += took > 0 ? (unsigned)took : 0;
        }
        if (rate > 0)
            wait_until(begin + (double)(offered + n) / rate);
    }
    printf("%lu sent, %.0f a second\n", sent, (double)sent / (now_s() - begin));
    return sent;
}

int main(int argc, char **argv)
{
    size_t len = 0;
    uint8_t *file = argc == 4 ? read_all(argv[1], &len) : NULL;
    int fd = len > FILE_HEADER ? packet_socket(argv[2]) : -1;
    if (fd < 0) {
        fprintf(stderr, "usage: send FILE INTERFACE RATE (as root)\n");
        return 2;
    }
    unsigned long sent = send_all(fd, file, len, atof(argv[3]));
    free(file);
    return sent > 0 ? 0 : 2;
}
