mock_provider "aws" {}

variables {
  context = {
    name       = "shop-qa"
    account_id = "111122223333"
    region     = "eu-central-1"
    tags       = { project = "shop", environment = "qa", owner = "tests" }
  }
  kms_key_arn = "arn:aws:kms:eu-central-1:111122223333:key/11111111-2222-3333-4444-555555555555"
  subnet_ids  = ["subnet-1", "subnet-2", "subnet-3"]

  registry          = "glue:shop-qa"
  role_arn          = "arn:aws:iam::111122223333:role/shop-qa-udf"
  security_group_id = "sg-1"
  log_group_name    = "/weir/shop-qa/udf"
}

run "nothing_is_made_without_a_package" {
  command = plan

  assert {
    condition     = length(aws_lambda_function.decode) == 0 && output.function_name == null
    error_message = "A function without code was made."
  }
}

run "the_package_runs_on_arm_under_the_name_that_sql_calls" {
  command = plan
  variables { package = { bucket = "shop-artifacts", key = "udf-1.zip" } }

  assert {
    condition     = aws_lambda_function.decode[0].function_name == "weir-cdc-avro-to-json" && aws_lambda_function.decode[0].runtime == "provided.al2023" && aws_lambda_function.decode[0].architectures == tolist(["arm64"])
    error_message = "Redshift would not find the function, or it would not start."
  }
}

run "refuses_a_function_that_may_never_run" {
  command = plan
  variables { concurrency = 0 }
  expect_failures = [var.concurrency]
}
