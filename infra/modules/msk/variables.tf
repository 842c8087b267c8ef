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

variable "kind" {
  description = "provisioned: brokers of the size below; serverless: no brokers to size, IAM only, encrypted by AWS's own key."
  type        = string
  default     = "provisioned"

  validation {
    condition     = contains(["provisioned", "serverless"], var.kind)
    error_message = "kind is provisioned or serverless."
  }
}

variable "kafka_version" {
  description = "Version of Kafka."
  type        = string
  default     = "3.9.x"

  validation {
    condition     = can(regex("^(3\\.[89]\\.|4\\.[0-9]+\\.)", var.kafka_version))
    error_message = "kafka_version is 3.8 or later: older ones are past AWS's support."
  }
}

variable "brokers" {
  description = "Brokers of a provisioned cluster: number (a multiple of the zones), type, volume and its limit in GiB, monitoring level."
  type = object({
    count          = number
    instance_type  = string
    volume_gib     = number
    max_volume_gib = number
    monitoring     = optional(string, "DEFAULT")
  })

  validation {
    condition     = var.brokers.count % length(var.subnet_ids) == 0 && var.brokers.count >= 3
    error_message = "brokers.count is a multiple of the zones and at least 3: min.insync.replicas=2 must survive the loss of one."
  }

  validation {
    condition     = var.brokers.volume_gib <= var.brokers.max_volume_gib && var.brokers.max_volume_gib <= 16384
    error_message = "brokers.volume_gib <= brokers.max_volume_gib <= 16384."
  }

  validation {
    condition     = contains(["DEFAULT", "PER_BROKER", "PER_TOPIC_PER_BROKER", "PER_TOPIC_PER_PARTITION"], var.brokers.monitoring)
    error_message = "brokers.monitoring is a level that MSK knows."
  }
}

variable "partitions" {
  description = "Partitions of a topic that is created without a number."
  type        = number

  validation {
    condition     = var.partitions >= 1 && var.partitions <= 1000
    error_message = "partitions is between 1 and 1000."
  }
}

variable "retention_ms" {
  description = "How long a topic keeps records, counted from arrival."
  type        = number

  validation {
    condition     = var.retention_ms >= 86400000
    error_message = "retention_ms is at least a day: a stop over a night must lose nothing."
  }
}

variable "subnet_ids" {
  description = "Private subnets, one per zone."
  type        = list(string)

  validation {
    condition     = length(var.subnet_ids) >= 2
    error_message = "MSK stands in at least two zones."
  }
}

variable "security_group_id" {
  description = "Security group of the brokers."
  type        = string
}

variable "log_group_name" {
  description = "Log group of the brokers."
  type        = string
}
