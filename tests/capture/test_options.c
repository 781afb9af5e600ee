/* SPDX-License-Identifier: Apache-2.0
 *
 * The command line (capture/options.h): what is understood, what is refused and with which words. */
#include "capture/options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct options o;
static char error[OPTIONS_ERROR];

/* Words of a command line, split at spaces. */
static bool parse(const char *line)
{
    static char text[8192];
    static char *argv[64];
    int argc = 0;
    snprintf(text, sizeof text, "mqdump %s", line);
    for (char *word = strtok(text, " "); word != NULL; word = strtok(NULL, " "))
        argv[argc++] = word;
    argv[argc] = NULL;
    return options_parse(&o, OPTIONS_D, argc, argv, error);
}

static void refused(const char *line, const char *words)
{
    assert_false(parse(line));
    assert_non_null(strstr(error, words));
    assert_null(strchr(error, '\n'));
}

static void memory(void **state)
{
    (void)state;
    assert_true(parse("--budget packet:64K --max-memory 64M --budget idle:30 --budget connections:7"));
    struct pipeline_budget rest = pipeline_budget_of(64 << 20);
    assert_int_equal(o.input.budget.packet, 65536); /* named before --max-memory and still in force */
    assert_int_equal(o.input.budget.idle_s, 30);
    assert_int_equal(o.input.budget.flows, 7);
    assert_int_equal(o.input.budget.total_packet, rest.total_packet);
    assert_int_equal(o.input.budget.tracker, rest.tracker);
    assert_true(parse("--budget flow-order:3 --budget order:4 --budget packets:5G --budget tracker:6M"));
    assert_int_equal(o.input.budget.flow_order, 3);
    assert_int_equal(o.input.budget.total_order, 4);
    assert_int_equal(o.input.budget.total_packet, UINT64_C(5) << 30);
    assert_int_equal(o.input.budget.tracker, 6 << 20);
    refused("--budget packet:5G", "'packet:5G'");
    refused("--budget connections:0", "--budget wants");
    refused("--budget shoes:2", "--budget wants");
    refused("--max-memory 1M", "at least 8M");
}

static void input(void **state)
{
    (void)state;
    assert_true(parse(""));
    assert_int_equal(o.input.n_interfaces, 1);
    assert_string_equal(o.input.interfaces[0], "any");
    assert_true(parse("-i lo -i eth0 -s 96 -B 8 -p -n tcp port 1883"));
    assert_int_equal(o.input.n_interfaces, 2);
    assert_string_equal(o.input.interfaces[1], "eth0");
    assert_string_equal(o.input.capture_filter, "tcp port 1883");
    assert_int_equal(o.input.snaplen, 96);
    assert_int_equal(o.input.buffer_mib, 8);
    assert_true(o.input.no_promiscuous);
    assert_true(parse("-r x.pcap host 10.0.0.1"));
    assert_string_equal(o.input.file, "x.pcap");
    assert_string_equal(o.input.capture_filter, "host 10.0.0.1");
    assert_true(parse("/dev/null"));
    assert_string_equal(o.input.file, "/dev/null");
    assert_true(parse("missing.pcapng"));
    assert_string_equal(o.input.file, "missing.pcapng");
    refused("-r a -i lo", "not both");
    refused("-r a -r b", "only one file");
    assert_true(parse("-i lo -s 0")); /* all of it, as to tcpdump and tshark */
    assert_int_equal(o.input.snaplen, 0);
    refused("-s 262145", "-s wants a number from 0 to 262144, not '262145'");
    refused("-s -1", "'-1'");
    refused("-B 99999999999999999999999", "-B wants");
    refused("-f tcp udp", "-f");
}

static void ports(void **state)
{
    (void)state;
    assert_true(parse("-d tcp.port==17501,mqtt -d tcp.port==20-22,mqtt"));
    assert_int_equal(o.input.n_mqtt_ports, 4);
    assert_int_equal(o.input.mqtt_ports[0], 17501);
    assert_int_equal(o.input.mqtt_ports[3], 22);
    refused("-d tcp.port==99999,mqtt", "65535");
    refused("-d tcp.port==65536,mqtt", "65535");
    refused("-d tcp.port==0,mqtt", "65535");
    refused("-d tcp.port==5-4,mqtt", "65535");
    refused("-d tcp.port==,mqtt", "65535");
    refused("-d tcp.port==1-2000,mqtt", "1024");
    refused("-d udp.port==1883,mqtt", "tcp.port==N,mqtt");
    refused("-d tcp.port==1883,http", "tcp.port==N,mqtt");
}

static void output(void **state)
{
    (void)state;
    assert_true(
        parse("-T fields -e frame.number -e mqtt.topic -E header=y,separator=,,occurrence=f,aggregator=/s,quote=d"));
    assert_int_equal(o.format, OPTIONS_FIELDS);
    assert_int_equal(o.columns.n, 2);
    assert_int_equal(o.columns.fields[1], FIELD_MQTT_TOPIC);
    assert_true(o.columns.header);
    assert_int_equal(o.columns.separator, ',');
    assert_int_equal(o.columns.occurrence, 'f');
    assert_int_equal(o.columns.aggregator, ' ');
    assert_int_equal(o.columns.quote, '"');
    assert_true(parse("-T fields -e mqtt.len -E separator=; -E aggregator=,"));
    assert_int_equal(o.columns.separator, ';');
    assert_int_equal(o.columns.aggregator, ',');
    assert_true(parse("-T json -l -c 3 -t ud --color never --fail-on warning --show-secrets"));
    assert_int_equal(o.format, OPTIONS_JSON);
    assert_true(o.line_buffered && o.style.secrets);
    assert_int_equal(o.count, 3);
    assert_int_equal(o.style.time, SHOW_TIME_UTC_DATE);
    assert_int_equal(o.color, OPTIONS_COLOR_NEVER);
    assert_int_equal(o.fail_on, MQTT_SEVERITY_WARNING);
    assert_true(parse("-Vxq"));
    assert_true(o.tree && o.hex && o.quiet);
    refused("-T xml", "text fields json eve");
    refused("-T fields", "-e FIELD");
    refused("-e mqtt.topic", "-T fields or -T json");
    refused("-T fields -e mqtt.topicc", "did you mean mqtt.topic?");
    refused("-T fields -e no.such.thing", "-G fields");
    refused("-T fields -e mqtt.len -E header", "-E wants");
    refused("-T fields -e mqtt.len -E colour=y", "'colour=y'");
    refused("-T fields -e mqtt.len -E separator=", "-E wants");
    refused("-T fields -e mqtt.len -E separator=ab", "-E wants");
    refused("-T json -V", "-T text");
    refused("-c many", "-c wants a number from 1 on, not 'many'");
    refused("-c 18446744073709551616", "-c wants");
    refused("-t xyz", "-t wants one of a ad d dd e r u ud, not 'xyz'");
    refused("--color sometimes", "--color wants one of");
    refused("--fail-on everything", "--fail-on wants one of note warning error");
}

static void recording(void **state)
{
    (void)state;
    assert_true(parse("-w out.pcapng -b filesize:1000 -b files:3 -a duration:60 -a packets:5"));
    assert_string_equal(o.input.record.file, "out.pcapng");
    assert_int_equal(o.input.record.ring_kb, 1000);
    assert_int_equal(o.input.record.ring_files, 3);
    assert_int_equal(o.input.stop_after_s, 60);
    assert_int_equal(o.input.stop_after_frames, 5);
    refused("-w a -b size:3", "-b wants");
    refused("-a duration:0", "-a wants");
    refused("-b filesize:100", "need -w FILE");
    refused("-a files:2 -r x.pcap", "need -w FILE");
    refused("-w x.pcapng -b files:3", "when the next file begins"); /* would be one file without end */
    refused("-w x.pcapng -a files:3", "when the next file begins");
    refused("-w - -b filesize:100", "standard output");
    assert_true(parse("-a duration:5 -a packets:9"));
    refused("-a duration:99999999999", "-a wants");
}

static void unknown(void **state)
{
    (void)state;
    refused("--no-such-option", "unknown option '--no-such-option'");
    refused("-J", "unknown option '-J'");
    refused("-r", "argument missing behind '-r'");
    refused("--fail-on", "argument missing behind '--fail-on'");
    refused("--tree=yes", "no argument belongs behind");
    refused("-d \033[2J", "\\x1b[2J"); /* the error is for a terminal too */
}

static void actions(void **state)
{
    (void)state;
    assert_true(parse("--help"));
    assert_int_equal(o.action, OPTIONS_HELP);
    assert_true(parse("-h -T text"));
    assert_int_equal(o.action, OPTIONS_HELP);
    assert_true(parse("--version --help"));
    assert_int_equal(o.action, OPTIONS_VERSION);
    assert_true(parse("-D"));
    assert_int_equal(o.action, OPTIONS_LIST_INTERFACES);
    assert_true(parse("-G fields"));
    assert_int_equal(o.action, OPTIONS_LIST_FIELDS);
    refused("-G protocols", "fields");
}

/* One letter, one name, for one option. */
static void table(void **state)
{
    (void)state;
    for (int i = 0; i < OPTION_COUNT; i++) {
        assert_true(option_table[i].name[0] != '\0' && option_table[i].help[0] != '\0');
        for (int j = i + 1; j < OPTION_COUNT; j++) {
            assert_string_not_equal(option_table[i].name, option_table[j].name);
            assert_true(option_table[i].letter == '\0' || option_table[i].letter != option_table[j].letter);
        }
    }
}

/* Every option of the program stands in each script and in --help, and none of the other program. */
static void completion(void **state)
{
    static const char *const scripts[] = { "bash", "zsh", "fish", "help" };
    static char text[1 << 16];
    (void)state;
    for (int s = 0; s < 4; s++) {
        FILE *file = tmpfile();
        if (s < 3)
            options_completion(file, OPTIONS_D, scripts[s]);
        else
            options_help(file, OPTIONS_D);
        rewind(file);
        text[fread(text, 1, sizeof text - 1, file)] = '\0';
        fclose(file);
        for (int i = 0; i < OPTION_COUNT; i++) {
            char name[64];
            snprintf(name, sizeof name, s == 2 ? "-l %s " : "--%s", option_table[i].name);
            assert_int_equal(strstr(text, name) != NULL, (option_table[i].programs & OPTIONS_D) != 0);
        }
    }
    refused("--completion tcsh", "bash zsh fish");
}

static void color(void **state)
{
    FILE *file = tmpfile();
    (void)state;
    setenv("TERM", "xterm", 1);
    unsetenv("NO_COLOR");
    assert_true(parse(""));
    assert_false(options_use_color(&o, file)); /* no terminal */
    assert_true(parse("--color always"));
    assert_true(options_use_color(&o, file));
    fclose(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(input),      cmocka_unit_test(memory),  cmocka_unit_test(ports),   cmocka_unit_test(output),
        cmocka_unit_test(recording),  cmocka_unit_test(unknown), cmocka_unit_test(actions), cmocka_unit_test(table),
        cmocka_unit_test(completion), cmocka_unit_test(color),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
