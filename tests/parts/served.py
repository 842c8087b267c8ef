"""A double of AWS (moto) on loopback, until standard input ends."""

import json
import logging
import sys
import threading

import boto3
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server


def aws():
    """All of AWS that moto has, as an application."""
    return DomainDispatcherApplication(create_backend_app)


def served(app, threaded: bool, prepare, told=None) -> None:
    """Serves it. `prepare` gets a function from a service's name to its client, and gives what is printed beside the
    endpoint; `told` gets it with each line of standard input, and is done when an empty object is printed."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = make_server("127.0.0.1", 0, app, threaded=threaded)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    endpoint = f"http://127.0.0.1:{server.server_port}"
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}

    def client(service: str):
        return boto3.client(service, endpoint_url=endpoint, region_name="us-east-1", **keys)

    print(json.dumps({"endpoint": endpoint, **prepare(client)}), flush=True)
    for line in sys.stdin:
        told(client, line.rstrip("\n"))
        print("{}", flush=True)
    server.shutdown()
