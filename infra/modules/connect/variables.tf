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

variable "tables" {
  description = "Source tables: where each stands and the topic that carries its changes."
  type = list(object({
    name      = string
    topic     = string
    connector = string
    server    = string
    database  = string
    schema    = string
  }))

  validation {
    condition     = length(var.tables) > 0 && length(distinct(var.tables[*].topic)) == length(var.tables)
    error_message = "tables lists at least one table, each with a topic of its own."
  }

  validation {
    condition     = alltrue([for table in var.tables : table.connector == "sqlserver"])
    error_message = "This module runs Debezium's SQL Server connector; the topics of another one come from elsewhere."
  }
}

variable "source_database" {
  description = "Address of the SQL Server."
  type = object({
    host = string
    port = optional(number, 1433)
  })
}

variable "plugin" {
  description = "Zip with connector, Avro converter and Secrets Manager provider: bucket and key. A new version is a new key."
  type = object({
    bucket = string
    key    = string
  })

  validation {
    condition     = endswith(var.plugin.key, ".zip")
    error_message = "plugin.key names a .zip file."
  }
}

variable "converter" {
  description = "Settings of the converter, from module registry."
  type        = map(string)
}

variable "kafkaconnect_version" {
  description = "Version of Kafka Connect."
  type        = string
  default     = "3.7.x"

  validation {
    condition     = contains(["2.7.1", "3.7.x"], var.kafkaconnect_version)
    error_message = "MSK Connect knows 2.7.1 and 3.7.x."
  }
}

variable "mcu_count" {
  description = "Size of the worker: 1 MCU is 1 vCPU and 4 GiB."
  type        = number
  default     = 1

  validation {
    condition     = contains([1, 2, 4, 8], var.mcu_count)
    error_message = "mcu_count is 1, 2, 4 or 8."
  }
}

variable "partitions" {
  description = "Partitions of a topic that the connector creates."
  type        = number
}

variable "retention_ms" {
  description = "Retention of a topic that the connector creates."
  type        = number
}

variable "bootstrap_brokers" {
  description = "Brokers, IAM over TLS."
  type        = string
}

variable "role_arn" {
  description = "Role of the connector."
  type        = string
}

variable "subnet_ids" {
  description = "Private subnets."
  type        = list(string)
}

variable "security_group_id" {
  description = "Security group of the connector."
  type        = string
}

variable "log_group_name" {
  description = "Log group of the worker."
  type        = string
}
