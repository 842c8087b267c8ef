# Rehearsal: the services of production, smaller.
# Only sizes stand here; how the parts hang together stands in modules/platform, names and topics in the pipeline's files.

terraform {
  backend "s3" {
    key          = "weir/qa/terraform.tfstate"
    encrypt      = true
    use_lockfile = true
  }
}

provider "aws" {
  region              = var.region
  allowed_account_ids = [var.account_id]
}

module "pipeline" {
  source = "../../modules/platform"

  pipeline         = var.pipeline
  account_id       = var.account_id
  region           = var.region
  owner            = var.owner
  alarm_emails     = var.alarm_emails
  image            = var.image
  connector_plugin = var.connector_plugin
  source_database  = var.source_database

  network = { cidr = "10.20.0.0/16", nat_gateways = 1 }
  stream  = { brokers = { count = 3, instance_type = "kafka.t3.small", volume_gib = 60, max_volume_gib = 300 } }
  lake    = { noncurrent_days = 14 }

  workers = {
    stream = { cpu = 512, memory_mib = 2048, max_tasks = 2 }
    build  = { cpu = 2048, memory_mib = 8192, schedule = "rate(1 hour)" }
  }

  warehouse  = { serverless = { base_rpu = 8, max_rpu = 32, monthly_rpu_hours = 600 } }
  thresholds = { build_silent_minutes = 180 }
}
