# Development: small, may be thrown away with its data.
# Only sizes stand here; how the parts hang together stands in modules/platform, names and topics in the pipeline's files.

terraform {
  backend "s3" {
    key          = "weir/dev/terraform.tfstate"
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

  network = { cidr = "10.10.0.0/16" }
  stream  = { brokers = { count = 3, instance_type = "kafka.t3.small", volume_gib = 20, max_volume_gib = 100 } }
  lake    = { noncurrent_days = 7, force_destroy = true }

  workers = {
    stream = { cpu = 256, memory_mib = 1024 }
    build  = { cpu = 1024, memory_mib = 4096, schedule = "rate(1 hour)" }
  }

  warehouse  = { serverless = { base_rpu = 8, max_rpu = 16, monthly_rpu_hours = 200, at_limit = "deactivate" }, snapshot_days = 1 }
  thresholds = { build_silent_minutes = 180 }
}
