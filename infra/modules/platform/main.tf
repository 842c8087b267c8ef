# One environment: the modules and how they hang together. An environment's folder holds sizes only.

locals {
  name = "${var.pipeline.name}-${var.pipeline.environment}"

  context = {
    name       = local.name
    account_id = var.account_id
    region     = var.region
    tags       = { project = var.pipeline.name, environment = var.pipeline.environment, owner = var.owner, managed-by = "terraform" }
  }

  table_names = var.pipeline.tables[*].name
  bucket      = var.pipeline.lake_bucket
  lake_root   = "s3://${join("/", compact([local.bucket, var.pipeline.lake_prefix]))}"
  secret_name = "${local.name}/connector"
  artifacts   = "${var.pipeline.name}-artifacts-${var.account_id}"
  logged_in   = var.registry.secret == null ? "://" : "://$${aws-sm:${var.registry.secret}#username}:$${aws-sm:${var.registry.secret}#password}@"
  registry    = var.registry.kind == "glue" ? "glue:${local.name}" : replace(var.registry.url, "://", local.logged_in)

  optional_jobs = {
    crawler     = var.crawler
    replication = var.lake.replica_region != null
    resize      = var.warehouse.provisioned != null && try(length(var.warehouse.provisioned.resizes), 0) > 0
  }
  jobs = concat(
    ["stream", "build", "connect", "redshift", "udf", "execution", "states", "scheduler", "flow"],
    [for job, wanted in local.optional_jobs : job if wanted],
  )
}

module "key" {
  source  = "../key"
  context = local.context
}

module "access" {
  source  = "../access"
  context = local.context

  jobs                 = local.jobs
  bucket               = local.bucket
  prefix               = var.pipeline.lake_prefix
  tables               = var.pipeline.tables
  secrets              = merge(var.pipeline.secrets, { udf = { secrets = compact([var.registry.secret]), parameters = [] } })
  image_repository_arn = "arn:aws:ecr:${var.region}:${var.account_id}:repository/${var.pipeline.name}"
  function_name        = var.function_name
}

module "network" {
  source  = "../network"
  context = local.context

  kms_key_arn       = module.key.arn
  cidr              = var.network.cidr
  zones             = [for letter in var.network.zones : "${var.region}${letter}"]
  nat_gateways      = var.network.nat_gateways
  source_database   = { cidr = var.source_database.cidr, port = var.source_database.port, transit_gateway_id = var.source_database.transit_gateway_id }
  registry_cidrs    = var.registry.cidrs
  flow_log_role_arn = module.access.role_arns["flow"]
}

module "monitoring" {
  source  = "../monitoring"
  context = local.context

  kms_key_arn     = module.key.arn
  brokers         = var.stream.kind == "provisioned" ? var.stream.brokers.count : 0
  tables          = var.pipeline.tables
  connector_names = module.connect.connector_names
  warehouse       = var.warehouse.serverless == null ? "provisioned" : "serverless"
  thresholds      = var.thresholds
  alarm_emails    = var.alarm_emails
}

module "msk" {
  source  = "../msk"
  context = local.context

  kms_key_arn       = module.key.arn
  kind              = var.stream.kind
  brokers           = var.stream.brokers
  partitions        = var.pipeline.partitions
  retention_ms      = var.pipeline.retention_ms
  subnet_ids        = module.network.private_subnet_ids
  security_group_id = module.network.security_group_ids["msk"]
  log_group_name    = module.monitoring.log_group_names["msk"]
}

module "registry" {
  source  = "../registry"
  context = local.context

  kind          = var.registry.kind
  confluent_url = var.registry.url
  secret_name   = local.secret_name
}

module "connect" {
  source  = "../connect"
  context = local.context

  kms_key_arn       = module.key.arn
  tables            = var.pipeline.tables
  source_database   = { host = var.source_database.host, port = var.source_database.port }
  plugin            = { bucket = local.artifacts, key = var.connector_plugin }
  converter         = module.registry.converter
  mcu_count         = var.stream.connector_mcu
  partitions        = var.pipeline.partitions
  retention_ms      = var.pipeline.retention_ms
  bootstrap_brokers = module.msk.bootstrap_brokers
  role_arn          = module.access.role_arns["connect"]
  subnet_ids        = module.network.private_subnet_ids
  security_group_id = module.network.security_group_ids["connect"]
  log_group_name    = module.monitoring.log_group_names["connect"]
}

module "lake" {
  source  = "../lake"
  context = local.context

  kms_key_arn          = module.key.arn
  bucket               = local.bucket
  prefix               = var.pipeline.lake_prefix
  table_names          = local.table_names
  noncurrent_days      = var.lake.noncurrent_days
  archive_after_days   = var.lake.archive_after_days
  replica_region       = var.lake.replica_region
  replication_role_arn = lookup(module.access.role_arns, "replication", null)
  force_destroy        = var.lake.force_destroy
}

module "catalog" {
  source  = "../catalog"
  context = local.context

  kms_key_arn      = module.key.arn
  lake_root        = local.lake_root
  table_names      = local.table_names
  builder_role_arn = module.access.role_arns["build"]
  readers          = var.readers
  crawler          = var.crawler ? { role_arn = module.access.role_arns["crawler"] } : null
}

module "warehouse" {
  source  = "../warehouse"
  context = local.context

  kms_key_arn        = module.key.arn
  database           = var.pipeline.name
  serverless         = var.warehouse.serverless
  provisioned        = var.warehouse.provisioned
  snapshot_days      = var.warehouse.snapshot_days
  views              = var.pipeline.tables[*].view
  refresh_views      = var.warehouse.refresh_views
  refresh_minutes    = var.pipeline.refresh_minutes
  role_arn           = module.access.role_arns["redshift"]
  scheduler_role_arn = module.access.role_arns["scheduler"]
  resize_role_arn    = lookup(module.access.role_arns, "resize", null)
  subnet_ids         = module.network.private_subnet_ids
  security_group_id  = module.network.security_group_ids["warehouse"]
}

module "udf" {
  source  = "../udf"
  context = local.context

  kms_key_arn       = module.key.arn
  package           = var.function_package == null ? null : { bucket = local.artifacts, key = var.function_package }
  function_name     = var.function_name
  registry          = local.registry
  role_arn          = module.access.role_arns["udf"]
  subnet_ids        = module.network.private_subnet_ids
  security_group_id = module.network.security_group_ids["udf"]
  log_group_name    = module.monitoring.log_group_names["udf"]
}

module "workers" {
  source  = "../workers"
  context = local.context

  kms_key_arn       = module.key.arn
  image             = var.image
  stream            = var.workers.stream
  build             = var.workers.build
  partitions        = var.pipeline.partitions
  tables            = var.pipeline.tables
  role_arns         = module.access.role_arns
  subnet_ids        = module.network.private_subnet_ids
  security_group_id = module.network.security_group_ids["workers"]
  log_group_names   = module.monitoring.log_group_names

  glue_job = var.workers.glue_job == null ? null : {
    script                 = var.workers.glue_job.script
    wheel                  = var.workers.glue_job.wheel
    security_configuration = module.catalog.security_configuration
  }

  # Addresses come from here; all else from the pipeline's files in the image, also a Confluent registry's URL, which refers to its
  # user and password.
  environment = merge({
    WEIR_ENV               = var.pipeline.environment
    WEIR__STREAM__BROKERS  = module.msk.bootstrap_brokers
    WEIR__STREAM__SECURITY = "iam"
    WEIR__STREAM__REGION   = var.region
    WEIR__LAKE__ROOT       = local.lake_root
    WEIR__METRICS__EMF     = "true" # what the alarms of module monitoring look at
    AWS_REGION             = var.region
  }, var.registry.kind == "glue" ? { WEIR__STREAM__REGISTRY = "glue" } : {}, var.workers.environment)
}
