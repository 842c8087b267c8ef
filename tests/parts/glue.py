"""A Glue Schema Registry on loopback (moto, a double) until standard input ends. Takes schemas from files, one an argument,
and prints {"endpoint": .., "versions": [UUID, ..]}.

usage: glue.py FILE.avsc ..
"""

import sys

from served import aws, served


def prepare(client) -> dict:
    glue = client("glue")
    glue.create_registry(RegistryName="weir")
    versions = []
    for number, path in enumerate(sys.argv[1:]):
        with open(path, encoding="utf-8") as file:
            made = glue.create_schema(
                RegistryId={"RegistryName": "weir"},
                SchemaName=f"schema-{number}",
                DataFormat="AVRO",
                Compatibility="BACKWARD",
                SchemaDefinition=file.read(),
            )
        versions.append(made["SchemaVersionId"])
    return {"versions": versions}


served(aws(), True, prepare)
