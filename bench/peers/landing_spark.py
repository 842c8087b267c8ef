"""Spark Structured Streaming with Delta on 2 cores: all that the topic holds, then it ends. Its session's start is not
counted."""

import json
import os
import pathlib
import sys

from process import peak_mb, reset_peak, timed
from pyspark.sql.avro.functions import from_avro
from pyspark.sql.functions import col, expr, timestamp_millis
from spark_session import session

folder, table = sys.argv[1:3]
given = json.loads(pathlib.Path(folder, "input.json").read_text())
schema = pathlib.Path(folder, "value.avsc").read_text()
work = os.environ["WEIR_BENCH_WORK"]
spark, pids = session(
    work,
    {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"},
    ["org.apache.spark:spark-sql-kafka-0-10_2.13:4.0.0", "org.apache.spark:spark-avro_2.13:4.0.0"],
)

records = (
    spark.readStream.format("kafka")
    .option("kafka.bootstrap.servers", given["brokers"])
    .option("subscribe", given["topic"])
    .option("startingOffsets", "earliest")
    .load()
)
# The 5 bytes of the frame are skipped: every event of this topic has one schema.
event = from_avro(expr("substring(value, 6)"), schema, {"mode": "FAILFAST"})
events = records.select(event.alias("event"), col("partition").alias("_partition"), col("offset").alias("_offset"))
at = timestamp_millis(col("event.source.ts_ms"))
rows = events.select(
    "event.before", "event.after", "event.source", "event.op", "event.ts_ms", "_partition", "_offset",
    at.cast("date").alias("day"), expr("hour(timestamp_millis(event.source.ts_ms))").alias("hour"),
)


def run():
    query = (
        rows.writeStream.format("delta")
        .option("checkpointLocation", str(pathlib.Path(work, "checkpoint")))
        .partitionBy("day", "hour")
        .trigger(availableNow=True)
        .start(table)
    )
    query.awaitTermination()


reset_peak(pids)
used = timed(run, pids)
print(json.dumps({**used, "peak_rss_mb": peak_mb(pids), "ok": True}))
spark.stop()
