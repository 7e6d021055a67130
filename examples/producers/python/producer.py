"""Submits push notifications to Skein by plain AMQP, with pika.

usage: producer.py AMQP_URL POOL TOPIC < messages     each line {"tokens": ["…", …], "payload": {"aps": {…}}}
       producer.py vectors routing.json               checks the routing against the published vectors

Prints a line for each notification that is accepted: the number of its line, its id, its device token.
"""

import json
import os
import sys
import time

import pika
from pika.exceptions import AMQPError, ChannelClosedByBroker, NackError, UnroutableError

SLOTS = 1024
BODY_BYTES_MAX = 96 << 10
ITEMS_MAX = 1000
BACKOFF_SECONDS = 0.5
NOT_FOUND = 404
PERSISTENT = 2
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


def new_id():
    """A UUIDv7 (RFC 9562): 48 bits of milliseconds, then version, variant and 74 random bits."""
    return uuid7(time.time_ns() // 1_000_000, os.urandom(10))


def uuid7(milliseconds, ten_bytes):
    number = milliseconds << 80 | int.from_bytes(ten_bytes, "big")
    number = number & ~(0xF << 76) | 0x7 << 76
    number = number & ~(0x3 << 62) | 0x2 << 62
    h = f"{number:032x}"
    return f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}"


class Message:
    """One AMQP message: a notification, or one payload for many devices."""

    def __init__(self, topic, tokens, payload, ids=None):
        if not 1 <= len(tokens) <= ITEMS_MAX:
            raise ValueError(f"{len(tokens)} tokens; a batch has 1 to {ITEMS_MAX} items")
        ids = ids or [new_id() for _ in tokens]
        self.items = [{"id": identity, "token": token.lower()} for identity, token in zip(ids, tokens, strict=True)]
        # The first item's slot, then the other slots, each once.
        self.keys = list(dict.fromkeys(slot(token) for token in tokens))
        self.at = time.time()
        submitted_at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.at))
        fields = {"topic": topic, "submitted_at": submitted_at, "payload": payload}
        if len(tokens) == 1:
            self.kind = "skein.notification.v1"
            fields |= self.items[0]
        else:
            self.kind = "skein.batch.v1"
            fields["items"] = self.items
        self.body = json.dumps(fields).encode()
        if len(self.body) > BODY_BYTES_MAX:
            raise ValueError(f"{len(self.body)} bytes; a message has at most {BODY_BYTES_MAX}")

    def properties(self, repeat):
        """`repeat` marks what was published before and whose outcome was not learnt. No priority: it would break the order."""
        headers = {"BCC": self.keys[1:]} if self.keys[1:] else {}
        if repeat:
            headers["x-skein-repeat"] = True
        return pika.BasicProperties(
            content_type="application/json",
            type=self.kind,
            message_id=self.items[0]["id"],
            delivery_mode=PERSISTENT,
            timestamp=int(self.at),
            headers=headers or None,
        )


class Producer:
    """Publishes to one pool, one message at a time, each confirmed before the next: what keeps each device's order.

    For more a second, run several, each with devices of its own.
    """

    def __init__(self, url, pool):
        self.parameters = pika.URLParameters(url)
        self.exchange = f"skein.{pool}"
        self.connection = self.channel = None

    def submit(self, message, repeat=False):
        """Returns when the broker has accepted the message; `repeat` says that it may have been published before.

        Raises only if it can't be routed.
        """
        while True:
            try:
                channel = self.channel or self.connect()
                properties = message.properties(repeat)
                channel.basic_publish(self.exchange, message.keys[0], message.body, properties, mandatory=True)
                return
            except UnroutableError:
                raise
            except NackError:
                print("a queue is full, waiting", file=sys.stderr)
            except (AMQPError, OSError) as why:
                if isinstance(why, ChannelClosedByBroker) and why.reply_code == NOT_FOUND:
                    raise
                print(f"no connection: {why!r}", file=sys.stderr)
                self.channel = None
            # Whether it was accepted is not known: the same id again, marked.
            repeat = True
            time.sleep(BACKOFF_SECONDS)

    def connect(self):
        self.connection = pika.BlockingConnection(self.parameters)
        channel = self.connection.channel()
        channel.confirm_delivery()
        self.channel = channel
        return channel

    def close(self):
        if self.connection and self.connection.is_open:
            self.connection.close()


def submit_all(url, pool, topic):
    producer = Producer(url, pool)
    for number, line in enumerate(sys.stdin):
        fields = json.loads(line)
        message = Message(topic, fields["tokens"], fields["payload"])
        producer.submit(message)
        for item in message.items:
            print(number, item["id"], item["token"], flush=True)
    producer.close()


def check_vectors(path):
    with open(path, encoding="utf-8") as file:
        vectors = json.load(file)
    for vector in vectors:
        if slot(vector["token"]) != str(vector["slot"]):
            sys.exit(f"{vector['token']}: slot {slot(vector['token'])}, not {vector['slot']}")
    print(len(vectors), "vectors hold")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["vectors", path]:
            check_vectors(path)
        case [url, pool, topic]:
            submit_all(url, pool, topic)
        case _:
            sys.exit(__doc__)
