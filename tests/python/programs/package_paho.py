"""paho-mqtt against mosquitto: a subscription and messages of each quality of service, in the loop of the main thread."""

import time

import paho.mqtt.client as mqtt
import place

received = []


def on_connect(client, userdata, flags, reason, properties):
    client.subscribe("sandbox/#", qos=2)


def on_subscribe(client, userdata, mid, reasons, properties):
    for qos in range(3):
        client.publish(f"sandbox/{qos}", f"message {qos}", qos=qos)


def on_message(client, userdata, message):
    received.append((message.topic, message.payload, message.qos))


client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
client.on_connect, client.on_subscribe, client.on_message = on_connect, on_subscribe, on_message
if place.TLS:
    client.tls_set(ca_certs=place.ROOTS)
client.connect(place.HOST, place.PORT, keepalive=5)
end = time.monotonic() + 10
while len(received) < 3 and time.monotonic() < end:
    assert client.loop(timeout=1) == mqtt.MQTT_ERR_SUCCESS
assert sorted(received) == [(f"sandbox/{qos}", f"message {qos}".encode(), qos) for qos in range(3)], received
client.disconnect()
client.loop(timeout=1)
print("ok")
