mock_provider "aws" {}

variables {
  context = {
    name       = "shop-qa"
    account_id = "111122223333"
    region     = "eu-central-1"
    tags       = { project = "shop", environment = "qa", owner = "tests" }
  }

  bucket               = "shop-datalake-qa"
  tables               = [{ topic = "shop.customer.cdc", consumer_group = "weir.shop.customer.00000000000000aa" }]
  image_repository_arn = "arn:aws:ecr:eu-central-1:111122223333:repository/shop"
  function_name        = "weir-cdc-avro-to-json"
}

run "landing_is_all_that_stream_writes_to" {
  command = plan

  assert {
    condition = [for statement in jsondecode(aws_iam_role_policy.job["stream"].policy).Statement : statement.Resource if contains(statement.Action, "s3:PutObject")] == [
    ["arn:aws:s3:::shop-datalake-qa/landing/*", "arn:aws:s3:::shop-datalake-qa/deadletter/*", "arn:aws:s3:::shop-datalake-qa/quality/*"]]
    error_message = "The role of stream writes elsewhere."
  }
}

run "the_build_reads_dead_letters_and_writes_none" {
  command = plan

  assert {
    condition = [for statement in jsondecode(aws_iam_role_policy.job["build"].policy).Statement : statement.Action if contains(statement.Resource, "arn:aws:s3:::shop-datalake-qa/deadletter/*")] == [
    ["s3:GetObject"]]
    error_message = "The role of build does more to dead letters than to read them, or less."
  }
}

run "the_build_sees_no_statements_but_its_own" {
  command = plan

  assert {
    condition = [for statement in jsondecode(aws_iam_role_policy.job["build"].policy).Statement : statement.Condition.StringEquals if contains(statement.Action, "redshift-data:GetStatementResult")] == [
    { "redshift-data:statement-owner-iam-userid" = "$${aws:userid}" }]
    error_message = "The role of build reads results of others."
  }

  assert {
    condition = length([for statement in jsondecode(aws_iam_role_policy.job["build"].policy).Statement : statement
    if contains(statement.Action, "redshift-data:BatchExecuteStatement") && !contains(statement.Resource, "*")]) == 1
    error_message = "The role of build does not run statements, or runs them anywhere."
  }
}

run "stream_joins_the_groups_of_its_tables_and_no_other" {
  command = plan

  assert {
    condition = [for statement in jsondecode(aws_iam_role_policy.job["stream"].policy).Statement : statement.Resource if contains(statement.Action, "kafka-cluster:AlterGroup")] == [
    ["arn:aws:kafka:eu-central-1:111122223333:group/shop-qa/*/weir.shop.customer.00000000000000aa"]]
    error_message = "The role of stream joins other groups."
  }
}

run "a_job_reads_the_secrets_that_it_looks_up_and_fargate_none" {
  command = plan

  variables {
    secrets = {
      stream = { secrets = ["shop-qa/registry"], parameters = ["/shop/qa/brokers"] }
      build  = { secrets = ["arn:aws:secretsmanager:eu-west-1:111122223333:secret:shop/warehouse-AbCdEf"], parameters = [] }
      udf    = { secrets = [], parameters = [] }
    }
  }

  assert {
    condition = { for job in ["stream", "build", "udf", "execution"] : job => flatten([for statement in jsondecode(aws_iam_role_policy.job[job].policy).Statement : statement.Resource
      if length(setintersection(statement.Action, ["secretsmanager:GetSecretValue", "ssm:GetParameter"])) > 0]) } == {
      stream    = ["arn:aws:secretsmanager:eu-central-1:111122223333:secret:shop-qa/registry-??????", "arn:aws:ssm:eu-central-1:111122223333:parameter/shop/qa/brokers"]
      build     = ["arn:aws:secretsmanager:eu-west-1:111122223333:secret:shop/warehouse-AbCdEf"]
      udf       = []
      execution = []
    }
    error_message = "A job reads other secrets than the pipeline's files give it."
  }
}

run "the_warehouse_writes_nothing" {
  command = plan

  assert {
    condition = length([for statement in jsondecode(aws_iam_role_policy.job["redshift"].policy).Statement : statement
    if length(setintersection(statement.Action, ["s3:PutObject", "s3:DeleteObject", "kafka-cluster:WriteData"])) > 0]) == 0
    error_message = "The role of Redshift can write."
  }
}

run "a_role_exists_only_for_a_job_that_does" {
  command = plan

  assert {
    condition     = !contains(keys(aws_iam_role.job), "crawler") && !contains(keys(aws_iam_role.job), "replication")
    error_message = "A role was made for a job that does not run."
  }
}

run "refuses_a_topic_with_a_star" {
  command = plan
  variables { tables = [{ topic = "shop.*", consumer_group = "weir.shop.customer.00000000000000aa" }] }
  expect_failures = [var.tables]
}

run "refuses_a_secret_with_a_star" {
  command = plan
  variables { secrets = { stream = { secrets = ["shop-qa/*"], parameters = [] }, build = { secrets = [], parameters = [] }, udf = { secrets = [], parameters = [] } } }
  expect_failures = [var.secrets]
}

run "refuses_a_group_with_a_star" {
  command = plan
  variables { tables = [{ topic = "shop.customer.cdc", consumer_group = "weir.*" }] }
  expect_failures = [var.tables]
}
