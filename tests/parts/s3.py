"""An S3 server on loopback (moto) with one empty bucket, until standard input ends. Prints {"endpoint": .., "bucket": ..}.

usage: s3.py [PERCENT SEED]     (so many requests of a hundred get a 500 or 503, half of them after they were carried out)
"""

import random
import sys

from served import aws, served
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
    app = Failing(aws(), 0, seed)

    def prepare(client) -> dict:
        client("s3").create_bucket(Bucket=BUCKET)
        app.percent = percent
        return {"bucket": BUCKET}

    # One request at a time: moto looks for a key and writes it in two steps.
    served(app, False, prepare)


main()
