"""Queries the warehouse on the Postgres wire with pg8000: the extended protocol, parameters, typed columns.

usage: wire.py PORT DATABASE USER SQL [PARAMETER ..]    (parameters are :p1, :p2, ..; numbers are sent as numbers)
"""

import json
import sys

import pg8000.native


def parameter(text):
    return int(text) if text.lstrip("-").isdigit() else text


def main() -> None:
    port, database, user, sql = sys.argv[1:5]
    parameters = {f"p{number}": parameter(text) for number, text in enumerate(sys.argv[5:], start=1)}
    connection = pg8000.native.Connection(user, host="127.0.0.1", port=int(port), database=database, timeout=30)
    rows = connection.run(sql, **parameters)
    columns = [{"name": column["name"], "type": column["type_oid"]} for column in connection.columns or []]
    connection.close()
    print(json.dumps({"columns": columns, "rows": [[plain(value) for value in row] for row in rows or []]}))


def plain(value):
    """Numbers, texts and nulls as they are; all else as text, so that no decimal becomes a float."""
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)


main()
