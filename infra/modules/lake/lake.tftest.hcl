mock_provider "aws" {}

variables {
  context = {
    name       = "shop-qa"
    account_id = "111122223333"
    region     = "eu-central-1"
    tags       = { project = "shop", environment = "qa", owner = "tests" }
  }
  kms_key_arn = "arn:aws:kms:eu-central-1:111122223333:key/11111111-2222-3333-4444-555555555555"

  bucket      = "shop-datalake-qa"
  prefix      = "lake"
  table_names = ["customer", "order"]
}

run "no_rule_takes_a_current_object" {
  command = plan
  variables { archive_after_days = 90 }

  assert {
    condition     = alltrue(flatten([for rule in aws_s3_bucket_lifecycle_configuration.lake.rule : [for expiration in rule.expiration : expiration.expired_object_delete_marker == true]]))
    error_message = "A rule expires current objects."
  }

  assert {
    condition     = [for rule in aws_s3_bucket_lifecycle_configuration.lake.rule : rule.filter[0].prefix if length(rule.transition) > 0] == ["lake/staging/customer/year=", "lake/staging/order/year="]
    error_message = "A transition may match a _delta_log."
  }
}

run "what_an_upload_left_is_removed" {
  command = plan

  assert {
    condition     = contains(flatten([for rule in aws_s3_bucket_lifecycle_configuration.lake.rule : [for abort in rule.abort_incomplete_multipart_upload : abort.days_after_initiation] if rule.filter[0].prefix == ""]), 2)
    error_message = "Parts of uploads that were never completed stay for ever."
  }
}

run "nothing_moves_by_default" {
  command = plan

  assert {
    condition     = length([for rule in aws_s3_bucket_lifecycle_configuration.lake.rule : rule if length(rule.transition) > 0]) == 0
    error_message = "Objects move although nobody asked."
  }
}

run "a_copy_has_a_key_and_a_bucket_of_its_own_region" {
  command = plan

  variables {
    replica_region       = "eu-west-1"
    replication_role_arn = "arn:aws:iam::111122223333:role/shop-qa-replication"
  }

  assert {
    condition     = aws_s3_bucket.replica["eu-west-1"].region == "eu-west-1" && aws_kms_key.replica["eu-west-1"].region == "eu-west-1"
    error_message = "The copy is not in the other region."
  }
}

run "refuses_a_copy_in_the_same_region" {
  command = plan
  variables { replica_region = "eu-central-1" }
  expect_failures = [var.replica_region]
}
