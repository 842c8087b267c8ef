"""A Glue Schema Registry on loopback (moto, a double) until standard input ends. Takes schemas from files, one an argument,
and prints {"endpoint": .., "versions": [UUID, ..]}.

usage: glue.py FILE.avsc ..
"""

import json
import logging
import sys
import threading

import boto3
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server


def main() -> None:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = make_server("127.0.0.1", 0, DomainDispatcherApplication(create_backend_app), threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    endpoint = f"http://127.0.0.1:{server.server_port}"
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    glue = boto3.client("glue", endpoint_url=endpoint, region_name="us-east-1", **keys)
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
    print(json.dumps({"endpoint": endpoint, "versions": versions}), flush=True)
    sys.stdin.read()
    server.shutdown()


main()
