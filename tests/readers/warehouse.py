"""Opens the embedded warehouse's file with the Python `duckdb`, read-only, while Weir does not run.

usage: warehouse.py FILE SQL
"""

import json
import sys

import duckdb


def main() -> None:
    file, sql = sys.argv[1:3]
    connection = duckdb.connect(file, read_only=True)
    result = connection.execute(sql)
    columns = [column[0] for column in result.description]
    rows = [[None if value is None else str(value) for value in row] for row in result.fetchall()]
    print(json.dumps({"columns": columns, "rows": rows}))


main()
