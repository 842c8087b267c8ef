# One bucket: <prefix>/{landing,staging,curated,quarantine,deadletter,quality}. Weir's own retention and vacuum delete current
# objects; a rule that did so would take files that a Delta log still names.

locals {
  root = var.prefix == "" ? "" : "${var.prefix}/"
  # Data files lie in hour folders, the log beside them in _delta_log: a prefix that ends in year= cannot match it.
  archived = var.archive_after_days == null ? [] : [for table in var.table_names : "${local.root}staging/${table}/year="]
  replica  = var.replica_region == null ? {} : { (var.replica_region) = "${var.bucket}-replica" }
}

resource "aws_s3_bucket" "lake" {
  bucket        = var.bucket
  force_destroy = var.force_destroy
  tags          = var.context.tags
}

resource "aws_s3_bucket_public_access_block" "lake" {
  bucket = aws_s3_bucket.lake.bucket

  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "lake" {
  bucket = aws_s3_bucket.lake.bucket

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_versioning" "lake" {
  bucket = aws_s3_bucket.lake.bucket

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "lake" {
  bucket = aws_s3_bucket.lake.bucket

  rule {
    bucket_key_enabled = true

    apply_server_side_encryption_by_default {
      sse_algorithm     = "aws:kms"
      kms_master_key_id = var.kms_key_arn
    }
  }
}

resource "aws_s3_bucket_policy" "lake" {
  bucket = aws_s3_bucket.lake.bucket

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "TlsOnly"
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:*"
      Resource  = ["arn:aws:s3:::${var.bucket}", "arn:aws:s3:::${var.bucket}/*"]
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }]
  })

  depends_on = [aws_s3_bucket_public_access_block.lake]
}

resource "aws_s3_bucket_lifecycle_configuration" "lake" {
  bucket = aws_s3_bucket.lake.bucket

  rule {
    id     = "leftovers"
    status = "Enabled"

    filter {
      prefix = ""
    }

    noncurrent_version_expiration {
      noncurrent_days = var.noncurrent_days
    }

    # Removes the marker that is left when its last version has gone; it takes no object.
    expiration {
      expired_object_delete_marker = true
    }

    abort_incomplete_multipart_upload {
      days_after_initiation = 2
    }
  }

  dynamic "rule" {
    for_each = local.archived

    content {
      id     = "archive-${replace(trimsuffix(rule.value, "/year="), "/", "-")}"
      status = "Enabled"

      filter {
        prefix = rule.value
      }

      transition {
        days          = var.archive_after_days
        storage_class = "GLACIER_IR"
      }
    }
  }

  depends_on = [aws_s3_bucket_versioning.lake]
}

# --- a copy in another region, as an option ------------------------------------------------------------------------

resource "aws_kms_key" "replica" {
  for_each = local.replica

  region                  = each.key
  description             = "${var.context.name}: copy of the lake"
  enable_key_rotation     = true
  deletion_window_in_days = 30
  tags                    = var.context.tags

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "AccountDecidesByIam"
      Effect    = "Allow"
      Principal = { AWS = "arn:aws:iam::${var.context.account_id}:root" }
      Action    = "kms:*"
      Resource  = "*"
    }]
  })
}

resource "aws_kms_alias" "replica" {
  for_each = local.replica

  region        = each.key
  name          = "alias/${var.context.name}"
  target_key_id = aws_kms_key.replica[each.key].key_id
}

resource "aws_s3_bucket" "replica" {
  for_each = local.replica

  region        = each.key
  bucket        = each.value
  force_destroy = var.force_destroy
  tags          = var.context.tags
}

resource "aws_s3_bucket_public_access_block" "replica" {
  for_each = local.replica

  region = each.key
  bucket = aws_s3_bucket.replica[each.key].bucket

  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_versioning" "replica" {
  for_each = local.replica

  region = each.key
  bucket = aws_s3_bucket.replica[each.key].bucket

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "replica" {
  for_each = local.replica

  region = each.key
  bucket = aws_s3_bucket.replica[each.key].bucket

  rule {
    bucket_key_enabled = true

    apply_server_side_encryption_by_default {
      sse_algorithm     = "aws:kms"
      kms_master_key_id = aws_kms_key.replica[each.key].arn
    }
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "replica" {
  for_each = local.replica

  region = each.key
  bucket = aws_s3_bucket.replica[each.key].bucket

  rule {
    id     = "leftovers"
    status = "Enabled"

    filter {
      prefix = ""
    }

    noncurrent_version_expiration {
      noncurrent_days = var.noncurrent_days
    }

    # Removes the marker that is left when its last version has gone; it takes no object.
    expiration {
      expired_object_delete_marker = true
    }

    abort_incomplete_multipart_upload {
      days_after_initiation = 2
    }
  }

  depends_on = [aws_s3_bucket_versioning.replica]
}

resource "aws_s3_bucket_policy" "replica" {
  for_each = local.replica

  region = each.key
  bucket = aws_s3_bucket.replica[each.key].bucket

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "TlsOnly"
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:*"
      Resource  = ["arn:aws:s3:::${each.value}", "arn:aws:s3:::${each.value}/*"]
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }]
  })
}

resource "aws_s3_bucket_replication_configuration" "lake" {
  for_each = local.replica

  bucket = aws_s3_bucket.lake.bucket
  role   = var.replication_role_arn

  rule {
    id     = "all"
    status = "Enabled"

    filter {
      prefix = ""
    }

    source_selection_criteria {
      sse_kms_encrypted_objects {
        status = "Enabled"
      }
    }

    delete_marker_replication {
      status = "Enabled"
    }

    destination {
      bucket        = aws_s3_bucket.replica[each.key].arn
      storage_class = "STANDARD_IA"

      encryption_configuration {
        replica_kms_key_id = aws_kms_key.replica[each.key].arn
      }
    }
  }

  depends_on = [aws_s3_bucket_versioning.lake, aws_s3_bucket_versioning.replica]
}
