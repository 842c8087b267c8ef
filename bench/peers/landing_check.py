"""Whether a landed table is right: every file that its Delta log or its Iceberg snapshot names, read whole, against the
ledger of the events.

With a table of dead letters: whether every broken record is there, once.
"""

import json
import pathlib
import sys

from delta_files import delta_relation, relation
from iceberg_files import live_files

START_MS = 1_704_067_200_000
folder, table, *letters = sys.argv[1:]
said = json.loads(pathlib.Path(folder, "input.json").read_text())
expected = said["expected"]
is_delta = pathlib.Path(table, "_delta_log").exists()
connection, landed = delta_relation(table) if is_delta else relation(live_files(table))
connection.execute("set memory_limit = '4GB'")
rows, distinct, quantity, cents, times = connection.execute(f"""
    with rows as (select coalesce(after, before) as image, source, op from {landed})
    select count(*),
        count(distinct (image.order_id, image.line_no, op, source.commit_lsn, source.change_lsn, source.event_serial_no)),
        sum(image.quantity), sum(cast(image.unit_price * 100 as bigint)), sum(source.ts_ms - {START_MS})
    from rows""").fetchone()
found = {"rows": rows, "quantity": int(quantity or 0), "cents": int(cents or 0), "times": int(times or 0)}
doubled = rows - distinct
right = found == expected and doubled == 0
for dead in letters:
    connection, records = delta_relation(dead)
    query = f"""select count(*), count(distinct ("partition", "offset")) from {records}"""
    count, places = connection.execute(query).fetchone()
    right = right and count == places == said["broken"]
    found |= {"dead letters": count}
wrong = max(abs(rows - expected["rows"]), doubled, 0 if right else 1)
print(json.dumps({"ok": right, "found": found, "doubled": doubled, "wrong_rows": wrong}))
