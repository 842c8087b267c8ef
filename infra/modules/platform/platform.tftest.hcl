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
    secrets         = { stream = { secrets = [], parameters = [] }, build = { secrets = [], parameters = [] } }
    tables          = [{ name = "customer", topic = "shop.customer.cdc", consumer_group = "weir.shop.customer.00000000000000aa", connector = "sqlserver", server = "shop", database = "ShopDB", schema = "dbo", view = "staging.customer_cdc_mv" }]
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

run "refuses_a_lake_beside_the_pipelines_own" {
  command = plan

  variables {
    workers = {
      stream      = { cpu = 512, memory_mib = 2048 }
      build       = { cpu = 2048, memory_mib = 8192, schedule = "rate(1 hour)" }
      environment = { WEIR__LAKE__ROOT = "s3://elsewhere" }
    }
  }

  expect_failures = [var.workers]
}

run "refuses_an_account_that_is_none" {
  command = plan
  variables { account_id = "my-account" }
  expect_failures = [var.account_id]
}
