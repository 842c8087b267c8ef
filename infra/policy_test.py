#!/usr/bin/env python3
"""Each rule of policy.py finds what it is for, by name, and nothing in what is right."""
import json
import tempfile
import unittest
from pathlib import Path

import policy

TAGS = {"project": "shop", "environment": "qa", "owner": "tests"}


def plan(*resources):
    """A plan that makes these: (type, known values, arguments that are written but known only later)."""
    changes, configuration = [], []
    for index, (kind, values, later) in enumerate(resources):
        address = f"{kind}.r{index}"
        expressions = {name: {"constant_value": value} for name, value in values.items()}
        for path in later:
            *blocks, name = path.split(".")
            inner = {name: {"references": ["var.key"]}}
            for block in reversed(blocks):
                inner = {block: [inner]}
            expressions.update(inner)
        changes.append({"address": address, "type": kind, "mode": "managed", "change": {"actions": ["create"], "after": values}})
        configuration.append({"address": address, "expressions": expressions})
    return {"resource_changes": changes, "configuration": {"root_module": {"resources": configuration}}}


def found(*resources):
    """Rules that a plan breaks, with what they say."""
    return [(rule, what) for _, rule, what in policy.check_plan(plan(*resources))]


def allow(**parts):
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **parts}]}


def role_policy(document):
    return ("aws_iam_role_policy", {"policy": json.dumps(document)}, [])


def bucket(**changes):
    """A bucket that is right, or not."""
    name = "shop"
    deny = {"Statement": [{"Effect": "Deny", "Action": "s3:*", "Principal": "*", "Condition": {"Bool": {"aws:SecureTransport": "false"}}}]}
    encryption = {"bucket": name, "rule": [{"apply_server_side_encryption_by_default": [{"sse_algorithm": changes.get("algorithm", "aws:kms")}]}]}
    return [
        ("aws_s3_bucket", {"bucket": name, "tags": TAGS}, []),
        ("aws_s3_bucket_public_access_block", {"bucket": name, "block_public_acls": True, "block_public_policy": True,
                                               "ignore_public_acls": True, "restrict_public_buckets": changes.get("restricted", True)}, []),
        ("aws_s3_bucket_server_side_encryption_configuration", encryption, ["rule.apply_server_side_encryption_by_default.kms_master_key_id"]),
        ("aws_s3_bucket_versioning", {"bucket": name, "versioning_configuration": [{"status": changes.get("versions", "Enabled")}]}, []),
        ("aws_s3_bucket_policy", {"bucket": name, "policy": json.dumps(changes.get("policy", deny))}, []),
    ]


class Statements(unittest.TestCase):
    def test_a_named_action_on_a_named_resource_passes(self):
        self.assertEqual(found(role_policy(allow(Action=["s3:GetObject"], Resource=["arn:aws:s3:::shop/landing/*", "arn:aws:s3:::shop/*"]))), [])

    def test_a_star_is_found_in_actions(self):
        for action in ("*", "s3:*", ["s3:Get*"]):
            self.assertEqual(found(role_policy(allow(Action=action, Resource=["arn:aws:s3:::shop"])))[0][0], "wildcard", action)

    def test_a_star_is_found_in_resources(self):
        for target in ("*", "arn:aws:s3:::*", "arn:aws:kms:eu-central-1:111122223333:key/*"):
            self.assertEqual(found(role_policy(allow(Action=["kms:Decrypt"], Resource=[target])))[0][0], "wildcard", target)

    def test_a_condition_bounds_all_keys(self):
        self.assertEqual(found(role_policy(allow(
            Action=["kms:Decrypt"], Resource=["arn:aws:kms:eu-central-1:111122223333:key/*"],
            Condition={"ForAnyValue:StringEquals": {"kms:ResourceAliases": "alias/shop"}}))), [])

    def test_an_exception_holds_for_its_actions_only(self):
        self.assertEqual(found(role_policy(allow(Sid="LogInToImages", Action=["ecr:GetAuthorizationToken"], Resource=["*"]))), [])
        self.assertEqual(found(role_policy(allow(Sid="LogInToImages", Action=["ecr:DeleteRepository"], Resource=["*"])))[0][0], "wildcard")

    def test_all_but_something_is_a_star_too(self):
        self.assertEqual(found(role_policy(allow(NotAction=["iam:CreateUser"], Resource=["arn:aws:s3:::shop"])))[0][0], "wildcard")

    def test_a_denial_may_name_everything(self):
        self.assertEqual(found(role_policy({"Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*"}]})), [])

    def test_only_the_account_administers_a_key(self):
        root = allow(Principal={"AWS": "arn:aws:iam::111122223333:root"}, Action="kms:*", Resource="*")
        other = allow(Principal={"AWS": "arn:aws:iam::111122223333:role/x"}, Action="kms:*", Resource="*")
        self.assertEqual(found(("aws_kms_key", {"policy": json.dumps(root)}, [])), [])
        self.assertEqual(found(("aws_kms_key", {"policy": json.dumps(other)}, []))[0][0], "wildcard")

    def test_a_policy_that_the_plan_cannot_show_is_found(self):
        self.assertEqual(found(("aws_iam_role_policy", {}, ["policy"]))[0][0], "policy-hidden")

    def test_a_managed_policy_must_be_on_the_list(self):
        self.assertEqual(found(("aws_iam_role_policy_attachment", {"policy_arn": "arn:aws:iam::aws:policy/AdministratorAccess"}, []))[0][0], "wildcard")

    def test_everybody_as_principal_is_public(self):
        document = allow(Principal="*", Action=["s3:GetObject"], Resource=["arn:aws:s3:::shop/x"])
        self.assertIn(("public", "a policy allows everybody"), found(*bucket(policy=document)))


class Doors(unittest.TestCase):
    def rule(self, **values):
        ingress = {"ip_protocol": "tcp", "from_port": 9098, "to_port": 9098, "tags": TAGS, **values}
        return [rule for rule, _ in found(("aws_vpc_security_group_ingress_rule", ingress, []))]

    def test_a_group_on_one_port_passes(self):
        self.assertEqual(self.rule(referenced_security_group_id="sg-1"), [])

    def test_the_internet_is_found(self):
        self.assertEqual(self.rule(cidr_ipv4="0.0.0.0/0"), ["public"])
        self.assertEqual(self.rule(cidr_ipv6="::/0"), ["public"])

    def test_a_plain_text_port_is_found_alone_and_in_a_range(self):
        self.assertEqual(self.rule(from_port=9092, to_port=9092), ["plain-text"])
        self.assertEqual(self.rule(from_port=9000, to_port=9098), ["plain-text"])
        self.assertEqual(self.rule(ip_protocol="-1", from_port=None, to_port=None), ["plain-text"])

    def test_public_addresses_are_found(self):
        self.assertEqual(found(("aws_subnet", {"map_public_ip_on_launch": True, "tags": TAGS}, []))[0][0], "public")
        self.assertEqual(found(("aws_ecs_service", {"network_configuration": [{"assign_public_ip": True}], "tags": TAGS}, []))[0][0], "public")
        self.assertIn("public", [rule for rule, _ in found(("aws_redshift_cluster", {"publicly_accessible": True, "tags": TAGS}, []))])

    def test_a_broker_without_tls_iam_or_privacy_is_found(self):
        right = {
            "tags": TAGS,
            "broker_node_group_info": [{"connectivity_info": [{"public_access": [{"type": "DISABLED"}]}]}],
            "client_authentication": [{"unauthenticated": False, "sasl": [{"iam": True}]}],
            "encryption_info": [{"encryption_in_transit": [{"client_broker": "TLS", "in_cluster": True}]}],
        }
        key = ["encryption_info.encryption_at_rest_kms_key_arn"]
        self.assertEqual(found(("aws_msk_cluster", right, key)), [])
        plain = {**right, "encryption_info": [{"encryption_in_transit": [{"client_broker": "TLS_PLAINTEXT", "in_cluster": True}]}]}
        self.assertEqual(found(("aws_msk_cluster", plain, key))[0][0], "plain-text")
        open_ = {**right, "client_authentication": [{"unauthenticated": True, "sasl": [{"iam": True}]}]}
        self.assertEqual(found(("aws_msk_cluster", open_, key))[0][0], "plain-text")
        self.assertEqual(found(("aws_msk_cluster", {**right, "broker_node_group_info": []}, key))[0][0], "public")

    def test_a_warehouse_without_tls_is_found(self):
        off = {"tags": TAGS, "parameter": [{"name": "require_ssl", "value": "false"}]}
        self.assertEqual(found(("aws_redshift_parameter_group", off, []))[0][0], "plain-text")


class Storage(unittest.TestCase):
    def test_a_bucket_that_is_right_passes(self):
        self.assertEqual(found(*bucket()), [])

    def test_each_thing_that_a_bucket_lacks_is_found(self):
        self.assertEqual(found(*bucket(restricted=False)), [("public", "bucket without a complete public access block")])
        self.assertEqual(found(*bucket(algorithm="AES256")), [("bucket", "no encryption by a KMS key")])
        self.assertEqual(found(*bucket(versions="Suspended")), [("bucket", "no versions")])
        self.assertEqual(found(*bucket(policy={"Statement": []})), [("bucket", "no policy that refuses plain HTTP")])

    def test_an_argument_that_names_no_key_is_found(self):
        self.assertEqual(found(("aws_sns_topic", {"tags": TAGS}, ["kms_master_key_id"])), [])
        self.assertEqual(found(("aws_sns_topic", {"tags": TAGS}, [])), [("encryption", "`kms_master_key_id` names no key")])

    def test_a_type_that_nobody_has_judged_is_found(self):
        self.assertEqual(found(("aws_sqs_queue", {"tags": TAGS}, []))[0][0], "encryption")

    def test_expiry_of_current_objects_is_found(self):
        rules = [{"id": "landing", "filter": [{"prefix": "landing/"}], "expiration": [{"days": 90}]}]
        self.assertEqual(found(("aws_s3_bucket_lifecycle_configuration", {"rule": rules}, []))[0][0], "lifecycle")

    def test_expiry_of_old_versions_and_of_markers_passes(self):
        rules = [{"id": "old", "filter": [{"prefix": ""}], "expiration": [{"expired_object_delete_marker": True}],
                  "noncurrent_version_expiration": [{"noncurrent_days": 30}]}]
        self.assertEqual(found(("aws_s3_bucket_lifecycle_configuration", {"rule": rules}, [])), [])

    def test_a_transition_that_may_move_a_log_is_found(self):
        def rule(prefix):
            return [{"id": "archive", "filter": [{"prefix": prefix}], "transition": [{"days": 90}]}]
        self.assertEqual(found(("aws_s3_bucket_lifecycle_configuration", {"rule": rule("staging/customer/year=")}, [])), [])
        self.assertEqual(found(("aws_s3_bucket_lifecycle_configuration", {"rule": rule("staging/")}, []))[0][0], "lifecycle")


class Tags(unittest.TestCase):
    def test_a_missing_tag_is_named(self):
        self.assertEqual(found(("aws_vpc", {"tags": {"project": "shop", "owner": "tests"}}, [])), [("tags", "without environment")])
        self.assertEqual(found(("aws_vpc", {"tags": None}, [])), [("tags", "without environment, owner, project")])

    def test_what_takes_no_tags_needs_none(self):
        self.assertEqual(found(("aws_route", {}, [])), [])


class Layout(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.module = Path(self.folder.name) / "modules/one"
        self.module.mkdir(parents=True)
        self.write("main.tf", "")
        self.write("README.md", "# One\n")
        self.write("one.tftest.hcl", "")
        self.write("outputs.tf", 'output "x" {\n  description = "X."\n  value = 1\n}\n')
        self.write("variables.tf", 'variable "x" {\n  description = "X."\n  type = string\n}\n')
        self.write("versions.tf", 'terraform {\n  required_version = ">= 1.10"\n  version = "~> 6.25"\n}\n')

    def write(self, name, text):
        (self.module / name).write_text(text)

    def findings(self):
        return [what for _, _, what in policy.check_layout(Path(self.folder.name))]

    def test_a_module_that_is_right_passes(self):
        self.assertEqual(self.findings(), [])

    def test_a_provider_without_a_bound_is_found(self):
        for version in ("", '  version = ">= 6.25"\n'):
            self.write("versions.tf", 'terraform {\n  required_version = ">= 1.10"\n' + version + "}\n")
            self.assertIn("not pinned", self.findings()[0])

    def test_missing_files_tests_and_descriptions_are_found(self):
        (self.module / "README.md").unlink()
        (self.module / "one.tftest.hcl").unlink()
        self.write("variables.tf", 'variable "x" {\n  type = string\n}\n')
        self.assertEqual(self.findings(), ["README.md is missing", "no test", "variable `x` has no description"])


if __name__ == "__main__":
    unittest.main()
