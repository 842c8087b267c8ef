"""Talks to a broker with the Python `confluent-kafka` (librdkafka of its own), and prints JSON.

usage: kafka.py BOOTSTRAP list
       kafka.py BOOTSTRAP produce TOPIC PARTITION COUNT   (keys `key-<n>`, values `value-<n>`, LZ4)
       kafka.py BOOTSTRAP consume TOPIC GROUP             (a consumer group, from the beginning to the end, then commits)
       kafka.py BOOTSTRAP committed TOPIC GROUP PARTITION
       kafka.py BOOTSTRAP everywhere TOPIC..              (one record to each partition; the offsets)
       kafka.py BOOTSTRAP groups
       kafka.py BOOTSTRAP grow TOPIC COUNT                (to so many partitions)
       kafka.py BOOTSTRAP anew TOPIC COUNT                (deletes it, and makes it again)
"""

import json
import sys
import time

from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic

SECONDS = 30


def topics(bootstrap):
    metadata = AdminClient({"bootstrap.servers": bootstrap}).list_topics(timeout=SECONDS)
    return {name: sorted(topic.partitions) for name, topic in metadata.topics.items()}


def produce(bootstrap, topic, partition, count):
    failed = []
    offsets = []

    def delivered(error, message):
        if error is not None:
            failed.append(str(error))
        else:
            offsets.append(message.offset())

    producer = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True, "compression.type": "lz4"})
    for number in range(int(count)):
        producer.produce(
            topic, key=f"key-{number}", value=f"value-{number}", partition=int(partition), on_delivery=delivered
        )
        producer.poll(0)
    left = producer.flush(SECONDS)
    return {"delivered": len(offsets), "offsets": sorted(offsets), "failed": failed, "left": left}


def everywhere(bootstrap, *names):
    partitions = topics(bootstrap)
    return {
        name: [[number, produce(bootstrap, name, number, 1)["offsets"][0]] for number in partitions[name]]
        for name in names
    }


def consume(bootstrap, topic, group):
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
        }
    )
    consumer.subscribe([topic])
    messages, at_end = [], set()
    until = time.monotonic() + SECONDS
    while not at_end or len(at_end) < len(consumer.assignment()):
        if time.monotonic() > until:
            raise SystemExit(f"only {sorted(at_end)} of {consumer.assignment()} came to their ends")
        message = consumer.poll(1.0)
        if message is None:
            continue
        if message.error() and message.error().code() == KafkaError._PARTITION_EOF:
            at_end.add(message.partition())
        elif message.error():
            raise SystemExit(str(message.error()))
        else:
            messages.append(message)
    if messages:
        consumer.commit(asynchronous=False)
    consumer.close()
    return [
        {
            "partition": message.partition(),
            "offset": message.offset(),
            "key": (message.key() or b"").decode("utf-8", "replace"),
            "value": None if message.value() is None else message.value().decode("utf-8", "replace"),
        }
        for message in messages
    ]


def committed(bootstrap, topic, group, partition):
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": group})
    found = consumer.committed([TopicPartition(topic, int(partition))], timeout=SECONDS)
    consumer.close()
    return found[0].offset


def groups(bootstrap):
    admin = AdminClient({"bootstrap.servers": bootstrap})
    listed = admin.list_consumer_groups().result(SECONDS)
    return sorted(group.group_id for group in listed.valid)


def grow(bootstrap, topic, count):
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.create_partitions([NewPartitions(topic, int(count))])[topic].result(SECONDS)
    return int(count)


def anew(bootstrap, topic, count):
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.delete_topics([topic])[topic].result(SECONDS)
    admin.create_topics([NewTopic(topic, int(count))])[topic].result(SECONDS)
    return int(count)


COMMANDS = {
    "list": topics,
    "produce": produce,
    "consume": consume,
    "committed": committed,
    "everywhere": everywhere,
    "groups": groups,
    "grow": grow,
    "anew": anew,
}


def main() -> None:
    bootstrap, command = sys.argv[1:3]
    print(json.dumps(COMMANDS[command](bootstrap, *sys.argv[3:])))


main()
