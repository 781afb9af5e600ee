/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/bench/noop.c -- the floor of every program that reads a capture through libpcap: a callback that only adds
 * lengths. */
#include <pcap/pcap.h>
#include <stdio.h>

static unsigned long long frames, octets;

static void count(u_char *ctx, const struct pcap_pkthdr *header, const u_char *frame)
{
    (void)ctx;
    frames++;
    octets += header->caplen + (frame[0] & 1u); /* touches the frame, as everybody has to */
}

int main(int argc, char **argv)
{
    char error[PCAP_ERRBUF_SIZE] = "usage: noop FILE";
    pcap_t *capture = argc == 2 ? pcap_open_offline(argv[1], error) : NULL;
    if (capture == NULL) {
        fprintf(stderr, "noop: %s\n", error);
        return 2;
    }
    pcap_loop(capture, -1, count, NULL);
    printf("%llu frames, %llu octets\n", frames, octets);
    pcap_close(capture);
    return 0;
}
