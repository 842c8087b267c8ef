"""Fetches metrics over HTTP, parses them with the strict OpenMetrics parser of `prometheus_client`, and prints JSON.

usage: metrics.py URL
"""

import json
import sys
import urllib.request

from prometheus_client.openmetrics.parser import text_string_to_metric_families


def main() -> None:
    with urllib.request.urlopen(sys.argv[1], timeout=30) as answer:
        form, text = answer.headers["Content-Type"], answer.read().decode("utf-8")
    families = {
        family.name: {
            "type": family.type,
            "unit": family.unit,
            "help": family.documentation,
            "samples": [{"labels": sample.labels, "value": sample.value} for sample in family.samples],
        }
        for family in text_string_to_metric_families(text)
    }
    print(json.dumps({"form": form, "families": families}))


main()
