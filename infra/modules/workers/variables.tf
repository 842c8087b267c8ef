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

variable "image" {
  description = "Image of Weir with the pipeline's files, by digest."
  type        = string

  validation {
    condition     = can(regex("@sha256:[0-9a-f]{64}$", var.image))
    error_message = "image ends in @sha256:<digest>: a tag can be moved."
  }
}

variable "stream" {
  description = "Size of `weir stream`, its tasks at least and at most, and the records behind that one task is for."
  type = object({
    cpu              = number
    memory_mib       = number
    disk_gib         = optional(number, 21)
    min_tasks        = optional(number, 1)
    max_tasks        = optional(number, 1)
    backlog_per_task = optional(number, 100000)
  })

  validation {
    condition     = contains([256, 512, 1024, 2048, 4096, 8192, 16384], var.stream.cpu)
    error_message = "stream.cpu is a size of Fargate: 256, 512, 1024, 2048, 4096, 8192 or 16384."
  }

  validation {
    condition     = var.stream.min_tasks >= 1 && var.stream.min_tasks <= var.stream.max_tasks
    error_message = "stream.min_tasks is at least 1 and at most stream.max_tasks."
  }

  validation {
    condition     = var.stream.max_tasks <= var.partitions
    error_message = "stream.max_tasks is at most the number of partitions: a further task would have nothing to read."
  }
}

variable "build" {
  description = "Size and schedule of `weir build`."
  type = object({
    cpu             = number
    memory_mib      = number
    disk_gib        = optional(number, 50)
    schedule        = string
    timeout_minutes = optional(number, 60)
    retries         = optional(number, 3)
  })

  validation {
    condition     = contains([256, 512, 1024, 2048, 4096, 8192, 16384], var.build.cpu)
    error_message = "build.cpu is a size of Fargate: 256, 512, 1024, 2048, 4096, 8192 or 16384."
  }

  validation {
    condition     = can(regex("^(rate|cron)\\(.+\\)$", var.build.schedule))
    error_message = "build.schedule is rate(..) or cron(..)."
  }

  validation {
    condition     = var.build.disk_gib >= 21 && var.build.disk_gib <= 200
    error_message = "build.disk_gib is between 21 and 200."
  }
}

variable "partitions" {
  description = "Partitions of a topic."
  type        = number
}

variable "tables" {
  description = "Topics that `weir stream` reads, each with the group that shares it."
  type        = list(object({ topic = string, consumer_group = string }))

  validation {
    condition     = length(var.tables) > 0 && length(var.tables) <= 8
    error_message = "tables lists 1 to 8 tables: a scaling policy takes ten metrics."
  }
}

variable "environment" {
  description = "Variables of the containers."
  type        = map(string)
}

variable "glue_job" {
  description = "The build as a Glue Python-shell job beside the scheduled one: script, wheel, security configuration; null: none."
  type = object({
    script                 = string
    wheel                  = string
    security_configuration = string
  })
  default = null

  validation {
    condition     = var.glue_job == null ? true : startswith(var.glue_job.script, "s3://") && endswith(var.glue_job.wheel, ".whl")
    error_message = "glue_job.script is on S3, glue_job.wheel is a wheel."
  }
}

variable "role_arns" {
  description = "Roles: stream, build, execution, states, scheduler."
  type        = map(string)

  validation {
    condition     = alltrue([for job in ["stream", "build", "execution", "states", "scheduler"] : contains(keys(var.role_arns), job)])
    error_message = "role_arns lacks one of stream, build, execution, states, scheduler."
  }
}

variable "subnet_ids" {
  description = "Private subnets."
  type        = list(string)
}

variable "security_group_id" {
  description = "Security group of the tasks."
  type        = string
}

variable "log_group_names" {
  description = "Log groups of stream and build."
  type        = map(string)
}
