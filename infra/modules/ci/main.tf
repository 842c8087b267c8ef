# GitHub's workflows reach AWS by OIDC, without a stored key: one role that plans, and one per environment that applies.

locals {
  issuer = "token.actions.githubusercontent.com"
  state  = "arn:aws:s3:::${var.state_bucket}"

  # Role => jobs that may take it, as GitHub names them.
  trusts = merge(
    {
      plan    = ["repo:${var.repository}:pull_request", "repo:${var.repository}:ref:refs/heads/main"]
      release = ["repo:${var.repository}:environment:release"]
    },
    { for environment in var.environments : "apply-${environment}" => ["repo:${var.repository}:environment:${environment}"] },
  )
}

resource "aws_iam_openid_connect_provider" "github" {
  url            = "https://${local.issuer}"
  client_id_list = ["sts.amazonaws.com"]
  tags           = var.tags
}

resource "aws_iam_role" "github" {
  for_each = local.trusts

  name                 = "${var.name}-${each.key}"
  description          = "GitHub workflows of ${var.repository}: ${each.key}"
  max_session_duration = 7200 # a cluster takes its time
  tags                 = var.tags

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Federated = "arn:aws:iam::${var.account_id}:oidc-provider/${local.issuer}" }
      Action    = "sts:AssumeRoleWithWebIdentity"
      Condition = { StringEquals = { "${local.issuer}:aud" = "sts.amazonaws.com", "${local.issuer}:sub" = each.value } }
    }]
  })
}

# --- plan: reads how everything is set up, and no data --------------------------------------------------------------

resource "aws_iam_role_policy_attachment" "plan" {
  role       = aws_iam_role.github["plan"].name
  policy_arn = "arn:aws:iam::aws:policy/ReadOnlyAccess"
}

resource "aws_iam_role_policy" "plan" {
  name = "no-data"
  role = aws_iam_role.github["plan"].name

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid         = "NoObjectsButState"
        Effect      = "Deny"
        Action      = ["s3:GetObject", "s3:GetObjectVersion"]
        NotResource = ["${local.state}/*"]
      },
      {
        Sid      = "NoRowsAndNoSecrets"
        Effect   = "Deny"
        Action   = ["secretsmanager:GetSecretValue", "redshift-data:ExecuteStatement", "kafka-cluster:ReadData", "logs:GetLogEvents", "logs:FilterLogEvents", "logs:StartQuery"]
        Resource = "*"
      },
      {
        Sid       = "ReadState"
        Effect    = "Allow"
        Action    = ["kms:Decrypt"]
        Resource  = ["arn:aws:kms:${var.region}:${var.account_id}:key/*"]
        Condition = { "ForAnyValue:StringEquals" = { "kms:ResourceAliases" = "alias/${var.name}-state" } }
      },
    ]
  })
}

# --- release: brings an image -----------------------------------------------------------------------------------------

resource "aws_iam_role_policy" "release" {
  name = "image"
  role = aws_iam_role.github["release"].name

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "LogInToImages"
        Effect   = "Allow"
        Action   = ["ecr:GetAuthorizationToken"]
        Resource = ["*"]
      },
      {
        Sid    = "PushImage"
        Effect = "Allow"
        Action = [
          "ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:CompleteLayerUpload", "ecr:GetDownloadUrlForLayer",
          "ecr:InitiateLayerUpload", "ecr:PutImage", "ecr:UploadLayerPart",
        ]
        Resource = ["arn:aws:ecr:${var.region}:${var.account_id}:repository/${var.name}"]
      },
    ]
  })
}

# --- apply: makes every service, and roles of this pipeline only ----------------------------------------------------

resource "aws_iam_role_policy_attachment" "apply" {
  for_each = var.environments

  role       = aws_iam_role.github["apply-${each.key}"].name
  policy_arn = "arn:aws:iam::aws:policy/PowerUserAccess"
}

resource "aws_iam_role_policy" "apply" {
  for_each = var.environments

  name = "roles-of-the-pipeline"
  role = aws_iam_role.github["apply-${each.key}"].name

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid    = "RolesOfTheEnvironment"
        Effect = "Allow"
        Action = [
          "iam:CreateRole", "iam:GetRole", "iam:UpdateRole", "iam:DeleteRole", "iam:TagRole", "iam:UntagRole",
          "iam:UpdateAssumeRolePolicy", "iam:PutRolePolicy", "iam:GetRolePolicy", "iam:DeleteRolePolicy", "iam:ListRolePolicies",
          "iam:ListAttachedRolePolicies", "iam:ListInstanceProfilesForRole", "iam:PassRole",
        ]
        Resource = ["arn:aws:iam::${var.account_id}:role/${var.name}-${each.key}-*"]
      },
      {
        Sid      = "ServiceRoles"
        Effect   = "Allow"
        Action   = ["iam:CreateServiceLinkedRole"]
        Resource = ["arn:aws:iam::${var.account_id}:role/aws-service-role/*"]
        Condition = { StringLike = { "iam:AWSServiceName" = [
          "ecs.amazonaws.com", "kafka.amazonaws.com", "kafka.application-autoscaling.amazonaws.com", "kafkaconnect.amazonaws.com",
          "ecs.application-autoscaling.amazonaws.com", "redshift.amazonaws.com",
        ] } }
      },
    ]
  })
}
