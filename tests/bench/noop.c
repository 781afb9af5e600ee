/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/bench/noop.c -- noop FILE, noop -i INTERFACE: the floor of every program that reads frames through libpcap: a
 * callback that only adds lengths. Live until SIGINT, with libpcap's own kernel buffer of 2 MiB: mqdump's larger one
 * counts against mqdump. */
#include <pcap/pcap.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static unsigned long long frames, octets;
static pcap_t *capture;

static void count(u_char *ctx, const struct pcap_pkthdr *header, const u_char *frame)
{
    (void)ctx;
    frames++;
    octets += header->caplen + (frame[0] & 1u); /* touches the frame, as everybody has to */
}

static void stop(int number)
{
    (void)number;
    pcap_breakloop(capture);
}

static pcap_t *open_live(const char *interface, char *error)
{
    pcap_t *live = pcap_create(interface, error);
    if (live == NULL)
        return NULL;
    pcap_set_snaplen(live, 262144);
    pcap_set_timeout(live, 100);
    if (pcap_activate(live) < 0) {
        snprintf(error, PCAP_ERRBUF_SIZE, "%s", pcap_geterr(live));
        pcap_close(live);
        return NULL;
    }
    struct sigaction action = { .sa_handler = stop };
    sigaction(SIGINT, &action, NULL);
    fprintf(stderr, "noop: listening on %s\n", interface);
    return live;
}

int main(int argc, char **argv)
{
    char error[PCAP_ERRBUF_SIZE] = "usage: noop FILE | noop -i INTERFACE";
    struct pcap_stat dropped = { 0 };
    bool live = argc == 3 && strcmp(argv[1], "-i") == 0;
    capture = live ? open_live(argv[2], error) : argc == 2 ? pcap_open_offline(argv[1], error) : NULL;
    if (capture == NULL) {
        fprintf(stderr, "noop: %s\n", error);
        return 2;
    }
    pcap_loop(capture, -1, count, NULL);
    if (live)
        pcap_stats(capture, &dropped);
    printf("%llu packets captured\n%u packets dropped by kernel\n%llu octets\n", frames, dropped.ps_drop, octets);
    pcap_close(capture);
    return 0;
}
