/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/engine/seeds.c -- first inputs for the targets whose input speaks MQTT, made from the tables: seeds SHAPE
 * DIRECTORY [SCRIPTS]
 *
 * packet: one valid packet of each type, version and side, one for every property that a packet may carry, and one for
 * each rule that a packet can break; stream and talk: runs of them, and what the file SCRIPTS says
 * (fuzz/engine/seeds_talk.c). dictionary and filter-dictionary print the two .dict files of corpus/ instead. */
#include "fuzz/engine/seeds.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "decoder/show/item.h"
#include "fuzz/mutator.h"

enum { ROOM = SEEDS_ROOM, VARIANTS = 3 };

static const char *directory;
static uint8_t room[ROOM];

void seeds_write(const char *name, const uint8_t *octets, size_t len)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *f = fopen(path, "wb");
    if (f == NULL || fwrite(octets, 1, len, f) != len || fclose(f) != 0) {
        fprintf(stderr, "seeds: %s: %s\n", path, strerror(errno));
        exit(2);
    }
}

static void packet_seeds(void)
{
    char name[128];
    for (unsigned version = MQTT_V31; version <= MQTT_V5; version++)
        for (unsigned sender = MQTT_CLIENT; sender <= MQTT_SERVER; sender++)
            for (unsigned type = 1; type < 16; type++)
                for (unsigned n = 0; n < VARIANTS; n++) {
                    struct mutator m = mutator_seeded(version * 1000 + type * 10 + n);
                    struct mutator_scene scene = { (uint8_t)version, (uint8_t)sender };
                    room[0] = seeds_scene(version, sender, 0);
                    size_t len = mutator_fresh(&m, scene, type, room + 1, ROOM - 1);
                    snprintf(name, sizeof name, "valid-%u-%s-%s-%u", version, mqtt_side_name(sender),
                             mqtt_type_name(type), n);
                    if (len > 0)
                        seeds_write(name, room, len + 1);
                }
}

/* A packet of this type with each property it may carry, and CONNECT with a Will that has each of its own. */
static void property_seeds(void)
{
    static const uint8_t value[] = { 0, 1, 'x', 0, 0, 0, 0, 0 };
    char name[128];
    for (uint32_t id = 1; id < MQTT_PROP_LIMIT; id++) {
        const struct mqtt_prop_info *info = mqtt_prop_info(id);
        for (unsigned type = 0; type < 16 && info->name != NULL; type++) {
            if ((info->allowed & MQTT_IN(type)) == 0)
                continue;
            struct mutator m = mutator_seeded(id * 16 + type);
            unsigned kind = type == 0 ? MQTT_CONNECT : type;
            unsigned sender = mqtt_type_sender(kind, MQTT_V5) & MQTT_CLIENT ? MQTT_CLIENT : MQTT_SERVER;
            struct mutator_scene scene = { MQTT_V5, (uint8_t)sender };
            struct mqtt_packet p;
            static uint8_t block[64], source[ROOM];
            struct mqtt_prop prop = { .id = id,
                                      .wire = (uint8_t)info->wire,
                                      .number = 1,
                                      .text = view_of(value + 2, 1),
                                      .value = view_of(value + 2, 1) };
            size_t len = mutator_fresh(&m, scene, kind, source, sizeof source);
            mqtt_decode(view_of(source, len), (struct mqtt_context){ MQTT_V5, (uint8_t)sender }, &p, NULL);
            struct mqtt_props *props = type == 0 ? &p.connect.will_props : &p.props;
            props->block = view_of(block, mqtt_prop_write(block, 0, sizeof block, &prop));
            if (type == 0) {
                p.connect.flags |= 0x04;
                p.connect.will_topic = p.connect.will_payload = view_of(value + 2, 1);
            }
            room[0] = seeds_scene(MQTT_V5, sender, 0);
            snprintf(name, sizeof name, "property-%s-%s", type == 0 ? "WILL" : mqtt_type_name(type), info->snake);
            seeds_write(name, room, 1 + mqtt_encode(&p, room + 1, ROOM - 1));
        }
    }
}

static void rule_seeds(void)
{
    char name[128];
    for (unsigned rule = 1; rule < MQTT_RULE_COUNT; rule++) {
        const struct mqtt_rule_info *info = mqtt_rule_info((enum mqtt_rule)rule);
        struct mutator m = mutator_seeded(rule);
        uint8_t sender = MQTT_CLIENT;
        size_t len = mutator_break(&m, (enum mqtt_rule)rule, room + 1, 0, ROOM - 1, &sender);
        if (len == 0)
            continue;
        room[0] = seeds_scene(info->version, sender, 0);
        snprintf(name, sizeof name, "breaks-%u-%s", info->version, info->id);
        seeds_write(name, room, len + 1);
    }
}

static void stream_seeds(void)
{
    char name[128];
    for (unsigned n = 0; n < 24; n++) {
        struct mutator m = mutator_seeded(7000 + n);
        struct mutator_scene scene = { (uint8_t)(MQTT_V31 + n % 3), (uint8_t)(n / 3 % 2 ? MQTT_SERVER : MQTT_CLIENT) };
        size_t len = 1;
        room[0] = seeds_scene(scene.version, scene.sender, n % 16);
        if (scene.sender == MQTT_CLIENT)
            len += mutator_fresh(&m, scene, MQTT_CONNECT, room + len, 4096);
        for (unsigned i = 0; i < 2 + n / 2; i++)
            len += mutator_fresh_any(&m, scene, room + len, 4096);
        snprintf(name, sizeof name, "run-%u-%s-%u", scene.version, mqtt_side_name(scene.sender), n);
        seeds_write(name, room, len);
    }
}

static void print_word(const char *name, const uint8_t *octets, size_t len)
{
    printf("%s=\"", name);
    for (size_t i = 0; i < len; i++)
        printf("\\x%02x", octets[i]);
    printf("\"\n");
}

/* Property identifiers, reason codes, fixed headers, names, and the strings that UTF-8 and topics care about. */
static void print_dictionary(void)
{
    static const char *const words[] = { "\xc0\x80",        "\xed\xa0\x80", "\xf4\x90\x80\x80",
                                         "\xef\xbf\xbf",    "\xef\xbb\xbf", "$share/g/",
                                         "$SYS/",           "+/+/#",        "\xff\xff\xff\x7f",
                                         "\x80\x80\x80\x01" };
    char name[64];
    printf("# Made by `make corpus` from the tables in decoder/mqtt.\n");
    print_word("connect_31", (const uint8_t *)"\x00\x06MQIsdp\x03", 9);
    print_word("connect_311", (const uint8_t *)"\x00\x04MQTT\x04", 7);
    print_word("connect_50", (const uint8_t *)"\x00\x04MQTT\x05", 7);
    for (unsigned type = 1; type < 16; type++) {
        uint8_t header[2] = { (uint8_t)(type << 4 | mqtt_type_flags(type)), 0 };
        snprintf(name, sizeof name, "header_%u", type);
        print_word(name, header, 2);
    }
    for (uint32_t id = 1; id < MQTT_PROP_LIMIT; id++) {
        uint8_t property[8] = { (uint8_t)id };
        static const uint8_t sizes[] = { 0, 2, 3, 5, 2, 3, 3, 5 };
        if (mqtt_prop_info(id)->name != NULL)
            print_word(mqtt_prop_info(id)->snake, property, sizes[mqtt_prop_info(id)->wire]);
    }
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        snprintf(name, sizeof name, "word_%zu", i);
        print_word(name, (const uint8_t *)words[i], strlen(words[i]));
    }
}

/* What a display filter is made of. */
static void print_filter_dictionary(void)
{
    static const char *const words[] = {
        " and ", " or ",   " xor ", "not ",  "==",      "!=",          "<=",        ">=",       "&&",
        "||",    " in {",  "..",    "}",     "matches", " ~ ",         "contains",  "any ",     "all ",
        "len(",  "count(", "max(",  "min(",  "lower(",  "upper(",      "abs(",      "[0:3]",    "[-1]",
        "/24",   "0x1f",   "r\"",   "\\x41", "\\u00e8", "2001:db8::1", "192.0.2.1", "aa:bb:cc", "true"
    };
    char name[64];
    printf("# Made by `make corpus` from decoder/show/fields.def.\n");
    for (unsigned f = 0; f < FIELD_COUNT; f++) {
        snprintf(name, sizeof name, "field_%u", f);
        print_word(name, (const uint8_t *)field_table[f].name, field_table[f].name_len);
    }
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        snprintf(name, sizeof name, "word_%zu", i);
        print_word(name, (const uint8_t *)words[i], strlen(words[i]));
    }
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "filter-dictionary") == 0) {
        print_filter_dictionary();
        return ferror(stdout) ? 2 : 0;
    }
    if (argc == 2 && strcmp(argv[1], "dictionary") == 0) {
        print_dictionary();
        return ferror(stdout) ? 2 : 0;
    }
    if (argc != 3 && argc != 4) {
        fprintf(stderr,
                "usage: seeds packet|stream|talk DIRECTORY [SCRIPTS], seeds dictionary, or seeds filter-dictionary\n");
        return 1;
    }
    directory = argv[2];
    mkdir(directory, 0777);
    if (strcmp(argv[1], "packet") == 0) {
        packet_seeds();
        property_seeds();
        rule_seeds();
    } else if (strcmp(argv[1], "stream") == 0) {
        packet_seeds();
        rule_seeds();
        stream_seeds();
    } else {
        seeds_of_talks();
    }
    if (argc == 4)
        seeds_of_scripts(argv[3], strcmp(argv[1], "talk") == 0);
    return 0;
}
