#!/usr/bin/env python3
"""What no plan of ours may hold, read from `terraform show -json`: stars in policies, public doors, plain storage, missing tags.

usage: policy.py plan PLAN.json       findings of a plan, one a line: address: rule: what
       policy.py layout FOLDER        findings of the folder `infra` itself: files of a module, pins, descriptions

Exit code 1 when there is a finding. Python's standard library only.
"""
import json
import re
import sys
from pathlib import Path

# --- what is allowed, by name and with its reason ---------------------------------------------------------------------

# Statements (by Sid) that may name every resource, the actions that they may hold, and why.
EVERY_RESOURCE = {
    "LogInToImages": ({"ecr:GetAuthorizationToken"}, "AWS knows no resource for the token of a registry"),
    "NetworkInterfaces": (
        {"ec2:CreateNetworkInterface", "ec2:DescribeNetworkInterfaces", "ec2:DeleteNetworkInterface", "ec2:DescribeSubnets",
         "ec2:AssignPrivateIpAddresses", "ec2:UnassignPrivateIpAddresses"},
        "Lambda makes interfaces in a VPC under ids that nobody knows before",
    ),
    "FindLogGroup": ({"logs:DescribeLogGroups"}, "VPC looks for its log group among all of them"),
    "DeliverLogs": (
        {"logs:CreateLogDelivery", "logs:GetLogDelivery", "logs:UpdateLogDelivery", "logs:DeleteLogDelivery",
         "logs:ListLogDeliveries", "logs:PutResourcePolicy", "logs:DescribeResourcePolicies", "logs:DescribeLogGroups"},
        "Step Functions delivers logs through an API without resources",
    ),
    "OwnStatements": (
        {"redshift-data:DescribeStatement", "redshift-data:GetStatementResult", "redshift-data:CancelStatement"},
        "AWS knows no resource for a statement of the Data API; a condition holds it to the caller's own",
    ),
}
# In the policy of a key, `*` is the key itself; only the account may hold all actions, else nobody could manage the key.
KEY_ADMINISTRATOR = re.compile(r"^arn:aws:iam::\d{12}:root$")
MANAGED = {
    "arn:aws:iam::aws:policy/ReadOnlyAccess": "the role that plans reads every setting; a policy beside it denies data and secrets",
    "arn:aws:iam::aws:policy/PowerUserAccess": "the role that applies makes every service; a policy beside it bounds the roles it makes",
}

# --- where data rests: the arguments that must name a key, per type -----------------------------------------------------

ENCRYPTED = {
    "aws_cloudwatch_log_group": ["kms_key_id"],
    "aws_ecr_repository": ["encryption_configuration.kms_key"],
    "aws_ecs_cluster": ["configuration.managed_storage_configuration.fargate_ephemeral_storage_kms_key_id"],
    "aws_glue_crawler": ["security_configuration"],
    "aws_glue_data_catalog_encryption_settings": ["data_catalog_encryption_settings.encryption_at_rest.sse_aws_kms_key_id"],
    "aws_glue_job": ["security_configuration"],
    "aws_lambda_function": ["kms_key_arn"],
    "aws_msk_cluster": ["encryption_info.encryption_at_rest_kms_key_arn"],
    "aws_redshift_cluster": ["kms_key_id", "master_password_secret_kms_key_id"],
    "aws_redshiftserverless_namespace": ["kms_key_id", "admin_password_secret_kms_key_id"],
    "aws_s3_bucket": [],  # by a resource of its own, see `buckets`
    "aws_s3_bucket_server_side_encryption_configuration": ["rule.apply_server_side_encryption_by_default.kms_master_key_id"],
    "aws_scheduler_schedule": ["kms_key_arn"],
    "aws_secretsmanager_secret": ["kms_key_id"],
    "aws_sfn_state_machine": ["encryption_configuration.kms_key_id"],
    "aws_sns_topic": ["kms_master_key_id"],
}
# Types that keep no data of ours, and MSK Serverless, which AWS always encrypts by a key of its own.
KEEPS_NOTHING = {
    "aws_appautoscaling_policy", "aws_appautoscaling_target", "aws_cloudwatch_dashboard", "aws_cloudwatch_log_metric_filter",
    "aws_cloudwatch_metric_alarm", "aws_default_security_group", "aws_ec2_transit_gateway_vpc_attachment", "aws_ecs_service",
    "aws_ecs_task_definition", "aws_eip", "aws_flow_log", "aws_glue_catalog_database", "aws_glue_registry",
    "aws_glue_security_configuration", "aws_iam_openid_connect_provider", "aws_iam_role", "aws_iam_role_policy",
    "aws_iam_role_policy_attachment", "aws_internet_gateway", "aws_kms_alias", "aws_kms_key", "aws_lakeformation_permissions",
    "aws_msk_configuration", "aws_msk_serverless_cluster", "aws_mskconnect_connector", "aws_mskconnect_custom_plugin",
    "aws_mskconnect_worker_configuration", "aws_nat_gateway", "aws_redshift_logging", "aws_redshift_parameter_group",
    "aws_redshift_scheduled_action", "aws_redshift_snapshot_copy", "aws_redshift_subnet_group", "aws_redshift_usage_limit",
    "aws_redshiftserverless_usage_limit", "aws_redshiftserverless_workgroup", "aws_route", "aws_route_table",
    "aws_route_table_association", "aws_s3_bucket_lifecycle_configuration", "aws_s3_bucket_ownership_controls",
    "aws_s3_bucket_policy", "aws_s3_bucket_public_access_block", "aws_s3_bucket_replication_configuration",
    "aws_s3_bucket_versioning", "aws_security_group", "aws_sns_topic_subscription", "aws_subnet", "aws_vpc", "aws_vpc_endpoint",
    "aws_vpc_security_group_egress_rule", "aws_vpc_security_group_ingress_rule",
}

# All keys, all roles, all buckets; the objects of one bucket are not.
ALL_OF_A_KIND = re.compile(r"^arn:[^:]*:(s3:::\*|(?!s3:)[^:]*:[^:]*:[^:]*:([a-z-]+[/:])?\*)$")

TAGS = {"project", "environment", "owner"}
EVERYWHERE = {"0.0.0.0/0", "::/0"}
PLAIN_PORTS = {21: "FTP", 23: "telnet", 80: "HTTP", 2181: "ZooKeeper", 9092: "Kafka without TLS"}
POLICIES = ("policy", "assume_role_policy")


# --- a plan ------------------------------------------------------------------------------------------------------------

class Resource:
    """A resource after the plan: values that are known, which are not, and what its configuration writes."""

    def __init__(self, change, expressions):
        self.address = change["address"]
        self.type = change["type"]
        self.values = change["change"]["after"] or {}
        self.unknown = change["change"].get("after_unknown") or {}
        self.expressions = expressions

    def writes(self, path):
        """Whether the configuration gives this argument, also where its value is known only after the apply."""
        found = self.expressions
        for name in path.split("."):
            found = found[0] if isinstance(found, list) and found else found
            found = found.get(name) if isinstance(found, dict) else None
        return bool(found) and found.get("constant_value", "") is not None

    def get(self, path):
        """A known value; blocks that may stand once are looked through."""
        found = self.values
        for name in path.split("."):
            found = found[0] if isinstance(found, list) and found else found
            found = found.get(name) if isinstance(found, dict) else None
        return found


def resources(plan):
    """Every resource that is there after the plan."""
    expressions = {}

    def collect(module, prefix):
        for resource in module.get("resources", []):
            expressions[prefix + resource["address"]] = resource.get("expressions", {})
        for name, call in module.get("module_calls", {}).items():
            collect(call["module"], f"{prefix}module.{name}.")

    collect(plan["configuration"]["root_module"], "")
    for change in plan["resource_changes"]:
        if change["mode"] == "managed" and change["change"]["actions"] != ["delete"]:
            yield Resource(change, expressions.get(re.sub(r"\[[^\]]*\]", "", change["address"]), {}))


# --- rules: each yields (address, rule, what) ----------------------------------------------------------------------------

def as_list(value):
    return value if isinstance(value, list) else [value]


def statements(all_resources):
    """Every statement of every policy that a resource holds, and policies that the plan cannot show."""
    for resource in all_resources:
        for name in POLICIES:
            text = resource.values.get(name)
            if text:
                for statement in as_list(json.loads(text)["Statement"]):
                    yield resource, statement
            elif resource.writes(name):
                yield resource, None


def wildcards(all_resources):
    for resource, statement in statements(all_resources):
        if statement is None:
            yield resource.address, "policy-hidden", "the plan cannot show this policy: put its ARNs together from names"
            continue
        if statement["Effect"] != "Allow":
            continue
        for name in ("NotAction", "NotResource", "NotPrincipal"):
            if name in statement:
                yield resource.address, "wildcard", f"`{name}` allows all that it does not name"
        actions, principals = as_list(statement.get("Action", [])), principals_of(statement)
        key_policy = resource.type == "aws_kms_key"
        administrator = key_policy and all(KEY_ADMINISTRATOR.match(principal) for principal in principals)
        for action in actions:
            if "*" in action and not (administrator and action == "kms:*"):
                yield resource.address, "wildcard", f"action `{action}`"
        for target in as_list(statement.get("Resource", [])):
            allowed, _ = EVERY_RESOURCE.get(statement.get("Sid"), (set(), ""))
            if target == "*" and not key_policy and not set(actions) <= allowed:
                yield resource.address, "wildcard", f"resource `*` for {', '.join(actions)}"
            if ALL_OF_A_KIND.match(target) and "Condition" not in statement:
                yield resource.address, "wildcard", f"resource `{target}` without a condition"
    for resource in all_resources:
        if resource.type == "aws_iam_role_policy_attachment" and resource.values.get("policy_arn") not in MANAGED:
            yield resource.address, "wildcard", f"managed policy `{resource.values.get('policy_arn')}` is not on the list"


def principals_of(statement):
    principal = statement.get("Principal", [])
    found = principal.values() if isinstance(principal, dict) else [principal]
    return [one for several in found for one in as_list(several)]


def public(all_resources):
    blocked = {r.values.get("bucket") for r in all_resources if r.type == "aws_s3_bucket_public_access_block"
               and all(r.values.get(name) is True for name in
                       ("block_public_acls", "block_public_policy", "ignore_public_acls", "restrict_public_buckets"))}
    for resource, statement in statements(all_resources):
        if statement and statement["Effect"] == "Allow" and "*" in principals_of(statement):
            yield resource.address, "public", "a policy allows everybody"
    for r in all_resources:
        if r.type == "aws_s3_bucket" and r.values.get("bucket") not in blocked:
            yield r.address, "public", "bucket without a complete public access block"
        if r.type in ("aws_redshift_cluster", "aws_redshiftserverless_workgroup") and r.values.get("publicly_accessible") is not False:
            yield r.address, "public", "publicly_accessible is not false"
        if r.type == "aws_subnet" and r.values.get("map_public_ip_on_launch"):
            yield r.address, "public", "what starts in this subnet gets a public address"
        if r.type == "aws_ecs_service" and r.get("network_configuration.assign_public_ip") is not False:
            yield r.address, "public", "tasks get a public address"
        if r.type == "aws_msk_cluster" and r.get("broker_node_group_info.connectivity_info.public_access.type") != "DISABLED":
            yield r.address, "public", "brokers have public access"
        if r.type == "aws_vpc_security_group_ingress_rule" and {r.values.get("cidr_ipv4"), r.values.get("cidr_ipv6")} & EVERYWHERE:
            yield r.address, "public", "open to the internet"
        if r.type in ("aws_security_group", "aws_default_security_group") and (r.writes("ingress") or r.writes("egress")):
            yield r.address, "public", "rules stand in resources of their own, where they are looked at"


def plain_text(all_resources):
    for r in all_resources:
        if r.type in ("aws_vpc_security_group_ingress_rule", "aws_vpc_security_group_egress_rule"):
            low, high = r.values.get("from_port"), r.values.get("to_port")
            if r.values.get("ip_protocol") == "-1" or low is None or high is None:
                yield r.address, "plain-text", "opens every port"
                continue
            for port in (port for port in PLAIN_PORTS if low <= port <= high):
                yield r.address, "plain-text", f"opens port {port} ({PLAIN_PORTS[port]})"
        if r.type == "aws_msk_cluster":
            wanted = {"encryption_info.encryption_in_transit.client_broker": "TLS", "encryption_info.encryption_in_transit.in_cluster": True,
                      "client_authentication.unauthenticated": False, "client_authentication.sasl.iam": True}
            for path, value in wanted.items():
                if r.get(path) != value:
                    yield r.address, "plain-text", f"{path} is not {value}"
        if r.type == "aws_mskconnect_connector" and r.get("kafka_cluster_encryption_in_transit.encryption_type") != "TLS":
            yield r.address, "plain-text", "the connector talks to the brokers without TLS"
        if r.type == "aws_redshiftserverless_workgroup" and not requires_ssl(r.values.get("config_parameter"), "parameter_key", "parameter_value"):
            yield r.address, "plain-text", "require_ssl is not true"
        if r.type == "aws_redshift_parameter_group" and not requires_ssl(r.values.get("parameter"), "name", "value"):
            yield r.address, "plain-text", "require_ssl is not true"


def requires_ssl(parameters, name, value):
    return any(one.get(name) == "require_ssl" and one.get(value) == "true" for one in parameters or [])


def encryption(all_resources):
    for r in all_resources:
        for path in ENCRYPTED.get(r.type, []):
            if not r.writes(path):
                yield r.address, "encryption", f"`{path}` names no key"
        if r.type not in ENCRYPTED and r.type not in KEEPS_NOTHING:
            yield r.address, "encryption", f"nobody has said whether `{r.type}` keeps data: add it to a list of policy.py"
        if r.type == "aws_redshift_cluster" and str(r.values.get("encrypted")).lower() != "true":
            yield r.address, "encryption", "`encrypted` is not true"


def buckets(all_resources):
    """Each bucket is encrypted by a key, keeps versions, and refuses plain HTTP."""
    def of(kind, holds):
        return {r.values.get("bucket") for r in all_resources if r.type == kind and holds(r)}

    def tls_only(r):
        policy = json.loads(r.values.get("policy") or '{"Statement": []}')
        return any(one["Effect"] == "Deny" and one.get("Condition") == {"Bool": {"aws:SecureTransport": "false"}}
                   and one.get("Action") == "s3:*" for one in policy["Statement"])

    algorithm = "rule.apply_server_side_encryption_by_default.sse_algorithm"
    wanted = {
        "no encryption by a KMS key": of("aws_s3_bucket_server_side_encryption_configuration", lambda r: r.get(algorithm) == "aws:kms"),
        "no versions": of("aws_s3_bucket_versioning", lambda r: r.get("versioning_configuration.status") == "Enabled"),
        "no policy that refuses plain HTTP": of("aws_s3_bucket_policy", tls_only),
    }
    for r in all_resources:
        for what, names in wanted.items():
            if r.type == "aws_s3_bucket" and r.values.get("bucket") not in names:
                yield r.address, "bucket", what


def lifecycle(all_resources):
    for r in all_resources:
        if r.type != "aws_s3_bucket_lifecycle_configuration":
            continue
        for rule in r.values.get("rule", []):
            prefix = next((one.get("prefix") or "" for one in rule.get("filter") or []), "")
            for expiration in rule.get("expiration") or []:
                if expiration.get("days") or expiration.get("date"):
                    yield r.address, "lifecycle", f"rule `{rule['id']}` expires current objects below `{prefix}`: only Weir knows which files a table needs"
            if rule.get("transition") and not prefix.endswith("/year="):
                yield r.address, "lifecycle", f"rule `{rule['id']}` may move a _delta_log: its prefix `{prefix}` does not end in /year="


def tags(all_resources):
    for r in all_resources:
        if "tags" in r.values and not TAGS <= set(r.values["tags"] or {}):
            missing = ", ".join(sorted(TAGS - set(r.values["tags"] or {})))
            yield r.address, "tags", f"without {missing}"


RULES = (wildcards, public, plain_text, encryption, buckets, lifecycle, tags)


def check_plan(plan):
    found = list(resources(plan))
    return [finding for rule in RULES for finding in rule(found)]


# --- the folder itself ---------------------------------------------------------------------------------------------------

FILES = {"main.tf", "variables.tf", "outputs.tf", "versions.tf", "README.md"}
PINNED = re.compile(r'version\s*=\s*"(~>|=)\s*\d+\.\d+(\.\d+)?"')


def blocks(text, kind):
    """Name and text of each top-level block of a kind."""
    return re.findall(rf'^{kind} "([^"]+)" \{{\n(.*?)^\}}', text, re.M | re.S)


def check_layout(root):
    for folder in sorted((root / "modules").iterdir()):
        names = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
        for name in sorted(FILES - names):
            yield str(folder), "layout", f"{name} is missing"
        if not any(name.endswith(".tftest.hcl") for name in names):
            yield str(folder), "layout", "no test"
        for name in sorted(name for name in names - FILES if not name.endswith(".tftest.hcl")):
            yield str(folder), "layout", f"{name}: a module has {', '.join(sorted(FILES))} and tests"
        if re.search(r"^provider ", (folder / "main.tf").read_text(), re.M):
            yield str(folder), "layout", "a module configures no provider"
    for path in sorted(root.rglob("versions.tf")):
        text = path.read_text()
        if "required_version" not in text or not PINNED.search(text):
            yield str(path), "pin", "the provider is not pinned: version = \"~> 6.25\", and required_version"
    for kind, name in (("variable", "variables.tf"), ("output", "outputs.tf")):
        for path in sorted(root.rglob(name)):
            for block, text in blocks(path.read_text(), kind):
                wanted = ("description", "type") if kind == "variable" else ("description",)
                for argument in wanted:
                    if not re.search(rf"^  {argument}\s*=", text, re.M):
                        yield str(path), "layout", f"{kind} `{block}` has no {argument}"


def main(arguments):
    if len(arguments) != 2 or arguments[0] not in ("plan", "layout"):
        print(__doc__, file=sys.stderr)
        return 64
    if arguments[0] == "plan":
        findings = check_plan(json.loads(Path(arguments[1]).read_text()))
    else:
        findings = list(check_layout(Path(arguments[1])))
    for address, rule, what in findings:
        print(f"{address}: {rule}: {what}")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
