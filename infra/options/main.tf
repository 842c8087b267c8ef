# Every option that dev, qa and prod leave off, so that infra/check looks at those too. It is never applied.

provider "aws" {
  region              = "eu-central-1"
  allowed_account_ids = ["111122223333"]
}

module "pipeline" {
  source = "../modules/platform"

  pipeline = {
    name            = "options"
    environment     = "none"
    partitions      = 8
    retention_ms    = 604800000
    refresh_minutes = 5
    lake_bucket     = "options-datalake-none"
    lake_prefix     = "zones"
    secrets         = { stream = { secrets = ["options-none/registry"], parameters = ["/options/none/brokers"] }, build = { secrets = ["options-none/warehouse"], parameters = [] } }
    tables          = [{ name = "customer", topic = "options.customer.cdc", consumer_group = "weir.options.customer.671b67f7412332bf", connector = "sqlserver", server = "options", database = "OptionsDB", schema = "dbo", view = "staging.customer_cdc_mv" }]
  }

  account_id       = "111122223333"
  region           = "eu-central-1"
  owner            = "tests"
  alarm_emails     = ["tests@example.com"]
  image            = "111122223333.dkr.ecr.eu-central-1.amazonaws.com/options@sha256:0000000000000000000000000000000000000000000000000000000000000000"
  connector_plugin = "debezium.zip"
  function_package = "udf.zip"
  source_database  = { host = "sql.example.com", cidr = "10.200.0.0/24", port = 14330, transit_gateway_id = "tgw-1" }
  registry         = { kind = "confluent", url = "https://registry.example.com", secret = "options-none/registry", cidrs = ["198.51.100.0/24"] }
  readers          = { analysts = "arn:aws:iam::111122223333:role/analysts" }
  crawler          = true

  network = { cidr = "10.40.0.0/16", nat_gateways = 3 }
  stream  = { kind = "serverless" }
  lake    = { replica_region = "eu-west-1", archive_after_days = 180 }

  workers = {
    stream      = { cpu = 1024, memory_mib = 4096, min_tasks = 2, max_tasks = 8 }
    build       = { cpu = 4096, memory_mib = 16384, schedule = "cron(0 * * * ? *)" }
    environment = { WEIR_LOG = "info" }
    glue_job    = { script = "s3://options-artifacts-111122223333/build.py", wheel = "s3://options-artifacts-111122223333/weir-1-py3-none-any.whl" }
  }

  warehouse = {
    refresh_views = true
    provisioned = {
      node_type     = "ra3.4xlarge"
      nodes         = 2
      multi_az      = false
      resizes       = [{ name = "night", schedule = "cron(0 1 * * ? *)", nodes = 4 }]
      snapshot_copy = { region = "eu-west-1", grant_name = "options" }
    }
  }
}
