/* SPDX-License-Identifier: Apache-2.0
 *
 * Conversations of libmosquitto with the broker at 127.0.0.1, port argv[1]. Exit status 0: all as expected. */
#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct peer {
    struct mosquitto *m;
    int connected, subscribed, published, gone, messages;
    char topic[64], text[64];
    int qos, retain, expiry;
    char user[16];
};

static int port;

static void must(int fine, const char *what)
{
    if (fine)
        return;
    fprintf(stderr, "libmosquitto: %s\n", what);
    exit(1);
}

static void on_connect(struct mosquitto *m, void *ctx, int rc)
{
    (void)m;
    must(rc == 0, "connect refused");
    ((struct peer *)ctx)->connected++;
}

static void on_subscribe(struct mosquitto *m, void *ctx, int mid, int n, const int *qos)
{
    (void)m;
    (void)mid;
    must(n == 1 && qos[0] < 3, "subscribe refused");
    ((struct peer *)ctx)->subscribed++;
}

static void on_publish(struct mosquitto *m, void *ctx, int mid)
{
    (void)m;
    (void)mid;
    ((struct peer *)ctx)->published++;
}

static void on_disconnect(struct mosquitto *m, void *ctx, int rc)
{
    (void)m;
    (void)rc;
    ((struct peer *)ctx)->gone++;
}

static void on_message(struct mosquitto *m, void *ctx, const struct mosquitto_message *in,
                       const mosquitto_property *props)
{
    struct peer *p = ctx;
    uint32_t expiry = 0;
    char *name = NULL, *value = NULL;
    (void)m;
    snprintf(p->topic, sizeof p->topic, "%s", in->topic);
    snprintf(p->text, sizeof p->text, "%.*s", in->payloadlen, in->payloadlen > 0 ? (const char *)in->payload : "");
    p->qos = in->qos;
    p->retain = in->retain;
    mosquitto_property_read_int32(props, MQTT_PROP_MESSAGE_EXPIRY_INTERVAL, &expiry, false);
    p->expiry = (int)expiry;
    p->user[0] = '\0';
    if (mosquitto_property_read_string_pair(props, MQTT_PROP_USER_PROPERTY, &name, &value, false) != NULL)
        snprintf(p->user, sizeof p->user, "%s=%s", name, value);
    free(name);
    free(value);
    p->messages++;
}

/* Lets everybody run until the counter has moved. */
static void await(struct peer *peers, int n, const int *counter, int past, const char *what)
{
    for (int i = 0; *counter == past; i++) {
        must(i < 5000, what);
        for (int k = 0; k < n; k++)
            if (peers[k].m != NULL)
                mosquitto_loop(peers[k].m, 1, 10);
    }
}

static void up(struct peer *peers, int n, int which, const char *id, int version, bool clean, const char *will)
{
    struct peer *p = &peers[which];
    mosquitto_property *props = NULL;
    memset(p, 0, sizeof *p);
    p->m = mosquitto_new(id, clean, p);
    mosquitto_int_option(p->m, MOSQ_OPT_PROTOCOL_VERSION, version);
    mosquitto_connect_callback_set(p->m, on_connect);
    mosquitto_subscribe_callback_set(p->m, on_subscribe);
    mosquitto_publish_callback_set(p->m, on_publish);
    mosquitto_disconnect_callback_set(p->m, on_disconnect);
    mosquitto_message_v5_callback_set(p->m, on_message);
    if (will != NULL)
        mosquitto_will_set(p->m, will, 4, "will", 1, false);
    if (version == MQTT_PROTOCOL_V5 && !clean)
        mosquitto_property_add_int32(&props, MQTT_PROP_SESSION_EXPIRY_INTERVAL, 60);
    must(mosquitto_connect_bind_v5(p->m, "127.0.0.1", port, 30, NULL, props) == MOSQ_ERR_SUCCESS, "connect");
    mosquitto_property_free_all(&props);
    await(peers, n, &p->connected, 0, "no CONNACK");
}

static void down(struct peer *peers, int n, int which)
{
    mosquitto_disconnect(peers[which].m);
    await(peers, n, &peers[which].gone, 0, "no end");
    mosquitto_destroy(peers[which].m);
    peers[which].m = NULL;
}

static void publish(struct peer *peers, int n, int which, int version, const char *topic, const char *text, int qos,
                    bool retain)
{
    struct peer *p = &peers[which];
    int before = p->published;
    mosquitto_property *props = NULL;
    if (version == MQTT_PROTOCOL_V5) {
        mosquitto_property_add_string_pair(&props, MQTT_PROP_USER_PROPERTY, "k", "v");
        mosquitto_property_add_int32(&props, MQTT_PROP_MESSAGE_EXPIRY_INTERVAL, 60);
    }
    must(mosquitto_publish_v5(p->m, NULL, topic, (int)strlen(text), text, qos, retain, props) == MOSQ_ERR_SUCCESS,
         "publish");
    mosquitto_property_free_all(&props);
    await(peers, n, &p->published, before, "no acknowledgement");
}

static void expect(struct peer *peers, int n, int which, int version, const char *text, int qos, int retain)
{
    struct peer *p = &peers[which];
    if (p->messages == 0)
        await(peers, n, &p->messages, 0, "no message");
    must(p->messages == 1 && strcmp(p->text, text) == 0 && p->qos == qos && p->retain == retain, "another message");
    must(version != MQTT_PROTOCOL_V5 || strcmp(text, "will") == 0 || (strcmp(p->user, "k=v") == 0 && p->expiry > 50),
         "other properties");
    p->messages = 0;
}

static void converse(int version, const char *topic, const char *id)
{
    struct peer peers[3] = { { NULL } };
    up(peers, 3, 0, id, version, false, NULL);
    up(peers, 3, 1, "lm-other", version, true, NULL);
    mosquitto_subscribe(peers[0].m, NULL, topic, 2);
    await(peers, 3, &peers[0].subscribed, 0, "no SUBACK");
    for (int qos = 0; qos < 3; qos++) {
        publish(peers, 3, 1, version, topic, "text", qos, false);
        expect(peers, 3, 0, version, "text", qos, 0);
    }
    down(peers, 3, 0);
    publish(peers, 3, 1, version, topic, "later", 2, true);
    up(peers, 3, 0, id, version, false, NULL);
    expect(peers, 3, 0, version, "later", 2, 0);
    mosquitto_subscribe(peers[0].m, NULL, topic, 1);
    expect(peers, 3, 0, version, "later", 1, 1);
    publish(peers, 3, 1, version, topic, "", 1, true);
    expect(peers, 3, 0, version, "", 1, 0);
    up(peers, 3, 2, "lm-will", version, true, topic);
    mosquitto_destroy(peers[2].m); /* no DISCONNECT */
    peers[2].m = NULL;
    expect(peers, 3, 0, version, "will", 1, 0);
    down(peers, 3, 0);
    up(peers, 3, 0, id, version, true, NULL);
    down(peers, 3, 0);
    down(peers, 3, 1);
}

int main(int argc, char **argv)
{
    must(argc == 2, "usage: mosquitto PORT");
    port = atoi(argv[1]);
    mosquitto_lib_init();
    converse(MQTT_PROTOCOL_V31, "lm31/t", "lm31");
    converse(MQTT_PROTOCOL_V311, "lm311/t", "lm311");
    converse(MQTT_PROTOCOL_V5, "lm5/t", "lm5");
    mosquitto_lib_cleanup();
    printf("libmosquitto: done\n");
    return 0;
}
