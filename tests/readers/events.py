"""Reads OpenLineage events, one per line, with OpenLineage's own client, and prints them as a JSON list.

usage: events.py FILE [SPEC]     (SPEC: the folder `spec` of OpenLineage; then its JSON Schemas judge the events too)

An attribute that the client does not know, one that it misses, or a facet in another version than the client's is an error.
"""

import json
import pathlib
import sys
import typing

import attr
import jsonschema
import referencing
from openlineage.client import facet_v2 as facets
from openlineage.client.generated import base

FACETS = {
    "columnLineage": facets.column_lineage_dataset.ColumnLineageDatasetFacet,
    "dataQualityAssertions": facets.data_quality_assertions_dataset.DataQualityAssertionsDatasetFacet,
    "errorMessage": facets.error_message_run.ErrorMessageRunFacet,
    "jobType": facets.job_type_job.JobTypeJobFacet,
    "outputStatistics": facets.output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet,
    "parent": facets.parent_run.ParentRunFacet,
    "processing_engine": facets.processing_engine_run.ProcessingEngineRunFacet,
    "schema": facets.schema_dataset.SchemaDatasetFacet,
    "version": facets.dataset_version_dataset.DatasetVersionDatasetFacet,
}


def build(kind, value, at: str):
    """The value as the client's type."""
    arms = typing.get_args(kind)
    origin = typing.get_origin(kind)
    if origin is list:
        return [build(arms[0], item, f"{at}[]") for item in value]
    if origin is dict:
        return {key: build(FACETS.get(key, arms[1]), item, f"{at}.{key}") for key, item in value.items()}
    if arms:  # Something, or None.
        return build(next(arm for arm in arms if arm is not type(None)), value, at)
    if not attr.has(kind):
        return kind(value) if kind in (str, int, bool) or hasattr(kind, "__members__") else value
    known = typing.get_type_hints(kind)
    given = dict(value)
    producer = None
    if issubclass(kind, (base.BaseFacet, base.BaseEvent)):
        said = given.pop("_schemaURL", None) or given.pop("schemaURL", None)
        if said != kind._get_schema():
            raise SystemExit(f"{at}: {said} is not {kind._get_schema()}")
        producer = given.pop("_producer", None) or given.pop("producer")
    unknown = [key for key in given if key not in known]
    if unknown:
        raise SystemExit(f"{at}: {kind.__name__} knows no {unknown}")
    made = {key: build(known[key], item, f"{at}.{key}") for key, item in given.items()}
    return kind(**made, **({"producer": producer} if producer else {}))


def judge(folder: str):
    """A validator by the schemas of a folder."""
    texts = [json.loads(path.read_text()) for path in pathlib.Path(folder).rglob("*.json")]
    schemas = {text["$id"]: text for text in texts if "$id" in text}
    registry = referencing.Registry().with_resources(
        (name, referencing.Resource.from_contents(schema)) for name, schema in schemas.items()
    )

    def validator(schema):
        return jsonschema.Draft202012Validator(
            schema, registry=registry, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
        )

    def check(event) -> int:
        validator(schemas[event["schemaURL"].split("#")[0]]).validate(event)
        found = 0
        open_values = [event]
        while open_values:
            value = open_values.pop()
            if isinstance(value, dict) and "_schemaURL" in value:
                url, _, pointer = value["_schemaURL"].partition("#")
                validator({"$ref": f"{url}#{pointer}"}).validate(value)
                assert url in schemas, url
                found += 1
            open_values.extend(value.values() if isinstance(value, dict) else value if isinstance(value, list) else [])
        return found

    return check


def main() -> None:
    lines = pathlib.Path(sys.argv[1]).read_text().splitlines()
    events = [json.loads(line) for line in lines]
    for at, event in enumerate(events):
        build(base.RunEvent, event, f"event {at}")
    judged = 0
    if len(sys.argv) > 2:
        check = judge(sys.argv[2])
        judged = sum(check(event) for event in events)
    print(json.dumps({"events": events, "facets_judged": judged}))


main()
