"""fastavro on the frames of a topic: a dictionary each. The clock stops while what came out is summed up."""

import io
import json
import os
import pathlib
import sys

import fastavro
from process import peak_mb, reset_peak, timed

START_MS = 1_704_067_200_000
folder = pathlib.Path(sys.argv[1])
expected = json.loads((folder / "input.json").read_text())["expected"]
schema = fastavro.parse_schema(json.loads((folder / "value.avsc").read_text()))
found = {"rows": 0, "quantity": 0, "cents": 0, "times": 0}
total = {"seconds": 0.0, "cpu_seconds": 0.0, "bytes_written": 0}
pids = [os.getpid()]
reset_peak(pids)


def frames():
    batch = []
    with open(folder / "frames.bin", "rb") as file:
        while length := file.read(4):
            batch.append(file.read(int.from_bytes(length, "little")))
            if len(batch) == 50_000:
                yield batch
                batch = []
    if batch:
        yield batch


for values in frames():
    events = []

    def work():
        read = fastavro.schemaless_reader
        events.extend(read(io.BytesIO(value[5:]), schema) for value in values)

    for name, used in timed(work, pids).items():
        total[name] += used
    for event in events:
        image = event["after"] or event["before"]
        found["rows"] += 1
        found["quantity"] += image["quantity"]
        found["cents"] += int(image["unit_price"] * 100)
        found["times"] += event["source"]["ts_ms"] - START_MS
print(json.dumps({**total, "peak_rss_mb": peak_mb(pids), "ok": found == expected, "found": found}))
