mock_provider "aws" {}

variables {
  pipeline = {
    name            = "shop"
    environment     = "qa"
    partitions      = 6
    retention_ms    = 604800000
    refresh_minutes = 1
    lake_bucket     = "shop-lake"
    lake_prefix     = "zones"
    tables          = [{ name = "customer", topic = "shop.customer.cdc", connector = "sqlserver", server = "shop", database = "ShopDB", schema = "dbo", view = "staging.customer_cdc_mv" }]
  }

  account_id       = "111122223333"
  region           = "eu-central-1"
  owner            = "tests"
  alarm_emails     = ["tests@example.com"]
  image            = "111122223333.dkr.ecr.eu-central-1.amazonaws.com/shop@sha256:0000000000000000000000000000000000000000000000000000000000000000"
  connector_plugin = "debezium-1.zip"
  source_database  = { host = "sql.example.com", cidr = "10.200.0.0/24" }
  network          = { cidr = "10.20.0.0/16" }
  warehouse        = { serverless = { base_rpu = 8, max_rpu = 16, monthly_rpu_hours = 100 } }

  workers = {
    stream = { cpu = 512, memory_mib = 2048 }
    build  = { cpu = 2048, memory_mib = 8192, schedule = "rate(1 hour)" }
  }
}

run "what_the_pipeline_says_reaches_every_part" {
  command = plan

  assert {
    condition     = output.lake_root == "s3://shop-lake/zones"
    error_message = "The lake is not where the pipeline has it."
  }

  assert {
    condition     = output.connector_secret == "shop-qa/connector"
    error_message = "The role and the connector name different secrets."
  }
}

run "without_a_bucket_in_the_pipeline_the_name_is_made" {
  command = plan

  variables {
    pipeline = {
      name            = "shop"
      environment     = "dev"
      partitions      = 4
      retention_ms    = 604800000
      refresh_minutes = 1
      tables          = [{ name = "customer", topic = "shop.customer.cdc", connector = "sqlserver", server = "shop", database = "ShopDB", schema = "dbo", view = "staging.customer_cdc_mv" }]
    }
  }

  assert {
    condition     = output.lake_root == "s3://shop-datalake-dev"
    error_message = "The lake has no name."
  }
}

run "refuses_an_account_that_is_none" {
  command = plan
  variables { account_id = "my-account" }
  expect_failures = [var.account_id]
}
