"""delta-rs MERGE: one merge closes and appends. Late changes are dropped; it is told which changes open a version."""

import pathlib
import sys

import duckdb
from delta_files import delta_relation
from deltalake import DeltaTable, write_deltalake
from scd_common import COLUMNS, OPEN, TYPE_1, run

folder, work = sys.argv[1:3]
table = str(pathlib.Path(work, "dim"))
names = ", ".join(COLUMNS)


def arrow(query):
    connection = duckdb.connect()
    connection.execute("set TimeZone = 'UTC'")
    found = connection.execute(query).arrow()
    return found if hasattr(found, "num_rows") else found.read_all()


def load():
    write_deltalake(table, arrow(f"""
        select {names}, changed_at as effective_from, timestamptz '{OPEN}' as effective_to, true as is_current
        from read_parquet('{folder}/changes/base.parquet')"""))


def batch(file):
    changes = f"(select *, timestamptz '{OPEN}' as forever from read_parquet('{file}') where not late)"
    source = arrow(f"""
        select customer_id as merge_key, * from {changes} where not is_new
        union all select null, * from {changes} where opens""")
    type_1 = {name: f"s.{name}" for name in TYPE_1}
    close = {**type_1, "effective_to": "s.changed_at", "is_current": "false"}
    fresh = {name: f"s.{name}" for name in COLUMNS}
    fresh |= {"effective_from": "s.changed_at", "effective_to": "s.forever", "is_current": "true"}
    merge = DeltaTable(table).merge(source, "t.customer_id = s.merge_key", source_alias="s", target_alias="t")
    merge = merge.when_matched_update(close, predicate="t.is_current and s.opens").when_matched_update(type_1)
    merge.when_not_matched_insert(fresh).execute()


run(folder, load, batch, lambda: delta_relation(table))
