"""Reads a Glue catalog with boto3 and holds it to what deltalake reads at the tables' locations. Prints JSON.

usage: catalog.py ENDPOINT PREFIX                (databases that begin with PREFIX)
       catalog.py ENDPOINT PREFIX ACTION JSON    (first calls glue.ACTION with the arguments)
"""

import json
import sys

import boto3
from deltalake import DeltaTable

KEYS = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
NAMES = {"integer": "int", "long": "bigint", "short": "smallint", "byte": "tinyint"}


def hive(kind) -> str:
    """A Delta type in Hive's words."""
    if isinstance(kind, str):
        return NAMES.get(kind, kind)
    if kind["type"] == "struct":
        return "struct<" + ",".join(f"{field['name']}:{hive(field['type'])}" for field in kind["fields"]) + ">"
    if kind["type"] == "array":
        return f"array<{hive(kind['elementType'])}>"
    return f"map<{hive(kind['keyType'])},{hive(kind['valueType'])}>"


def pages(call, key: str, **arguments):
    while True:
        answer = call(**arguments)
        yield from answer[key]
        if not answer.get("NextToken"):
            return
        arguments["NextToken"] = answer["NextToken"]


def columns(listed):
    return [[column["Name"], column["Type"]] for column in listed]


def folders(table: DeltaTable, keys):
    """The values of the folders that hold data, and the path of each."""
    found = {}
    for path in table.file_uris():
        folder = path[: path.rindex("/")]
        values = [part.split("=")[1] for part in folder.split("/")[-len(keys) :]]
        found[tuple(str(int(value)) for value in values)] = folder
    return found


def compare(glue, table, storage) -> dict:
    location = table["StorageDescriptor"]["Location"]
    delta = DeltaTable(location.rstrip("/"), storage_options=storage)
    fields = [[field["name"], hive(field["type"])] for field in json.loads(delta.schema().to_json())["fields"]]
    keys = delta.metadata().partition_columns
    assert columns(table["StorageDescriptor"]["Columns"]) == [f for f in fields if f[0] not in keys], table["Name"]
    assert columns(table["PartitionKeys"]) == [f for f in fields if f[0] in keys], table["Name"]
    assert int(table["Parameters"]["weir.version"]) == delta.version(), table["Name"]
    names = {"DatabaseName": table["DatabaseName"], "TableName": table["Name"]}
    partitions = list(pages(glue.get_partitions, "Partitions", **names)) if keys else []
    found = {tuple(part["Values"]): part["StorageDescriptor"]["Location"].rstrip("/") for part in partitions}
    assert found == (folders(delta, keys) if keys else {}), table["Name"]
    for part in partitions[:2]:
        # The version that is named has the folder, the one before it has not.
        version = int(part["Parameters"]["weir.version"])
        at = lambda version: DeltaTable(location.rstrip("/"), version=version, storage_options=storage)
        assert tuple(part["Values"]) in folders(at(version), keys), part
        assert tuple(part["Values"]) not in folders(at(version - 1), keys), part
    return {"columns": fields, "partitions": len(partitions), "parameters": table["Parameters"]}


def main() -> None:
    endpoint, prefix = sys.argv[1:3]
    glue = boto3.client("glue", endpoint_url=endpoint, **KEYS)
    if len(sys.argv) > 3:
        getattr(glue, sys.argv[3])(**json.loads(sys.argv[4]))
        print("{}")
        return
    storage = {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
    }
    seen = {}
    for database in pages(glue.get_databases, "DatabaseList"):
        if database["Name"].startswith(prefix):
            for table in pages(glue.get_tables, "TableList", DatabaseName=database["Name"]):
                name = f"{database['Name']}.{table['Name']}"
                ours = "weir.table_id" in table["Parameters"]
                seen[name] = compare(glue, table, storage) if ours else {}
                versions = glue.get_table_versions(DatabaseName=database["Name"], TableName=table["Name"])
                seen[name]["versions"] = len(versions["TableVersions"])
    print(json.dumps(seen))


main()
