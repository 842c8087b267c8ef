"""Queries a Delta table's files with DuckDB: the list comes from the log, the rows from the Parquet files.

usage: files.py FOLDER SQL      (the table is called `t`; partition columns are in it)
"""

import json
import sys

import duckdb
from deltalake import DeltaTable


def main() -> None:
    folder, sql = sys.argv[1:3]
    table = DeltaTable(folder)
    files = [path.removeprefix("file://") for path in table.file_uris()]
    connection = duckdb.connect()
    connection.execute("set timezone = 'UTC'")
    if files:
        # Hive folders give the partition columns; their types are those of the table, not guesses.
        scan = connection.read_parquet(files, hive_partitioning=True, union_by_name=True)
        connection.register("t", scan)
    result = connection.execute(sql)
    columns = [column[0] for column in result.description]
    rows = [[plain(value) for value in row] for row in result.fetchall()]
    print(json.dumps({"columns": columns, "rows": rows}))


def plain(value):
    """Numbers, texts and nulls as they are; all else as text, so that no decimal becomes a float."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, bytes):
        return value.hex()
    return str(value)


main()
