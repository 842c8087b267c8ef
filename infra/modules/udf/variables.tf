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

variable "package" {
  description = "Zip with the binary `bootstrap` for arm64: bucket and key. Null: no function is made."
  type = object({
    bucket = string
    key    = string
  })
  default = null

  validation {
    condition     = var.package == null ? true : endswith(var.package.key, ".zip")
    error_message = "package.key names a .zip file."
  }
}

variable "function_name" {
  description = "Name by which the warehouse's SQL calls it."
  type        = string
  default     = "weir-cdc-avro-to-json"

  validation {
    condition     = can(regex("^[a-z0-9-]{1,64}$", var.function_name))
    error_message = "function_name is lower-case letters, digits and hyphens."
  }
}

variable "registry" {
  description = "Where schemas are: `glue:<name>`, or the URL of a Confluent registry, in which references to secrets may stand."
  type        = string
}

variable "memory_mb" {
  description = "Memory, which also sets the share of a processor."
  type        = number
  default     = 1024

  validation {
    condition     = var.memory_mb >= 128 && var.memory_mb <= 10240
    error_message = "Lambda takes 128 to 10240 MB."
  }
}

variable "concurrency" {
  description = "Calls at one time; more wait, and Redshift tries again."
  type        = number
  default     = 20

  validation {
    condition     = var.concurrency >= 1
    error_message = "concurrency is at least 1: 0 would stop the function."
  }
}

variable "role_arn" {
  description = "Role of the function."
  type        = string
}

variable "subnet_ids" {
  description = "Private subnets."
  type        = list(string)
}

variable "security_group_id" {
  description = "Security group of the function."
  type        = string
}

variable "log_group_name" {
  description = "Log group of the function."
  type        = string
}
