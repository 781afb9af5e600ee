// SPDX-License-Identifier: Apache-2.0
//
// Conversations of MQTT.js with the broker at 127.0.0.1, port argv[2]. Exit status 0: all as expected.
const mqtt = require('mqtt')
const assert = require('assert')
const port = process.argv[2]
setTimeout(() => { console.error('MQTT.js: not within 30 s'); process.exit(1) }, 30000).unref()

function next (client) {
  return new Promise(resolve => client.once('message', (topic, payload, packet) => resolve(packet)))
}

async function converse (level) {
  const url = `mqtt://127.0.0.1:${port}`
  const options = { protocolVersion: level, protocolId: level === 3 ? 'MQIsdp' : 'MQTT', reconnectPeriod: 0 }
  const a = await mqtt.connectAsync(url, { ...options, clientId: `js${level}a` })
  const b = await mqtt.connectAsync(url, { ...options, clientId: `js${level}b` })
  const more = level === 5 ? { properties: { userProperties: { k: ['v', 'w'] }, contentType: 'text', messageExpiryInterval: 60 } } : {}
  await a.subscribeAsync(`js${level}/#`, { qos: 2 })
  for (const qos of [0, 1, 2]) {
    const coming = next(a)
    await b.publishAsync(`js${level}/t`, `m${qos}`, { qos, ...more })
    const got = await coming
    assert.strictEqual(got.topic, `js${level}/t`)
    assert.strictEqual(got.payload.toString(), `m${qos}`)
    assert.strictEqual(got.qos, qos)
    if (level === 5) {
      assert.deepStrictEqual([...got.properties.userProperties.k], ['v', 'w'])
      assert.strictEqual(got.properties.contentType, 'text')
    }
  }
  let coming = next(a)
  await b.publishAsync(`js${level}/kept`, 'kept', { qos: 1, retain: true })
  assert.strictEqual((await coming).retain, false)
  coming = next(b)
  await b.subscribeAsync(`js${level}/kept`, { qos: 1 })
  assert.strictEqual((await coming).retain, true)
  await b.publishAsync(`js${level}/kept`, '', { qos: 1, retain: true })
  const w = await mqtt.connectAsync(url, { ...options, clientId: `js${level}w`, will: { topic: `js${level}/w`, payload: 'gone', qos: 1, retain: false } })
  coming = new Promise(resolve => a.on('message', (topic, payload) => { if (topic === `js${level}/w`) resolve(payload.toString()) }))
  w.stream.destroy()
  assert.strictEqual(await coming, 'gone')
  await a.unsubscribeAsync(`js${level}/#`)
  await a.endAsync()
  await b.endAsync()
}

(async () => {
  for (const level of [3, 4, 5]) await converse(level)
  console.log('MQTT.js: done')
  process.exit(0)
})().catch(error => { console.error('MQTT.js:', error); process.exit(1) })
