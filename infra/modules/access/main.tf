# One role per job. ARNs are put together from names, so that a plan shows every policy in full.

locals {
  id     = "${var.context.region}:${var.context.account_id}"
  name   = var.context.name
  bucket = "arn:aws:s3:::${var.bucket}"
  lake   = var.prefix == "" ? local.bucket : "${local.bucket}/${var.prefix}"

  cluster = "arn:aws:kafka:${local.id}:cluster/${local.name}/*"
  topics  = [for table in var.tables : "arn:aws:kafka:${local.id}:topic/${local.name}/*/${table.topic}"]
  groups  = [for table in var.tables : "arn:aws:kafka:${local.id}:group/${local.name}/*/${table.consumer_group}"]
  logs    = "arn:aws:logs:${local.id}:log-group:/weir/${local.name}"

  # What the pipeline's files refer to, by the job that looks it up; six characters end a secret's ARN.
  read_secrets = { for job, kept in var.secrets : job => [for statement in [
    { Sid = "ReadSecrets", Action = ["secretsmanager:GetSecretValue"], Resource = [for name in kept.secrets : startswith(name, "arn:") ? name : "arn:aws:secretsmanager:${local.id}:secret:${name}-??????"], Condition = {} },
    { Sid = "ReadParameters", Action = ["ssm:GetParameter"], Resource = [for name in kept.parameters : startswith(name, "arn:") ? name : "arn:aws:ssm:${local.id}:parameter/${trimprefix(name, "/")}"], Condition = {} },
  ] : statement if length(statement.Resource) > 0] }

  use_key = {
    Sid       = "UseKey"
    Action    = ["kms:Decrypt", "kms:GenerateDataKey", "kms:DescribeKey"]
    Resource  = ["arn:aws:kms:${local.id}:key/*"]
    Condition = { "ForAnyValue:StringEquals" = { "kms:ResourceAliases" = "alias/${local.name}" } }
  }

  # The catalog is encrypted by the account's key (module bootstrap).
  use_catalog_key = merge(local.use_key, {
    Sid       = "UseCatalogKey"
    Condition = { "ForAnyValue:StringEquals" = { "kms:ResourceAliases" = "alias/${var.context.tags["project"]}-state" } }
  })

  list_lake = {
    Sid       = "ListLake"
    Action    = ["s3:ListBucket", "s3:GetBucketLocation"]
    Resource  = [local.bucket]
    Condition = {}
  }

  read_topics = [
    { Sid = "Connect", Action = ["kafka-cluster:Connect", "kafka-cluster:DescribeCluster"], Resource = [local.cluster], Condition = {} },
    { Sid = "ReadTopics", Action = ["kafka-cluster:DescribeTopic", "kafka-cluster:DescribeTopicDynamicConfiguration", "kafka-cluster:ReadData"], Resource = local.topics, Condition = {} },
  ]

  join_groups = { Sid = "Groups", Action = ["kafka-cluster:AlterGroup", "kafka-cluster:DescribeGroup"], Resource = local.groups, Condition = {} }

  read_registry = {
    Sid       = "ReadRegistry"
    Action    = ["glue:GetRegistry", "glue:GetSchema", "glue:GetSchemaByDefinition", "glue:GetSchemaVersion"]
    Resource  = ["arn:aws:glue:${local.id}:registry/${local.name}", "arn:aws:glue:${local.id}:schema/${local.name}/*"]
    Condition = {}
  }

  catalog = concat(["arn:aws:glue:${local.id}:catalog"], flatten([for zone in ["landing", "staging", "curated", "quarantine", "deadletter"] : [
    "arn:aws:glue:${local.id}:database/${replace(local.name, "-", "_")}_${zone}",
    "arn:aws:glue:${local.id}:table/${replace(local.name, "-", "_")}_${zone}/*",
  ]]))

  zones = { for zone in ["landing", "staging", "curated", "quarantine", "deadletter", "quality"] : zone => "${local.lake}/${zone}/*" }

  objects = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"]

  # To the groups of these jobs.
  write_logs = { for job, parts in { connect = ["connect"], udf = ["udf"], execution = ["stream", "build"], flow = ["flow"] } : job => {
    Sid       = "WriteLogs"
    Action    = ["logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams"]
    Resource  = [for part in parts : "${local.logs}/${part}:*"]
    Condition = {}
  } }

  # A workgroup's and a namespace's name in an ARN is an id that AWS gives: their tags say whose they are.
  own = { StringEquals = { "aws:ResourceTag/environment" = var.context.tags["environment"], "aws:ResourceTag/project" = var.context.tags["project"] } }

  log_in_cluster = {
    Sid       = "LogInCluster"
    Action    = ["redshift:GetClusterCredentialsWithIAM"]
    Resource  = ["arn:aws:redshift:${local.id}:dbname:${local.name}/*"]
    Condition = {}
  }

  # By name for the cluster; a workgroup's name in an ARN is an id that AWS gives.
  warehouses = ["arn:aws:redshift:${local.id}:cluster:${local.name}", "arn:aws:redshift-serverless:${local.id}:workgroup/*"]

  network_interfaces = {
    # AWS knows no resource for these; they serve a function or task inside a VPC.
    Sid       = "NetworkInterfaces"
    Action    = ["ec2:CreateNetworkInterface", "ec2:DescribeNetworkInterfaces", "ec2:DeleteNetworkInterface", "ec2:DescribeSubnets", "ec2:AssignPrivateIpAddresses", "ec2:UnassignPrivateIpAddresses"]
    Resource  = ["*"]
    Condition = {}
  }

  # Services of which AWS says that they name the account when they take a role.
  names_account = ["ecs-tasks.amazonaws.com", "glue.amazonaws.com", "kafkaconnect.amazonaws.com", "scheduler.amazonaws.com", "states.amazonaws.com", "vpc-flow-logs.amazonaws.com"]

  roles = { for name, role in {
    stream = {
      services = ["ecs-tasks.amazonaws.com"]
      statements = concat(local.read_topics, [
        local.join_groups,
        { Sid = "Land", Action = local.objects, Resource = [local.zones["landing"], local.zones["deadletter"], local.zones["quality"]], Condition = {} },
        local.list_lake, local.use_key, local.read_registry,
      ], local.read_secrets["stream"])
    }

    build = {
      services = ["ecs-tasks.amazonaws.com", "glue.amazonaws.com"]
      statements = concat([
        { Sid = "Build", Action = local.objects, Resource = [for zone in ["landing", "staging", "quarantine", "curated", "quality"] : local.zones[zone]], Condition = {} },
        # The catalog has their tables too.
        { Sid = "RegisterDeadLetters", Action = ["s3:GetObject"], Resource = [local.zones["deadletter"]], Condition = {} },
        { Sid = "RegisterTables", Action = ["glue:GetDatabase", "glue:GetTable", "glue:GetTables", "glue:CreateTable", "glue:UpdateTable", "glue:GetPartitions", "glue:BatchCreatePartition", "glue:BatchDeletePartition"], Resource = local.catalog, Condition = {} },
        { Sid = "LogIn", Action = ["redshift-serverless:GetCredentials"], Resource = ["arn:aws:redshift-serverless:${local.id}:workgroup/*"], Condition = local.own },
        { Sid = "RunStatements", Action = ["redshift-data:ExecuteStatement", "redshift-data:BatchExecuteStatement"], Resource = local.warehouses, Condition = local.own },
        # AWS knows no resource for a statement; it knows whose it is.
        { Sid = "OwnStatements", Action = ["redshift-data:DescribeStatement", "redshift-data:GetStatementResult", "redshift-data:CancelStatement"], Resource = ["*"],
        Condition = { StringEquals = { "redshift-data:statement-owner-iam-userid" = "$${aws:userid}" } } },
        local.log_in_cluster, local.list_lake, local.use_key, local.use_catalog_key,
      ], local.read_secrets["build"])
    }

    connect = {
      services = ["kafkaconnect.amazonaws.com"]
      statements = [
        { Sid = "Connect", Action = ["kafka-cluster:Connect", "kafka-cluster:DescribeCluster", "kafka-cluster:WriteDataIdempotently"], Resource = [local.cluster], Condition = {} },
        { Sid = "WriteTopics", Action = ["kafka-cluster:CreateTopic", "kafka-cluster:DescribeTopic", "kafka-cluster:DescribeTopicDynamicConfiguration", "kafka-cluster:WriteData"],
        Resource = concat(local.topics, ["arn:aws:kafka:${local.id}:topic/${local.name}/*/__debezium-heartbeat.*"]), Condition = {} },
        # Its own offsets, settings and schema history.
        { Sid = "OwnTopics", Action = ["kafka-cluster:CreateTopic", "kafka-cluster:DescribeTopic", "kafka-cluster:DescribeTopicDynamicConfiguration", "kafka-cluster:AlterTopicDynamicConfiguration", "kafka-cluster:WriteData", "kafka-cluster:ReadData"],
        Resource = ["arn:aws:kafka:${local.id}:topic/${local.name}/*/__amazon_msk_connect_*", "arn:aws:kafka:${local.id}:topic/${local.name}/*/*.schema-history"], Condition = {} },
        { Sid = "Groups", Action = ["kafka-cluster:AlterGroup", "kafka-cluster:DescribeGroup"], Resource = ["arn:aws:kafka:${local.id}:group/${local.name}/*/__amazon_msk_connect_*", "arn:aws:kafka:${local.id}:group/${local.name}/*/*-schemahistory"], Condition = {} },
        { Sid = "ReadSecret", Action = ["secretsmanager:GetSecretValue"], Resource = ["arn:aws:secretsmanager:${local.id}:secret:${local.name}/connector-??????"], Condition = {} },
        { Sid = "WriteRegistry", Action = ["glue:CreateSchema", "glue:RegisterSchemaVersion", "glue:PutSchemaVersionMetadata", "glue:QuerySchemaVersionMetadata"], Resource = local.read_registry.Resource, Condition = {} },
        local.read_registry, local.use_key, local.write_logs["connect"],
      ]
    }

    redshift = {
      services = ["redshift.amazonaws.com", "redshift-serverless.amazonaws.com"]
      statements = concat(local.read_topics, [
        # Redshift names its groups itself.
        merge(local.join_groups, { Resource = ["arn:aws:kafka:${local.id}:group/${local.name}/*"] }),
        { Sid = "ReadCurated", Action = ["s3:GetObject"], Resource = [local.zones["curated"]], Condition = {} },
        { Sid = "ReadCatalog", Action = ["glue:GetDatabase", "glue:GetDatabases", "glue:GetTable", "glue:GetTables", "glue:GetPartition", "glue:GetPartitions"], Resource = local.catalog, Condition = {} },
        { Sid = "Decode", Action = ["lambda:InvokeFunction"], Resource = ["arn:aws:lambda:${local.id}:function:${var.function_name}"], Condition = {} },
        local.list_lake, local.use_key, local.use_catalog_key,
      ])
    }

    udf = {
      services   = ["lambda.amazonaws.com"]
      statements = concat([local.read_registry, local.use_key, local.write_logs["udf"], local.network_interfaces], local.read_secrets["udf"])
    }

    # What Fargate does before the program starts.
    execution = {
      services = ["ecs-tasks.amazonaws.com"]
      statements = [
        { Sid = "LogInToImages", Action = ["ecr:GetAuthorizationToken"], Resource = ["*"], Condition = {} },
        { Sid = "PullImage", Action = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"], Resource = [var.image_repository_arn], Condition = {} },
        local.write_logs["execution"], local.use_key,
      ]
    }

    states = {
      services = ["states.amazonaws.com"]
      statements = [
        { Sid = "RunBuild", Action = ["ecs:RunTask"], Resource = ["arn:aws:ecs:${local.id}:task-definition/${local.name}-build:*"], Condition = {} },
        { Sid = "WatchBuild", Action = ["ecs:StopTask", "ecs:DescribeTasks"], Resource = ["arn:aws:ecs:${local.id}:task/${local.name}/*"], Condition = {} },
        { Sid = "HandOnRoles", Action = ["iam:PassRole"], Resource = [for role in ["build", "execution"] : "arn:aws:iam::${var.context.account_id}:role/${local.name}-${role}"],
        Condition = { StringEquals = { "iam:PassedToService" = "ecs-tasks.amazonaws.com" } } },
        { Sid = "WaitForTask", Action = ["events:PutTargets", "events:PutRule", "events:DescribeRule"], Resource = ["arn:aws:events:${local.id}:rule/StepFunctionsGetEventsForECSTaskRule"], Condition = {} },
        # AWS knows no resource for the delivery of a state machine's log.
        { Sid = "DeliverLogs", Action = ["logs:CreateLogDelivery", "logs:GetLogDelivery", "logs:UpdateLogDelivery", "logs:DeleteLogDelivery", "logs:ListLogDeliveries", "logs:PutResourcePolicy", "logs:DescribeResourcePolicies", "logs:DescribeLogGroups"], Resource = ["*"], Condition = {} },
        local.use_key,
      ]
    }

    scheduler = {
      services = ["scheduler.amazonaws.com"]
      statements = [
        { Sid = "StartBuild", Action = ["states:StartExecution"], Resource = ["arn:aws:states:${local.id}:stateMachine:${local.name}-build"], Condition = {} },
        { Sid = "RefreshViews", Action = ["redshift-data:ExecuteStatement"], Resource = local.warehouses, Condition = local.own },
        { Sid = "LogIn", Action = ["redshift-serverless:GetCredentials"], Resource = ["arn:aws:redshift-serverless:${local.id}:workgroup/*"], Condition = local.own },
        { Sid = "Snapshot", Action = ["redshift-serverless:CreateSnapshot"], Resource = ["arn:aws:redshift-serverless:${local.id}:namespace/*"], Condition = local.own },
        local.log_in_cluster, local.use_key,
      ]
    }

    flow = {
      services = ["vpc-flow-logs.amazonaws.com"]
      statements = [
        local.write_logs["flow"],
        # Looking for a group is asked of all of them.
        { Sid = "FindLogGroup", Action = ["logs:DescribeLogGroups"], Resource = ["*"], Condition = {} },
      ]
    }

    crawler = {
      services = ["glue.amazonaws.com"]
      statements = [
        { Sid = "ReadTables", Action = ["s3:GetObject"], Resource = [local.zones["landing"], local.zones["staging"]], Condition = {} },
        { Sid = "WriteCatalog", Action = ["glue:GetDatabase", "glue:GetTable", "glue:GetTables", "glue:CreateTable", "glue:UpdateTable", "glue:GetPartition", "glue:BatchCreatePartition", "glue:BatchGetPartition"], Resource = local.catalog, Condition = {} },
        { Sid = "ReadCrawler", Action = ["glue:GetSecurityConfiguration"], Resource = ["arn:aws:glue:${local.id}:catalog"], Condition = {} },
        { Sid = "WriteLogs", Action = ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents", "logs:AssociateKmsKey"], Resource = ["arn:aws:logs:${local.id}:log-group:/aws-glue/crawlers*"], Condition = {} },
        local.list_lake, local.use_key, local.use_catalog_key,
      ]
    }

    replication = {
      services = ["s3.amazonaws.com"]
      statements = [
        { Sid = "ReadLake", Action = ["s3:GetReplicationConfiguration", "s3:ListBucket"], Resource = [local.bucket], Condition = {} },
        { Sid = "ReadVersions", Action = ["s3:GetObjectVersionForReplication", "s3:GetObjectVersionAcl", "s3:GetObjectVersionTagging"], Resource = ["${local.bucket}/*"], Condition = {} },
        { Sid = "WriteCopy", Action = ["s3:ReplicateObject", "s3:ReplicateDelete", "s3:ReplicateTags"], Resource = ["${local.bucket}-replica/*"], Condition = {} },
        { Sid = "UseKeyOfCopy", Action = ["kms:Encrypt"], Resource = ["arn:aws:kms:*:${var.context.account_id}:key/*"], Condition = local.use_key.Condition },
        local.use_key,
      ]
    }

    resize = {
      services   = ["scheduler.redshift.amazonaws.com"]
      statements = [{ Sid = "Resize", Action = ["redshift:ResizeCluster", "redshift:DescribeClusters"], Resource = ["arn:aws:redshift:${local.id}:cluster:${local.name}"], Condition = {} }]
    }
  } : name => { services = role.services, statements = jsonencode(role.statements) } if contains(var.jobs, name) }
}

resource "aws_iam_role" "job" {
  for_each = local.roles

  name        = "${local.name}-${each.key}"
  description = "Job ${each.key} of ${local.name}"
  tags        = var.context.tags

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [merge(
      { Effect = "Allow", Principal = { Service = each.value.services }, Action = "sts:AssumeRole" },
      length(setsubtract(each.value.services, local.names_account)) > 0 ? {} : { Condition = { StringEquals = { "aws:SourceAccount" = var.context.account_id } } },
    )]
  })
}

resource "aws_iam_role_policy" "job" {
  for_each = local.roles

  name = each.key
  role = aws_iam_role.job[each.key].name

  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [for statement in jsondecode(each.value.statements) : merge({ Effect = "Allow" }, { for key, value in statement : key => value if key != "Condition" || length(value) > 0 })]
  })
}
