mock_provider "aws" {}

variables {
  name       = "shop"
  account_id = "111122223333"
  tags       = { project = "shop", environment = "account", owner = "tests" }
}

run "state_and_artifacts_are_private_and_versioned" {
  command = plan

  assert {
    condition     = aws_s3_bucket.this["state"].bucket == "shop-state-111122223333" && aws_s3_bucket_versioning.this["state"].versioning_configuration[0].status == "Enabled"
    error_message = "A state that was overwritten could not be brought back."
  }

  assert {
    condition     = aws_ecr_repository.weir.image_tag_mutability == "IMMUTABLE"
    error_message = "An image can be replaced under its tag."
  }
}

run "refuses_an_account_that_is_none" {
  command = plan
  variables { account_id = "12" }
  expect_failures = [var.account_id]
}
