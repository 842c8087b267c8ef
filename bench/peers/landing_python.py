"""A Python loop: confluent-kafka, fastavro, one append of delta-rs per 200,000 rows with the offsets as transactions."""

import io
import json
import os
import pathlib
import sys

import fastavro
import pyarrow as pa
from confluent_kafka import Consumer, TopicPartition
from deltalake import CommitProperties, Transaction, write_deltalake
from process import peak_mb, reset_peak, timed

folder, table = sys.argv[1:3]
given = json.loads(pathlib.Path(folder, "input.json").read_text())
schema = fastavro.parse_schema(json.loads(pathlib.Path(folder, "value.avsc").read_text()))
ROWS = 200_000
PARTITIONS = 4

image = pa.struct([
    ("order_id", pa.int64()), ("line_no", pa.int32()), ("product_id", pa.int32()), ("quantity", pa.int32()),
    ("unit_price", pa.decimal128(10, 2)), ("discount", pa.decimal128(5, 4)), ("updated_at", pa.int64()),
])
source = pa.struct([
    ("version", pa.string()), ("connector", pa.string()), ("name", pa.string()), ("ts_ms", pa.int64()),
    ("snapshot", pa.string()), ("db", pa.string()), ("sequence", pa.string()), ("ts_us", pa.int64()),
    ("ts_ns", pa.int64()), ("schema", pa.string()), ("table", pa.string()), ("change_lsn", pa.string()),
    ("commit_lsn", pa.string()), ("event_serial_no", pa.int64()),
])
columns = pa.schema([
    ("before", image), ("after", image), ("source", source), ("op", pa.string()), ("ts_ms", pa.int64()),
    ("_partition", pa.int32()), ("_offset", pa.int64()), ("hour", pa.string()),
])


def write(rows, ends):
    batch = pa.Table.from_pylist(rows, schema=columns)
    positions = [Transaction(f"{given['topic']}:{partition}", offset) for partition, offset in ends.items()]
    write_deltalake(table, batch, mode="append", partition_by=["hour"],
                    commit_properties=CommitProperties(app_transactions=positions))


def work():
    consumer = Consumer({"bootstrap.servers": given["brokers"], "group.id": "loop", "enable.auto.commit": False})
    consumer.assign([TopicPartition(given["topic"], partition, 0) for partition in range(PARTITIONS)])
    rows, ends, left = [], {}, given["shape"]["rows"]
    while left > 0:
        for message in consumer.consume(10_000, 1.0):
            assert not message.error(), message.error()
            event = fastavro.schemaless_reader(io.BytesIO(message.value()[5:]), schema)
            event["_partition"], event["_offset"] = message.partition(), message.offset()
            seconds = event["source"]["ts_ms"] // 1000
            event["hour"] = f"{seconds // 86400}-{seconds // 3600 % 24:02}"
            rows.append(event)
            ends[message.partition()] = message.offset()
            left -= 1
        if len(rows) >= ROWS or left == 0:
            write(rows, ends)
            rows, ends = [], {}
    consumer.close()


pids = [os.getpid()]
reset_peak(pids)
run = timed(work, pids)
print(json.dumps({**run, "peak_rss_mb": peak_mb(pids), "ok": True}))
