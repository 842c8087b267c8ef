variable "context" {
  description = "Name that every resource begins with, account, region, tags of everything."
  type = object({
    name       = string
    account_id = string
    region     = string
    tags       = map(string)
  })
}

variable "jobs" {
  description = "Jobs that get a role."
  type        = set(string)
  default     = ["stream", "build", "connect", "redshift", "udf", "execution", "states", "scheduler", "flow"]

  validation {
    condition = length(setsubtract(var.jobs, [
      "stream", "build", "connect", "redshift", "udf", "execution", "states", "scheduler", "flow", "crawler", "replication", "resize",
    ])) == 0
    error_message = "jobs names a job that this module does not know."
  }
}

variable "bucket" {
  description = "Bucket of the lake."
  type        = string
}

variable "prefix" {
  description = "Folder of the zones in the bucket."
  type        = string
  default     = ""
}

variable "tables" {
  description = "Topics of the pipeline, each with the group in which `weir stream` reads it."
  type        = list(object({ topic = string, consumer_group = string }))

  validation {
    condition     = alltrue([for table in var.tables : !strcontains("${table.topic}${table.consumer_group}", "*")])
    error_message = "A topic and its group are named in full."
  }
}

variable "secrets" {
  description = "Secrets and parameters, by name or ARN, that the pipeline's files refer to, for stream, build and udf."
  type        = map(object({ secrets = list(string), parameters = list(string) }))
  default     = { stream = { secrets = [], parameters = [] }, build = { secrets = [], parameters = [] }, udf = { secrets = [], parameters = [] } }

  validation {
    condition     = alltrue([for job in ["stream", "build", "udf"] : contains(keys(var.secrets), job)])
    error_message = "secrets lacks stream, build or udf."
  }

  validation {
    condition     = alltrue(flatten([for kept in values(var.secrets) : [for name in concat(kept.secrets, kept.parameters) : !strcontains(name, "*")]]))
    error_message = "A secret is named in full."
  }
}

variable "image_repository_arn" {
  description = "ECR repository of the image."
  type        = string

  validation {
    condition     = can(regex("^arn:aws:ecr:[a-z0-9-]+:[0-9]{12}:repository/.+$", var.image_repository_arn))
    error_message = "image_repository_arn is the ARN of an ECR repository."
  }
}

variable "function_name" {
  description = "Lambda function that Redshift may call."
  type        = string
}
