# Databases and grants. Tables are the program's: it knows their columns and versions.

locals {
  zones     = toset(["landing", "staging", "curated", "quarantine", "deadletter"])
  databases = { for zone in local.zones : zone => "${replace(var.context.name, "-", "_")}_${zone}" }

  reads = { for pair in setproduct(keys(var.readers), var.readable_zones) : "${pair[0]}-${pair[1]}" => {
    principal = var.readers[pair[0]]
    zone      = pair[1]
  } }
}

resource "aws_glue_catalog_database" "zone" {
  for_each = local.databases

  name         = each.value
  description  = "Zone ${each.key} of ${var.context.name}"
  location_uri = "${var.lake_root}/${each.key}"
  tags         = var.context.tags
}

resource "aws_lakeformation_permissions" "reader_database" {
  for_each = local.reads

  principal   = each.value.principal
  permissions = ["DESCRIBE"]

  database {
    name = aws_glue_catalog_database.zone[each.value.zone].name
  }
}

resource "aws_lakeformation_permissions" "reader_tables" {
  for_each = local.reads

  principal   = each.value.principal
  permissions = ["SELECT", "DESCRIBE"]

  table {
    database_name = aws_glue_catalog_database.zone[each.value.zone].name
    wildcard      = true
  }
}

# Where Lake Formation governs, the build needs a grant too.
resource "aws_lakeformation_permissions" "builder" {
  for_each = length(var.readers) == 0 ? toset([]) : local.zones

  principal   = var.builder_role_arn
  permissions = ["CREATE_TABLE", "ALTER", "DESCRIBE"]

  database {
    name = aws_glue_catalog_database.zone[each.key].name
  }
}

# What a crawler or a job of Glue encrypts, and with which key.
resource "aws_glue_security_configuration" "this" {
  name = var.context.name

  encryption_configuration {
    cloudwatch_encryption {
      cloudwatch_encryption_mode = "SSE-KMS"
      kms_key_arn                = var.kms_key_arn
    }

    job_bookmarks_encryption {
      job_bookmarks_encryption_mode = "CSE-KMS"
      kms_key_arn                   = var.kms_key_arn
    }

    s3_encryption {
      s3_encryption_mode = "SSE-KMS"
      kms_key_arn        = var.kms_key_arn
    }
  }
}

# --- the crawler, as an option: Weir's own registration will be cheaper and exact ----------------------------------

resource "aws_glue_crawler" "zone" {
  for_each = var.crawler == null ? {} : { for zone in ["landing", "staging"] : zone => local.databases[zone] }

  name                   = "${var.context.name}-${each.key}"
  database_name          = aws_glue_catalog_database.zone[each.key].name
  role                   = var.crawler.role_arn
  schedule               = var.crawler.schedule
  security_configuration = aws_glue_security_configuration.this.name
  tags                   = var.context.tags

  delta_target {
    delta_tables              = [for table in var.table_names : "${var.lake_root}/${each.key}/${table}/"]
    create_native_delta_table = true
    write_manifest            = false
  }

  schema_change_policy {
    update_behavior = "UPDATE_IN_DATABASE"
    delete_behavior = "LOG"
  }
}
