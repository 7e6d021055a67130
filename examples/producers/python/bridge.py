"""Carries the messages of one queue of another system over to Skein, in order, none lost.

usage: bridge.py AMQP_URL OLD_QUEUE POOL TOPIC

It must be the queue's only consumer. Each message is published to Skein and confirmed before it is acked in its old queue.
What it is killed in between comes back and is published again under the same id, marked, so that Skein knows it. What can't be made a
notification is put aside in the queue OLD_QUEUE.aside. Prints a line for each that is accepted: its id, and its message_id in the old
queue. Ends at SIGTERM or Ctrl-C; have it started again if it ends otherwise.
"""

import hashlib
import json
import signal
import sys
import time

import pika
from producer import PERSISTENT, Message, Producer, uuid7

DAY_SECONDS = 86_400
ID_AGE_MAX_SECONDS = DAY_SECONDS - 3_600  # Skein refuses ids that are more than a day old


def notification(topic, properties, body):
    """Change this to what your messages look like."""
    fields = json.loads(body)
    identity = properties.message_id or fields["id"]
    return Message(topic, [fields["token"]], fields["payload"], ids=[stable_id(identity, properties.timestamp)])


def stable_id(identity, timestamp):
    """The same message has the same id whenever it is read: its own time, and a hash of what tells it apart.

    Without a time of its own, or with one that is too old, the beginning of this day (UTC) stands for it.
    """
    now = int(time.time())
    if timestamp is None or not now - ID_AGE_MAX_SECONDS < timestamp <= now:
        timestamp = now - now % DAY_SECONDS
    return uuid7(timestamp * 1_000, hashlib.sha256(identity.encode()).digest()[:10])


def carry(url, queue, pool, topic):
    producer = Producer(url, pool)
    # A connection of its own: an alarm of the broker stalls those that publish.
    channel = pika.BlockingConnection(pika.URLParameters(url)).channel()
    channel.basic_qos(prefetch_count=1)
    channel.confirm_delivery()
    aside = f"{queue}.aside"
    channel.queue_declare(aside, durable=True)
    for delivery, properties, body in channel.consume(queue):
        try:
            message = notification(topic, properties, body)
        except (AttributeError, KeyError, TypeError, ValueError) as why:
            # It would come back for ever, and everything behind it would wait.
            print(f"put aside, {properties.message_id}: {why!r}", file=sys.stderr)
            # Not all that it came with: with another's user_id the broker would refuse it, and with an expiration it would vanish.
            kept = pika.BasicProperties(
                content_type=properties.content_type,
                message_id=properties.message_id,
                headers=properties.headers,
                delivery_mode=PERSISTENT,
            )
            channel.basic_publish("", aside, body, kept, mandatory=True)
        else:
            producer.submit(message, repeat=delivery.redelivered)
            print(message.items[0]["id"], properties.message_id, flush=True)
        channel.basic_ack(delivery.delivery_tag)


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        carry(*sys.argv[1:])
    except KeyboardInterrupt:
        pass
