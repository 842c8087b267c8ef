variable "context" {
  description = "Name that every resource begins with, account, region, tags of everything."
  type = object({
    name       = string
    account_id = string
    region     = string
    tags       = map(string)
  })
}

variable "kms_key_arn" {
  description = "Key that encrypts what is stored here."
  type        = string
}

variable "database" {
  description = "Name of the database."
  type        = string
}

variable "serverless" {
  description = "A serverless workgroup: capacity in RPU, hours a month, and what happens at the limit (log, emit-metric, deactivate)."
  type = object({
    base_rpu          = number
    max_rpu           = number
    monthly_rpu_hours = number
    at_limit          = optional(string, "emit-metric")
  })
  default = null

  validation {
    condition     = (var.serverless == null) != (var.provisioned == null)
    error_message = "Exactly one of serverless and provisioned is set."
  }

  validation {
    condition     = var.serverless == null ? true : (var.serverless.base_rpu == 4 || var.serverless.base_rpu % 8 == 0) && var.serverless.base_rpu <= var.serverless.max_rpu
    error_message = "serverless.base_rpu is 4 or a multiple of 8, and at most max_rpu."
  }

  validation {
    condition     = var.serverless == null ? true : contains(["log", "emit-metric", "deactivate"], var.serverless.at_limit)
    error_message = "serverless.at_limit is log, emit-metric or deactivate."
  }
}

variable "provisioned" {
  description = "A cluster: nodes, several zones, clusters of concurrency scaling with their minutes a day, resizes by schedule, copies of snapshots."
  type = object({
    node_type                 = string
    nodes                     = number
    multi_az                  = optional(bool, true)
    concurrency_clusters      = optional(number, 1)
    concurrency_minutes_daily = optional(number, 60)
    resizes                   = optional(list(object({ name = string, schedule = string, nodes = number })), [])
    snapshot_copy             = optional(object({ region = string, grant_name = string }))
  })
  default = null

  validation {
    condition     = var.provisioned == null ? true : can(regex("^(ra3|rg)\\.", var.provisioned.node_type)) && var.provisioned.nodes >= 2
    error_message = "provisioned.node_type is an RA3 or RG type with at least 2 nodes."
  }

  validation {
    condition     = var.provisioned == null ? true : var.provisioned.concurrency_clusters >= 0 && var.provisioned.concurrency_clusters <= 10
    error_message = "provisioned.concurrency_clusters is between 0 and 10."
  }
}

variable "snapshot_days" {
  description = "Days that snapshots are kept."
  type        = number
  default     = 7

  validation {
    condition     = var.snapshot_days >= 1 && var.snapshot_days <= 35
    error_message = "snapshot_days is between 1 and 35."
  }
}

variable "views" {
  description = "Streaming views, from the pipeline."
  type        = list(string)
}

variable "refresh_views" {
  description = "Whether a schedule refreshes the views; true once they have been created."
  type        = bool
  default     = false
}

variable "refresh_minutes" {
  description = "Minutes between two refreshes; a serverless workgroup that is asked every minute never idles."
  type        = number

  validation {
    condition     = var.refresh_minutes >= 1
    error_message = "refresh_minutes is at least 1, the floor of EventBridge Scheduler."
  }
}

variable "role_arn" {
  description = "Role by which Redshift reads lake and topics and calls the Lambda function."
  type        = string
}

variable "scheduler_role_arn" {
  description = "Role of the schedules."
  type        = string
}

variable "resize_role_arn" {
  description = "Role that resizes the cluster by schedule; null without one."
  type        = string
  default     = null
}

variable "subnet_ids" {
  description = "Private subnets."
  type        = list(string)

  validation {
    condition     = length(var.subnet_ids) >= 3
    error_message = "Redshift over several zones, and Serverless, take three subnets."
  }
}

variable "security_group_id" {
  description = "Security group of the warehouse."
  type        = string
}
