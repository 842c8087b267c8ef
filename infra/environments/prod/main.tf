# Production.
# Only sizes stand here; how the parts hang together stands in modules/platform, names and topics in the pipeline's files.

terraform {
  backend "s3" {
    key          = "weir/prod/terraform.tfstate"
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

  network = { cidr = "10.30.0.0/16", nat_gateways = 3 }

  stream = {
    brokers       = { count = 3, instance_type = "kafka.m7g.large", volume_gib = 500, max_volume_gib = 2000, monitoring = "PER_TOPIC_PER_BROKER" }
    connector_mcu = 2
  }

  lake = { noncurrent_days = 30, archive_after_days = 180 }

  workers = {
    stream = { cpu = 1024, memory_mib = 4096, min_tasks = 2, max_tasks = 4 }
    build  = { cpu = 4096, memory_mib = 16384, disk_gib = 100, schedule = "rate(15 minutes)" }
  }

  # MERGE runs on the main cluster: resize that one for faster loads, concurrency scaling serves readers.
  warehouse = {
    provisioned   = { node_type = "ra3.xlplus", nodes = 2, multi_az = true, concurrency_clusters = 2, concurrency_minutes_daily = 120 }
    snapshot_days = 14
  }

  thresholds = { build_silent_minutes = 60, storage_gb = 2000 }
}
