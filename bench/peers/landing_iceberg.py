"""Apache Iceberg's sink on a Kafka Connect worker of its own: from the connector's creation to the snapshot that holds
all rows. The worker's start and the making of the table are not counted.

The sink does not end: it is stopped once all is there.
"""

import json
import os
import pathlib
import sys
import time
import urllib.request

from confluent_kafka.admin import AdminClient, NewTopic
from iceberg_files import current_snapshot
from process import peak_mb, reset_peak, timed

here = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(here.parents[1] / "tests/parts"))

import jars  # noqa: E402
from parts import LOGGING, Part, free_ports  # noqa: E402

folder, table = sys.argv[1:3]
given = json.loads(pathlib.Path(folder, "input.json").read_text())
work = pathlib.Path(os.environ["WEIR_BENCH_WORK"])
CONTROL = "iceberg-control"
LIMIT_SECONDS = 1800

connector = {
    "connector.class": "org.apache.iceberg.connect.IcebergSinkConnector",
    "tasks.max": 2,
    "topics": given["topic"],
    "consumer.override.auto.offset.reset": "earliest",
    "consumer.override.max.poll.records": 5000,
    "key.converter": "org.apache.kafka.connect.converters.ByteArrayConverter",
    # Byte 0, 4 bytes of the id under which the Confluent API knows the schema, Avro.
    "value.converter": "io.apicurio.registry.utils.converter.AvroConverter",
    "value.converter.apicurio.registry.url": os.environ["WEIR_BENCH_APICURIO"],
    "value.converter.apicurio.registry.as-confluent": "true",
    "value.converter.apicurio.registry.use-id": "contentId",
    "value.converter.apicurio.registry.headers.enabled": "false",
    "transforms": "place",
    "transforms.place.type": "org.apache.kafka.connect.transforms.InsertField$Value",
    "transforms.place.partition.field": "_partition",
    "transforms.place.offset.field": "_offset",
    "iceberg.catalog.type": "hadoop",
    "iceberg.catalog.warehouse": f"file://{pathlib.Path(table).parent.parent}",
    "iceberg.tables": f"{pathlib.Path(table).parent.name}.{pathlib.Path(table).name}",
    "iceberg.tables.auto-create-enabled": "true",
    # An hour of commit time: the sink has times of a record as the milliseconds that they are.
    "iceberg.tables.default-partition-by": "truncate(source.ts_ms, 3600000)",
    "iceberg.control.topic": CONTROL,
    "iceberg.control.commit.interval-ms": 5000,
}


def worker():
    """A standalone worker without a connector, with the heap and collector of Kafka's own start script."""
    (port,) = free_ports(1)
    address = f"http://127.0.0.1:{port}"
    (work / "plugins").mkdir()
    (work / "plugins/iceberg").symlink_to(jars.folder(here))
    logging, settings = work / "log4j2.properties", work / "connect.properties"
    logging.write_text(LOGGING)
    said = {
        "bootstrap.servers": given["brokers"],
        "listeners": address,
        "offset.storage.file.filename": work / "connect.offsets",
        # A sink to which no more records come is called this often: it answers to a commit only then.
        "offset.flush.interval.ms": 1000,
        "key.converter": "org.apache.kafka.connect.json.JsonConverter",
        "value.converter": "org.apache.kafka.connect.json.JsonConverter",
        "plugin.path": work / "plugins",
    }
    settings.write_text("".join(f"{name}={value}\n" for name, value in said.items()))
    flags = ["-Xms256M", "-Xmx2G", "-XX:+UseG1GC", f"-Dlog4j2.configurationFile={logging}"]
    command = ["java", *flags, "-cp", f"{jars.folder()}/*", "org.apache.kafka.connect.cli.ConnectStandalone", settings]
    return Part("connect", command, work / "connect.log", lambda: ready(address)), address


def ready(address):
    """Its port is open before the worker knows its own addresses."""
    try:
        return ask("GET", f"{address}/connectors") == []
    except OSError:
        return False


def ask(method, url, body=None):
    data = json.dumps(body).encode() if body else None
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    with urllib.request.urlopen(request, timeout=120) as answer:
        return json.loads(answer.read() or "null")


def create(name, **settings):
    said = {name: str(value) for name, value in {**connector, **settings}.items()}
    ask("PUT", f"{address}/connectors/{name}/config", said)


def make_table():
    """By a connector of one task that ends before its first commit: of two tasks that make a table at once, one asks in
    vain for the other's lock, and again after 5 seconds."""
    create("table", **{"tasks.max": 1, "iceberg.control.commit.interval-ms": 3_600_000})
    wait("table", pathlib.Path(table, "metadata/version-hint.text").exists)
    ask("DELETE", f"{address}/connectors/table")


def land():
    create("landing")
    wait("landing", lambda: rows() >= given["shape"]["rows"])


def wait(name, done):
    """Until `done`, unless a task of the connector failed."""
    end = time.monotonic() + LIMIT_SECONDS
    looked = time.monotonic()
    while not done():
        if time.monotonic() > end:
            sys.exit(f"not done after {LIMIT_SECONDS} seconds")
        if time.monotonic() > looked + 5:
            looked = time.monotonic()
            for task in ask("GET", f"{address}/connectors/{name}/status")["tasks"]:
                if task["state"] == "FAILED":
                    sys.exit(task["trace"])
        time.sleep(0.1)


def rows():
    snapshot = current_snapshot(table)
    return int(snapshot["summary"]["total-records"]) if snapshot else 0


admin = AdminClient({"bootstrap.servers": given["brokers"]})
admin.create_topics([NewTopic(CONTROL, 1, 1)])[CONTROL].result()
connect, address = worker()
try:
    make_table()
    reset_peak([connect.process.pid])
    run = timed(land, [connect.process.pid])
    print(json.dumps({**run, "peak_rss_mb": peak_mb([connect.process.pid]), "ok": True}))
finally:
    connect.stop()
