# Once per account, by a person with administrator rights; its own state stays local or moves into the bucket that it makes.

provider "aws" {
  region              = var.region
  allowed_account_ids = [var.account_id]
}

locals {
  tags = { project = var.name, environment = "account", owner = var.owner, managed-by = "terraform" }
}

module "bootstrap" {
  source = "../modules/bootstrap"

  name       = var.name
  account_id = var.account_id
  tags       = local.tags
}

module "ci" {
  source = "../modules/ci"

  name         = var.name
  account_id   = var.account_id
  region       = var.region
  repository   = var.repository
  environments = var.environments
  state_bucket = module.bootstrap.state_bucket
  tags         = local.tags
}
