/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/bench/generate.c -- generate [--preset P] -o FILE.pcap [--truth FILE] [options]; see usage(), and gen.h for
 * what it is. */
#include "tests/bench/gen.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct gen_options options = {
    .preset = "custom",
    .flows = 10,
    .messages = 1000,
    .payload_min = 16,
    .payload_max = 64,
    .qos = { 60, 30, 10 },
    .v5 = 30,
    .mss = 1448,
    .burst_min = 1,
    .burst_max = 4,
    .coalesce = 50,
    .down = 30,
    .pings = 20000,
    .run = 4,
    .pps = 100000,
    .port = 1883,
    .timestamps = true,
    .seed = 1,
    .utf8 = 10,
    .props = 30,
    .alias = 20,
    .auth = 2,
};
struct gen_truth truth;

static uint64_t random_state;

void random_seed(uint64_t seed)
{
    random_state = seed * UINT64_C(0x2545F4914F6CDD1D) + 7;
}

uint64_t random_u64(void) /* splitmix64 */
{
    uint64_t z = random_state += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

uint32_t random_below(uint32_t n)
{
    return n > 0 ? (uint32_t)((random_u64() >> 32) * n >> 32) : 0;
}

uint32_t random_between(uint32_t least, uint32_t most)
{
    return least >= most ? least : least + random_below(most - least + 1);
}

bool percent(uint32_t p)
{
    return p > 0 && random_below(100) < p;
}

bool per_million(uint32_t p)
{
    return p > 0 && random_below(1000000) < p;
}

/* ---- options ---------------------------------------------------------------------------------------------------- */

static bool take_preset(const char *name)
{
    struct gen_options *o = &options;
    o->preset = name;
    if (strcmp(name, "small") == 0) {
        *o = (struct gen_options){ .flows = 200,
                                   .messages = 32000,
                                   .payload_min = 8,
                                   .payload_max = 200,
                                   .v5 = 50,
                                   .ipv6 = 25,
                                   .burst_max = 8,
                                   .split = 10,
                                   .down = 30,
                                   .coalesce = 50 };
    } else if (strcmp(name, "telemetry") == 0) {
        *o = (struct gen_options){ .flows = 50,
                                   .messages = 1050000,
                                   .payload_min = 28,
                                   .payload_max = 36,
                                   .down = 10,
                                   .burst_max = 4,
                                   .coalesce = 40 };
    } else if (strcmp(name, "dense") == 0) {
        *o = (struct gen_options){ .flows = 20,
                                   .messages = 2400000,
                                   .payload_min = 28,
                                   .payload_max = 36,
                                   .v5 = 50,
                                   .down = 10,
                                   .burst_min = 40,
                                   .burst_max = 120,
                                   .coalesce = 100 };
    } else if (strcmp(name, "fleet") == 0) {
        *o = (struct gen_options){ .flows = 100000,
                                   .messages = 300000,
                                   .payload_min = 20,
                                   .payload_max = 60,
                                   .v5 = 30,
                                   .ipv6 = 20,
                                   .qos = { 40, 50, 10 },
                                   .burst_max = 2,
                                   .run = 2,
                                   .down = 30,
                                   .coalesce = 50 };
    } else if (strcmp(name, "fat") == 0) {
        *o = (struct gen_options){ .flows = 8,
                                   .messages = 280,
                                   .payload_min = 1000000,
                                   .payload_max = 1100000,
                                   .v5 = 50,
                                   .burst_max = 1,
                                   .binary = true,
                                   .coalesce = 100,
                                   .run = 16,
                                   .down = 30 };
    } else if (strcmp(name, "hostile") == 0) {
        *o = (struct gen_options){ .flows = 2000,
                                   .active = 500,
                                   .messages = 80000,
                                   .payload_max = 3000,
                                   .v5 = 40,
                                   .ipv6 = 30,
                                   .burst_max = 12,
                                   .split = 40,
                                   .coalesce = 60,
                                   .reorder = 60000,
                                   .resend = 30000,
                                   .overlap = 10000,
                                   .spurious = 20000,
                                   .keepalive = 5000,
                                   .midstream = 10,
                                   .reuse = 30,
                                   .rst = 10,
                                   .incomplete = 2000,
                                   .binary = true,
                                   .down = 30 };
    } else {
        return false;
    }
    /* what all presets share */
    o->preset = name;
    if (o->qos[0] == 0)
        memcpy(o->qos, (uint32_t[]){ 60, 30, 10 }, sizeof o->qos);
    o->burst_min = o->burst_min > 0 ? o->burst_min : 1;
    o->run = o->run > 0 ? o->run : 4;
    o->mss = 1448;
    o->pings = 20000;
    o->pps = 100000;
    o->port = 1883;
    o->timestamps = true;
    o->seed = 1;
    o->utf8 = 10;
    o->props = 30;
    o->alias = 20;
    o->auth = 2;
    return true;
}

static const struct {
    const char *name;
    uint32_t *value;
} numbers[] = {
    { "--flows", &options.flows },
    { "--active", &options.active },
    { "--v5", &options.v5 },
    { "--ipv6", &options.ipv6 },
    { "--mss", &options.mss },
    { "--coalesce", &options.coalesce },
    { "--split", &options.split },
    { "--down", &options.down },
    { "--reorder", &options.reorder },
    { "--resend", &options.resend },
    { "--overlap", &options.overlap },
    { "--spurious", &options.spurious },
    { "--keepalive", &options.keepalive },
    { "--loss", &options.loss },
    { "--midstream", &options.midstream },
    { "--reuse", &options.reuse },
    { "--rst", &options.rst },
    { "--alias", &options.alias },
    { "--utf8", &options.utf8 },
    { "--props", &options.props },
    { "--auth", &options.auth },
    { "--incomplete", &options.incomplete },
    { "--pings", &options.pings },
    { "--run", &options.run },
    { "--pps", &options.pps },
    { "--port", &options.port },
    { "--payload-min", &options.payload_min },
    { "--payload-max", &options.payload_max },
    { "--burst-min", &options.burst_min },
    { "--burst-max", &options.burst_max },
};
static const struct {
    const char *name;
    bool *value;
} switches[] = {
    { "--binary", &options.binary },
    { "--idle", &options.idle },
    { "--hdrcut", &options.header_cut },
};

static int usage(void)
{
    fputs(
        "usage: generate [--preset small|telemetry|dense|fleet|fat|hostile] -o FILE.pcap [--truth FILE] [--raw FILE]\n"
        "       [--packets FILE] [--scale F] [--messages N] [--seed N] [--binary] [--idle] [--hdrcut] [--OPTION N]...\n"
        "--preset comes first. --scale multiplies messages (and connections of fleet and hostile). --raw: the packets "
        "alone.\n"
        "--packets: a line for each: connection, side (0 is the client), client port, sequence number of its first "
        "octet, "
        "octets, type, QoS.\n"
        "--hdrcut lets segment borders fall inside a Remaining Length. --idle leaves connections open at the end.\n"
        "--loss drops data segments: the counts are then what was sent. OPTION:",
        stderr);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        fprintf(stderr, " %s", numbers[i].name + 2);
    fputc('\n', stderr);
    return 1;
}

static bool take_number(const char *name, const char *value)
{
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        if (strcmp(name, numbers[i].name) == 0) {
            *numbers[i].value = (uint32_t)strtoul(value, NULL, 10);
            return true;
        }
    }
    return false;
}

static bool take_switch(const char *name)
{
    for (size_t i = 0; i < sizeof switches / sizeof *switches; i++) {
        if (strcmp(name, switches[i].name) == 0)
            return *switches[i].value = true;
    }
    return false;
}

static bool take_text(const char *name, const char *value, double *scale)
{
    if (strcmp(name, "-o") == 0)
        options.out = value;
    else if (strcmp(name, "--truth") == 0)
        options.truth = value;
    else if (strcmp(name, "--raw") == 0)
        options.raw = value;
    else if (strcmp(name, "--packets") == 0)
        options.packets = value;
    else if (strcmp(name, "--scale") == 0)
        *scale = strtod(value, NULL);
    else if (strcmp(name, "--messages") == 0)
        options.messages = strtoull(value, NULL, 10);
    else if (strcmp(name, "--seed") == 0)
        options.seed = strtoull(value, NULL, 10);
    else if (strcmp(name, "--preset") == 0)
        return take_preset(value);
    else
        return false;
    return true;
}

static bool take_options(int argc, char **argv)
{
    double scale = 1;
    for (int i = 1; i < argc; i++) {
        if (take_switch(argv[i]))
            continue;
        if (i + 1 >= argc || !(take_text(argv[i], argv[i + 1], &scale) || take_number(argv[i], argv[i + 1])))
            return false;
        i++;
    }
    options.messages = (uint64_t)((double)options.messages * scale + 0.5);
    if (strcmp(options.preset, "fleet") == 0 || strcmp(options.preset, "hostile") == 0)
        options.flows = (uint32_t)(options.flows * scale + 0.5);
    options.flows = options.flows > 0 ? options.flows : 1;
    if (options.active == 0 || options.active > options.flows)
        options.active = options.flows;
    return (options.out != NULL || options.raw != NULL) && options.mss > 0 && options.mss <= 65400 &&
           options.payload_max <= 3u << 20 && options.burst_min > 0 && options.burst_max <= 4000 && options.pps > 0 &&
           options.flows <= 3000000 && options.qos[0] + options.qos[1] + options.qos[2] > 0;
}

/* ---- flows ------------------------------------------------------------------------------------------------------ */

static uint32_t flows_begun, tuples;

/* A new connection in this place; `again`: one was here before, whose ports may be taken over. */
static void begin_flow(struct flow *f, bool again)
{
    struct flow old = *f;
    memset(f, 0, sizeof *f);
    f->buf = old.buf;
    f->cap = old.cap;
    f->segments = old.segments;
    f->cap_segments = old.cap_segments;
    f->id = flows_begun++;
    f->v5 = percent(options.v5);
    f->ipv6 = percent(options.ipv6);
    f->utf8 = percent(options.utf8);
    f->alias = f->v5 && percent(options.alias);
    f->rst = percent(options.rst);
    f->midstream = percent(options.midstream);
    if (f->midstream)
        f->v5 = f->alias = false;
    f->next[0] = (uint32_t)random_u64();
    f->next[1] = (uint32_t)random_u64();
    if (again && !old.rst && !f->midstream && percent(options.reuse)) {
        f->tuple = old.tuple;
        f->ipv6 = old.ipv6;
        for (unsigned dir = 0; dir < 2; dir++)
            f->next[dir] = old.next[dir] + 100000 + random_below(1000000);
        truth.reused++;
    } else {
        f->tuple = tuples++;
    }
    f->left = options.messages / options.flows + (f->id < options.messages % options.flows);
    f->phase = f->midstream ? 3 : 0;
    truth.flows++;
    truth.v5_flows += f->v5;
    truth.ipv6_flows += f->ipv6;
    truth.midstream_flows += f->midstream;
}

static bool run_flows(void)
{
    uint32_t n = options.active;
    struct flow *flows = calloc(n, sizeof *flows);
    if (flows == NULL)
        return false;
    for (uint32_t i = 0; i < n; i++)
        begin_flow(&flows[i], false);
    truth.most_active = n;
    while (n > 0) {
        struct flow *f = &flows[random_below(n)];
        for (uint32_t k = 1 + random_below(options.run); k > 0 && !f->done; k--) {
            while (f->sent == f->n_segments && !f->done)
                conversation_step(f);
            if (!f->done)
                capture_frame(f, &f->segments[f->sent++]);
        }
        if (f->done && flows_begun < options.flows) {
            begin_flow(f, true);
        } else if (f->done) {
            free(f->buf);
            free(f->segments);
            *f = flows[--n];
        }
    }
    free(flows);
    return true;
}

/* ---- truth ------------------------------------------------------------------------------------------------------ */

static bool tell_truth(void)
{
    static const char *const names[16] = { "",        "CONNECT",  "CONNACK",    "PUBLISH", "PUBACK",      "PUBREC",
                                           "PUBREL",  "PUBCOMP",  "SUBSCRIBE",  "SUBACK",  "UNSUBSCRIBE", "UNSUBACK",
                                           "PINGREQ", "PINGRESP", "DISCONNECT", "AUTH" };
    const struct {
        const char *name;
        uint64_t value;
    } counts[] = {
        { "seed", options.seed },
        { "file_bytes", truth.file_octets },
        { "frames", truth.frames },
        { "data_segments", truth.segments },
        { "tcp_payload_bytes", truth.tcp_octets },
        { "flows", truth.flows },
        { "v5_flows", truth.v5_flows },
        { "ipv6_flows", truth.ipv6_flows },
        { "midstream_flows", truth.midstream_flows },
        { "reused_tuples", truth.reused },
        { "rst_flows", truth.rst_flows },
        { "max_live_flows", truth.most_active },
        { "syn", truth.syn },
        { "fin", truth.fin },
        { "retransmitted_segments", truth.resent },
        { "overlapping_retransmissions", truth.overlaps },
        { "out_of_order_moves", truth.reordered },
        { "keepalive_probes", truth.keepalives },
        { "lost_segments", truth.lost },
        { "mqtt_packets", truth.packets },
        { "mqtt_bytes", truth.octets },
        { "mqtt_v5_packets", truth.v5_packets },
        { "client_to_server", truth.by_side[SIDE_CLIENT] },
        { "server_to_client", truth.by_side[SIDE_SERVER] },
        { "publish_payload_bytes", truth.payload },
        { "topic_alias_publishes", truth.alias_publishes },
        { "qos1_complete", truth.qos1 },
        { "qos2_complete", truth.qos2 },
        { "qos1_unfinished", truth.qos1_open },
        { "qos2_unfinished", truth.qos2_open },
    };
    FILE *out = options.truth != NULL ? fopen(options.truth, "w") : stderr;
    if (out == NULL)
        return false;
    fprintf(out, "{\"preset\":\"%s\"", options.preset);
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        fprintf(out, ",\n \"%s\":%" PRIu64, counts[i].name, counts[i].value);
    fputs(",\n \"types\":{", out);
    for (unsigned type = 1; type < 16; type++)
        fprintf(out, "%s\"%s\":%" PRIu64, type > 1 ? "," : "", names[type], truth.type[type]);
    fprintf(out, "},\n \"publish_qos\":[%" PRIu64 ",%" PRIu64 ",%" PRIu64 "]}\n", truth.publish_qos[0],
            truth.publish_qos[1], truth.publish_qos[2]);
    return out == stderr || fclose(out) == 0;
}

static int failed(const char *file)
{
    perror(file);
    return 2;
}

int main(int argc, char **argv)
{
    if (!take_options(argc, argv))
        return usage();
    random_seed(options.seed);
    if (options.raw != NULL && (raw_output = fopen(options.raw, "wb")) == NULL)
        return failed(options.raw);
    if (options.packets != NULL && (packets_output = fopen(options.packets, "w")) == NULL)
        return failed(options.packets);
    if (options.out != NULL && !capture_open(options.out))
        return failed(options.out);
    if (!run_flows() || !capture_close())
        return failed(options.out);
    if (raw_output != NULL && fclose(raw_output) != 0)
        return failed(options.raw);
    if (packets_output != NULL && fclose(packets_output) != 0)
        return failed(options.packets);
    return tell_truth() ? 0 : failed(options.truth);
}
