"""DuckDB on its own file: one update and one insert in one transaction. Late changes are dropped; it is told which changes open a version."""

import pathlib
import sys

import duckdb
from scd_common import COLUMNS, OPEN, TYPE_1, run

folder, work = sys.argv[1:3]
connection = duckdb.connect(str(pathlib.Path(work, "table.duckdb")))
connection.execute("set TimeZone = 'UTC'")
names = ", ".join(COLUMNS)


def load():
    connection.execute(f"""create table dim as
        select {names}, changed_at as effective_from, timestamptz '{OPEN}' as effective_to, true as is_current
        from read_parquet('{folder}/changes/base.parquet')""")
    connection.execute("checkpoint")


def batch(file):
    changes = f"(select * from read_parquet('{file}') where not late)"
    connection.execute("begin")
    type_1 = ", ".join(f"{name} = c.{name}" for name in TYPE_1)
    connection.execute(f"""update dim set {type_1},
            effective_to = case when dim.is_current and c.opens then c.changed_at else dim.effective_to end,
            is_current = dim.is_current and not c.opens
        from {changes} c where dim.customer_id = c.customer_id""")
    connection.execute(f"""insert into dim
        select {names}, changed_at, timestamptz '{OPEN}', true from {changes} where opens""")
    connection.execute("commit")
    connection.execute("checkpoint")


run(folder, load, batch, lambda: (connection, "dim"))
