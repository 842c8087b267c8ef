# One customer-managed key per environment. Roles may use it by its alias (module access); the services below act for nobody.

locals {
  cluster = {
    "kms:EncryptionContext:aws:ecs:clusterAccount" = [var.context.account_id]
    "kms:EncryptionContext:aws:ecs:clusterName"    = [var.context.name]
  }

  services = {
    "logs.${var.context.region}.amazonaws.com" = {
      ArnLike = { "kms:EncryptionContext:aws:logs:arn" = "arn:aws:logs:${var.context.region}:${var.context.account_id}:log-group:*" }
    }
    # Alarms publish to an encrypted SNS topic.
    "cloudwatch.amazonaws.com" = { StringEquals = { "aws:SourceAccount" = var.context.account_id } }
  }
}

resource "aws_kms_key" "this" {
  description             = "${var.context.name}: stream, lake, warehouse, secrets, logs"
  enable_key_rotation     = true
  deletion_window_in_days = var.deletion_window_days
  tags                    = var.context.tags

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [{
        Sid       = "AccountDecidesByIam"
        Effect    = "Allow"
        Principal = { AWS = "arn:aws:iam::${var.context.account_id}:root" }
        Action    = "kms:*"
        Resource  = "*"
      }],
      # Fargate encrypts a task's disk for this cluster, and lets the machine that runs it decrypt.
      [
        {
          Sid       = "FargateMakesDiskKeys"
          Effect    = "Allow"
          Principal = { Service = "fargate.amazonaws.com" }
          Action    = "kms:GenerateDataKeyWithoutPlaintext"
          Resource  = "*"
          Condition = { StringEquals = local.cluster }
        },
        {
          Sid       = "FargateGrantsDecryption"
          Effect    = "Allow"
          Principal = { Service = "fargate.amazonaws.com" }
          Action    = "kms:CreateGrant"
          Resource  = "*"
          Condition = { StringEquals = local.cluster, "ForAllValues:StringEquals" = { "kms:GrantOperations" = ["Decrypt"] } }
        },
      ],
      [for service, condition in local.services : {
        Sid       = "ServiceUsesKey${replace(title(split(".", service)[0]), "-", "")}"
        Effect    = "Allow"
        Principal = { Service = service }
        Action    = ["kms:Encrypt", "kms:Decrypt", "kms:GenerateDataKey", "kms:ReEncryptFrom", "kms:ReEncryptTo", "kms:DescribeKey"]
        Resource  = "*"
        Condition = condition
      }],
    )
  })
}

resource "aws_kms_alias" "this" {
  name          = "alias/${var.context.name}"
  target_key_id = aws_kms_key.this.key_id
}
