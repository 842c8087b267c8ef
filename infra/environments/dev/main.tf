# Development: small, may be thrown away with its data.
# Sizes stand in sizes.auto.tfvars.json; how the parts hang together stands in modules/platform, names and topics in the pipeline's files.

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

  network    = var.sizes.network
  stream     = var.sizes.stream
  lake       = var.sizes.lake
  workers    = var.sizes.workers
  warehouse  = var.sizes.warehouse
  thresholds = var.sizes.thresholds
}
