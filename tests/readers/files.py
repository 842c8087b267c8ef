"""Queries a Delta table's files with DuckDB: the list comes from the log, the rows from the Parquet files.

usage: files.py TABLE SQL      (a folder or an s3:// URL; in SQL the table is called `t`, with its partition columns)
"""

import json
import pathlib
import sys
import tempfile

import duckdb
from deltalake import DeltaTable


def main() -> None:
    place, sql = sys.argv[1:3]
    with tempfile.TemporaryDirectory() as folder:
        table = DeltaTable(place)
        files = table.file_uris()
        files = fetched(files, folder) if place.startswith("s3://") else [path.removeprefix("file://") for path in files]
        print(json.dumps(asked(files, sql, table.schema().fields)))


def fetched(urls: list[str], folder: str) -> list[str]:
    """Files of a bucket, copied under their keys into a folder: DuckDB alone reads no bucket."""
    import boto3

    client = boto3.client("s3")
    files = []
    for url in urls:
        bucket, key = url.removeprefix("s3://").split("/", 1)
        file = pathlib.Path(folder, key)
        file.parent.mkdir(parents=True, exist_ok=True)
        client.download_file(bucket, key, str(file))
        files.append(str(file))
    return files


def asked(files: list[str], sql: str, fields: list) -> dict:
    connection = duckdb.connect()
    connection.execute("set timezone = 'UTC'")
    if files:
        # Hive folders give the partition columns; their types are those of the table, not guesses.
        scan = connection.read_parquet(files, hive_partitioning=True, union_by_name=True)
        connection.register("t", scan)
    else:
        # Made, and not committed to yet.
        kinds = {field.name: getattr(field.type, "type", "") for field in fields}
        columns = [f'"{name}" {"bigint" if kind in ("integer", "long") else "varchar"}' for name, kind in kinds.items()]
        connection.execute(f"create table t ({', '.join(columns)})")
    result = connection.execute(sql)
    columns = [column[0] for column in result.description]
    return {"columns": columns, "rows": [[plain(value) for value in row] for row in result.fetchall()]}


def plain(value):
    """Numbers, texts and nulls as they are; all else as text, so that no decimal becomes a float."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, bytes):
        return value.hex()
    return str(value)


if __name__ == "__main__":
    main()
