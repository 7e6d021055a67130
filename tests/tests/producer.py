"""A producer that knows nothing but the wire contract and an ordinary AMQP client (pika).

usage: producer.py AMQP_URL POOL TOPIC ROUNDS SEED

Each round publishes singles, then one batch for a group, each confirmed before the next. Prints what was confirmed, a line
each: id, device token, sequence within the token.
"""

import json
import os
import random
import sys
import time

import pika

SLOTS = 1024
MASK = (1 << 64) - 1


def slot(token):
    """The routing key of a device token: FNV-1a over its bytes, finished by MurmurHash3's fmix64, modulo 1024."""
    h = 0xCBF29CE484222325
    for byte in bytes.fromhex(token):
        h = ((h ^ byte) * 0x100000001B3) & MASK
    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        h ^= h >> 33
        h = (h * factor) & MASK
    return str((h ^ (h >> 33)) % SLOTS)


def uuid7():
    """Milliseconds since 1970, version 7, 74 random bits (RFC 9562)."""
    number = (time.time_ns() // 1_000_000) << 80 | int.from_bytes(os.urandom(10), "big")
    number = number & ~(0xF << 76) | 0x7 << 76
    number = number & ~(0x3 << 62) | 0x2 << 62
    h = f"{number:032x}"
    return f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}"


def publish(channel, pool, kind, identity, keys, body):
    """One persistent, mandatory message; `keys` is the first item's slot, then the other items'."""
    headers = {"BCC": keys[1:]} if keys[1:] else {}
    properties = pika.BasicProperties(
        content_type="application/json", type=kind, message_id=identity, delivery_mode=2, headers=headers
    )
    # Raises if it is returned or nacked.
    channel.basic_publish(f"skein.{pool}", keys[0], json.dumps(body).encode(), properties, mandatory=True)


def vectors_hold(path):
    return all(slot(v["token"]) == str(v["slot"]) for v in json.load(open(path)))


def main(url, pool, topic, rounds, seed):
    assert vectors_hold(os.environ["ROUTING_VECTORS"]), "the routing vectors do not hold"
    draw = random.Random(int(seed))
    tokens = [draw.randbytes(32).hex() for _ in range(100)]
    sequences = dict.fromkeys(tokens, 0)
    channel = pika.BlockingConnection(pika.URLParameters(url)).channel()
    channel.confirm_delivery()

    def confirmed(identity, token):
        print(identity, token, sequences[token])
        sequences[token] += 1

    for _ in range(int(rounds)):
        for token in draw.choices(tokens, k=5):
            body = {
                "id": uuid7(),
                "token": token.upper() if draw.random() < 0.5 else token,
                "topic": topic,
                "submitted_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                "a_field_of_tomorrow": {"is": "ignored"},
                "payload": {"aps": {"alert": {"title": "Bob", "body": "räksmörgås"}}, "skein_seq": sequences[token]},
            }
            publish(channel, pool, "skein.notification.v1", body["id"], [slot(token)], body)
            confirmed(body["id"], token)
        group = draw.sample(tokens, 20)
        items = [{"id": uuid7(), "token": token} for token in group]
        batch = {"topic": topic, "payload": {"aps": {"alert": "to all of you"}}, "items": items}
        first = slot(group[0])
        others = sorted({slot(token) for token in group} - {first})
        publish(channel, pool, "skein.batch.v1", items[0]["id"], [first, *others], batch)
        for item in items:
            confirmed(item["id"], item["token"])


if __name__ == "__main__":
    main(*sys.argv[1:])
