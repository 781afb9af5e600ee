/* SPDX-License-Identifier: Apache-2.0
 *
 * Conversations of the Paho client for C with the broker at 127.0.0.1, port argv[1]. Exit status 0: all as expected. */
#include <MQTTClient.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char url[64];

static void must(int fine, const char *what)
{
    if (fine)
        return;
    fprintf(stderr, "paho for C: %s\n", what);
    exit(1);
}

static MQTTClient up(const char *id, int version, int clean, MQTTClient_willOptions *will)
{
    MQTTClient c;
    MQTTClient_createOptions create = MQTTClient_createOptions_initializer;
    create.MQTTVersion = version;
    must(MQTTClient_createWithOptions(&c, url, id, MQTTCLIENT_PERSISTENCE_NONE, NULL, &create) == MQTTCLIENT_SUCCESS,
         "create");
    if (version < MQTTVERSION_5) {
        MQTTClient_connectOptions o = MQTTClient_connectOptions_initializer;
        o.MQTTVersion = version;
        o.cleansession = clean;
        o.will = will;
        must(MQTTClient_connect(c, &o) == MQTTCLIENT_SUCCESS, "connect");
        return c;
    }
    MQTTClient_connectOptions o = MQTTClient_connectOptions_initializer5;
    MQTTProperties props = MQTTProperties_initializer;
    MQTTProperty expiry = { .identifier = MQTTPROPERTY_CODE_SESSION_EXPIRY_INTERVAL, .value.integer4 = 60 };
    MQTTProperties_add(&props, &expiry);
    o.cleanstart = clean;
    o.will = will;
    MQTTResponse r = MQTTClient_connect5(c, &o, clean ? NULL : &props, NULL);
    must(r.reasonCode == MQTTREASONCODE_SUCCESS, "connect");
    MQTTResponse_free(r);
    MQTTProperties_free(&props);
    return c;
}

static void down(MQTTClient *c, int version)
{
    if (version < MQTTVERSION_5)
        must(MQTTClient_disconnect(*c, 1000) == MQTTCLIENT_SUCCESS, "disconnect");
    else
        must(MQTTClient_disconnect5(*c, 1000, MQTTREASONCODE_NORMAL_DISCONNECTION, NULL) == MQTTCLIENT_SUCCESS,
             "disconnect");
    MQTTClient_destroy(c);
}

static void subscribe(MQTTClient c, int version, const char *filter, int qos)
{
    if (version < MQTTVERSION_5) {
        must(MQTTClient_subscribe(c, filter, qos) == MQTTCLIENT_SUCCESS, "subscribe");
        return;
    }
    MQTTResponse r = MQTTClient_subscribe5(c, filter, qos, NULL, NULL);
    must((int)r.reasonCode == qos, "subscribe");
    MQTTResponse_free(r);
}

static void publish(MQTTClient c, int version, const char *topic, const char *text, int qos, int retained)
{
    MQTTClient_deliveryToken token;
    if (version < MQTTVERSION_5) {
        must(MQTTClient_publish(c, topic, (int)strlen(text), text, qos, retained, &token) == MQTTCLIENT_SUCCESS,
             "publish");
    } else {
        MQTTProperties props = MQTTProperties_initializer;
        MQTTProperty pair = { .identifier = MQTTPROPERTY_CODE_USER_PROPERTY,
                              .value = { .data = { 1, "k" }, .value = { 1, "v" } } };
        MQTTProperties_add(&props, &pair);
        MQTTResponse r = MQTTClient_publish5(c, topic, (int)strlen(text), text, qos, retained, &props, &token);
        must(r.reasonCode < MQTTREASONCODE_UNSPECIFIED_ERROR, "publish");
        MQTTResponse_free(r);
        MQTTProperties_free(&props);
    }
    must(qos == 0 || MQTTClient_waitForCompletion(c, token, 5000) == MQTTCLIENT_SUCCESS, "completion");
}

static void expect(MQTTClient c, int version, const char *topic, const char *text, int qos, int retained)
{
    char *name = NULL;
    int len = 0;
    MQTTClient_message *m = NULL;
    int rc = MQTTClient_receive(c, &name, &len, &m, 5000);
    must((rc == MQTTCLIENT_SUCCESS || rc == MQTTCLIENT_TOPICNAME_TRUNCATED) && m != NULL, "receive");
    must(strcmp(name, topic) == 0 && (size_t)m->payloadlen == strlen(text) &&
             memcmp(m->payload, text, strlen(text)) == 0,
         "message");
    must(m->qos == qos && m->retained == retained, "QoS or RETAIN");
    must(version < MQTTVERSION_5 || MQTTProperties_hasProperty(&m->properties, MQTTPROPERTY_CODE_USER_PROPERTY),
         "property");
    MQTTClient_freeMessage(&m);
    MQTTClient_free(name);
}

static void converse(int version)
{
    char topic[32], name[32];
    snprintf(topic, sizeof topic, "c%d/t", version);
    snprintf(name, sizeof name, "c%dkept", version);
    MQTTClient a = up(name, version, 0, NULL), b = up("c-other", version, 1, NULL);
    subscribe(a, version, topic, 2);
    for (int qos = 0; qos < 3; qos++) {
        publish(b, version, topic, "text", qos, 0);
        expect(a, version, topic, "text", qos, 0);
    }
    down(&a, version);
    publish(b, version, topic, "one", 1, 0);
    publish(b, version, topic, "two", 2, 1);
    a = up(name, version, 0, NULL);
    expect(a, version, topic, "one", 1, 0);
    expect(a, version, topic, "two", 2, 0);
    subscribe(a, version, topic, 1);
    expect(a, version, topic, "two", 1, 1);
    publish(b, version, topic, "", 1, 1);
    expect(a, version, topic, "", 1, 0);
    down(&a, version);
    a = up(name, version, 1, NULL);
    down(&a, version);
    down(&b, version);
}

int main(int argc, char **argv)
{
    must(argc == 2, "usage: paho PORT");
    snprintf(url, sizeof url, "tcp://127.0.0.1:%s", argv[1]);
    converse(MQTTVERSION_3_1);
    converse(MQTTVERSION_3_1_1);
    converse(MQTTVERSION_5);
    printf("paho for C: done\n");
    return 0;
}
