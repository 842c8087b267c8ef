"""A Delta table as anybody reads it: the files that its log names."""

import json
import pathlib
import urllib.parse


def active_files(table):
    """The files of a Delta table's newest version, from its log alone; none may have a deletion vector."""
    files = {}
    for commit in sorted(pathlib.Path(table, "_delta_log").glob("*.json")):
        for line in commit.read_text().splitlines():
            action = json.loads(line)
            if "add" in action:
                assert not action["add"].get("deletionVector"), "a deletion vector"
                files[urllib.parse.unquote(action["add"]["path"])] = True
            elif "remove" in action:
                files.pop(urllib.parse.unquote(action["remove"]["path"]), None)
    return [str(pathlib.Path(table, path)) for path in files]


def delta_relation(table):
    """A DuckDB connection, and the table in its SQL."""
    return relation(active_files(table))


def relation(files):
    """A DuckDB connection, and these Parquet files in its SQL."""
    import duckdb

    connection = duckdb.connect()
    connection.execute("set TimeZone = 'UTC'")
    names = ", ".join("'" + file + "'" for file in files)
    return connection, f"read_parquet([{names}])"
