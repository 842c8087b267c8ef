"""Queries tables as Athena does: Glue says where they are, Delta's log which files they have; DuckDB reads those. Prints JSON.

usage: athena.py PREFIX SQL...   (databases that begin with PREFIX; the environment names endpoint and credentials)
"""

import json
import sys
import tempfile

import boto3
import duckdb
from deltalake import DeltaTable
from files import fetched, plain


def main() -> None:
    prefix, *queries = sys.argv[1:]
    connection = duckdb.connect()
    connection.execute("set timezone = 'UTC'")
    with tempfile.TemporaryDirectory() as folder:
        for database, table in tables(prefix):
            location = table["StorageDescriptor"]["Location"].rstrip("/")
            files = fetched(DeltaTable(location).file_uris(), folder)
            connection.execute(f'create schema if not exists "{database}"')
            if files:
                scan = f"read_parquet({files!r}, hive_partitioning = true, union_by_name = true)"
                # What Athena shows are the columns that the catalog names.
                named = [column["Name"] for column in table["StorageDescriptor"]["Columns"] + table["PartitionKeys"]]
                columns = ", ".join(f'"{name}"' for name in named)
                connection.execute(f'create view "{database}"."{table["Name"]}" as select {columns} from {scan}')
        answers = [[[plain(value) for value in row] for row in connection.execute(sql).fetchall()] for sql in queries]
    print(json.dumps(answers))


def tables(prefix: str):
    glue = boto3.client("glue")
    for page in glue.get_paginator("get_databases").paginate():
        for database in page["DatabaseList"]:
            if database["Name"].startswith(prefix):
                for page in glue.get_paginator("get_tables").paginate(DatabaseName=database["Name"]):
                    yield from ((database["Name"], table) for table in page["TableList"])


main()
