variable "pipeline" {
  description = "What the pipeline's own files say: written by `weir config tfvars`, never by hand."
  type = object({
    name            = string
    environment     = string
    partitions      = number
    retention_ms    = number
    refresh_minutes = number
    lake_bucket     = string
    lake_prefix     = string
    secrets         = map(object({ secrets = list(string), parameters = list(string) }))
    tables = list(object({
      name           = string
      topic          = string
      consumer_group = string
      connector      = string
      server         = string
      database       = string
      schema         = string
      view           = string
    }))
  })

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,15}$", var.pipeline.name))
    error_message = "The pipeline's name is 3 to 16 lower-case letters, digits and hyphens: names of AWS resources begin with it."
  }
}

variable "account_id" {
  description = "AWS account."
  type        = string

  validation {
    condition     = can(regex("^[0-9]{12}$", var.account_id))
    error_message = "account_id is 12 digits."
  }
}

variable "region" {
  description = "AWS region."
  type        = string

  validation {
    condition     = can(regex("^[a-z]{2}-[a-z]+-[0-9]$", var.region))
    error_message = "region is written as eu-central-1."
  }
}

variable "owner" {
  description = "Who answers for it; a tag."
  type        = string
}

variable "alarm_emails" {
  description = "Who is told of alarms."
  type        = set(string)
}

variable "image" {
  description = "Image of Weir with the pipeline's files, by digest."
  type        = string
}

variable "source_database" {
  description = "The SQL Server: host, port, its addresses, and the transit gateway that leads there."
  type = object({
    host               = string
    cidr               = string
    port               = optional(number, 1433)
    transit_gateway_id = optional(string)
  })
}

variable "connector_plugin" {
  description = "Key of the connector's zip in the bucket of artifacts."
  type        = string
}

variable "function_package" {
  description = "Key of the Lambda function's zip in the bucket of artifacts; null: no function."
  type        = string
  default     = null
}

variable "function_name" {
  description = "Name of the Lambda function; the warehouse's SQL calls this one."
  type        = string
  default     = "weir-cdc-avro-to-json"
}

variable "registry" {
  description = "Schema registry: glue, or confluent with its URL, its addresses, and the secret with `username` and `password` for the function that decodes."
  type = object({
    kind   = string
    url    = optional(string)
    cidrs  = optional(set(string), [])
    secret = optional(string)
  })
  default = { kind = "glue" }
}

variable "readers" {
  description = "Who reads the lake by the catalog: name => role ARN."
  type        = map(string)
  default     = {}
}

variable "network" {
  description = "Addresses, zones (letters behind the region's name) and NAT gateways."
  type = object({
    cidr         = string
    zones        = optional(list(string), ["a", "b", "c"])
    nat_gateways = optional(number, 0)
  })
}

variable "stream" {
  description = "MSK: kind, brokers; size of the connector."
  type = object({
    kind = optional(string, "provisioned")
    brokers = optional(object({
      count          = number
      instance_type  = string
      volume_gib     = number
      max_volume_gib = number
      monitoring     = optional(string, "DEFAULT")
    }), { count = 3, instance_type = "kafka.t3.small", volume_gib = 20, max_volume_gib = 100 })
    connector_mcu = optional(number, 1)
  })
  default = {}
}

variable "lake" {
  description = "The bucket's rules."
  type = object({
    noncurrent_days    = optional(number, 30)
    archive_after_days = optional(number)
    replica_region     = optional(string)
    force_destroy      = optional(bool, false)
  })
  default = {}
}

variable "crawler" {
  description = "Whether Glue crawlers register landing and staging."
  type        = bool
  default     = false
}

variable "workers" {
  description = "Sizes of stream and build, further variables of the containers, the build as a Glue job beside."
  type = object({
    stream = object({
      cpu              = number
      memory_mib       = number
      disk_gib         = optional(number, 21)
      min_tasks        = optional(number, 1)
      max_tasks        = optional(number, 1)
      backlog_per_task = optional(number, 100000)
    })
    build = object({
      cpu             = number
      memory_mib      = number
      disk_gib        = optional(number, 50)
      schedule        = string
      timeout_minutes = optional(number, 60)
      retries         = optional(number, 3)
    })
    environment = optional(map(string), {})
    glue_job    = optional(object({ script = string, wheel = string }))
  })

  validation {
    condition     = !contains(keys(var.workers.environment), "WEIR__LAKE__ROOT")
    error_message = "The lake's root comes with the pipeline: the names of the consumer groups are made of it."
  }
}

variable "warehouse" {
  description = "Redshift: exactly one of serverless and provisioned."
  type = object({
    serverless = optional(object({
      base_rpu          = number
      max_rpu           = number
      monthly_rpu_hours = number
      at_limit          = optional(string, "emit-metric")
    }))
    provisioned = optional(object({
      node_type                 = string
      nodes                     = number
      multi_az                  = optional(bool, true)
      concurrency_clusters      = optional(number, 1)
      concurrency_minutes_daily = optional(number, 60)
      resizes                   = optional(list(object({ name = string, schedule = string, nodes = number })), [])
      snapshot_copy             = optional(object({ region = string, grant_name = string }))
    }))
    snapshot_days = optional(number, 7)
    refresh_views = optional(bool, false)
  })
}

variable "thresholds" {
  description = "Where alarms ring; see module monitoring."
  type        = map(number)
  default     = {}
}
