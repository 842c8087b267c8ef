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

variable "brokers" {
  description = "Brokers of a provisioned cluster; 0 with a serverless one, which has no metrics of brokers."
  type        = number

  validation {
    condition     = var.brokers >= 0
    error_message = "brokers is not negative."
  }
}

variable "tables" {
  description = "Topics of the pipeline, each with the group whose lag MSK reports."
  type        = list(object({ topic = string, consumer_group = string }))
}

variable "connector_names" {
  description = "Connectors of MSK Connect."
  type        = list(string)
}

variable "warehouse" {
  description = "serverless or provisioned."
  type        = string

  validation {
    condition     = contains(["serverless", "provisioned"], var.warehouse)
    error_message = "warehouse is serverless or provisioned."
  }
}

variable "thresholds" {
  description = "Where alarms ring: bytes a second into a broker, records behind, seconds that one has waited, dead letters, repeats and late rows of a table in a minute, minutes of a build, of a load and without a build, seconds of a query, gigabytes and failed queries of the warehouse."
  type = object({
    broker_bytes_in      = optional(number, 10000000)
    lag                  = optional(number, 1000000)
    lag_seconds          = optional(number, 900)
    dead_letters         = optional(number, 1)
    repeats              = optional(number, 100000)
    late_rows            = optional(number, 10000)
    build_minutes        = optional(number, 30)
    load_minutes         = optional(number, 15)
    build_silent_minutes = optional(number, 120)
    query_seconds        = optional(number, 60)
    storage_gb           = optional(number, 500)
    failed_queries       = optional(number, 10)
  })
  default = {}

  validation {
    condition     = alltrue([for threshold in values(var.thresholds) : threshold > 0])
    error_message = "Every threshold is positive: an alarm at 0 never falls silent."
  }
}

variable "alarm_emails" {
  description = "Who is told; each address must confirm once."
  type        = set(string)

  validation {
    condition     = length(var.alarm_emails) > 0 && alltrue([for address in var.alarm_emails : can(regex("^[^@ ]+@[^@ ]+\\.[^@ ]+$", address))])
    error_message = "alarm_emails holds at least one address."
  }
}

variable "log_days" {
  description = "Days that logs are kept."
  type        = number
  default     = 30

  validation {
    condition     = contains([7, 14, 30, 60, 90, 120, 150, 180, 365, 400], var.log_days)
    error_message = "log_days is 7, 14, 30, 60, 90, 120, 150, 180, 365 or 400."
  }
}
