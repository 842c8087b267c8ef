"""An S3 server on loopback (moto) with one empty bucket, until standard input ends. Prints {"endpoint": .., "bucket": ..}.

usage: s3.py [PERCENT SEED]     (so many requests of a hundred get a 500 or 503, half of them after they were carried out)
"""

import json
import logging
import random
import sys
import threading

import boto3
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

BUCKET = "lake"


class Failing:
    """An application that fails now and then."""

    def __init__(self, app, percent: int, seed: int) -> None:
        self.app, self.percent, self.random = app, percent, random.Random(seed)

    def __call__(self, environ, start_response):
        if self.random.random() * 100 >= self.percent:
            return self.app(environ, start_response)
        if self.random.random() < 0.5:
            Response.from_app(self.app, environ)
        else:
            Request(environ).get_data()
        return Response(status=self.random.choice([500, 503]))(environ, start_response)


def main() -> None:
    percent, seed = (int(text) for text in sys.argv[1:3] or (0, 0))
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    app = Failing(DomainDispatcherApplication(create_backend_app), 0, seed)
    # One request at a time: moto looks for a key and writes it in two steps.
    server = make_server("127.0.0.1", 0, app, threaded=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    endpoint = f"http://127.0.0.1:{server.server_port}"
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", **keys).create_bucket(Bucket=BUCKET)
    app.percent = percent
    print(json.dumps({"endpoint": endpoint, "bucket": BUCKET}), flush=True)
    sys.stdin.read()
    server.shutdown()


main()
