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

variable "bucket" {
  description = "Name of the bucket; unique in all of AWS."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{1,53}[a-z0-9]$", var.bucket))
    error_message = "bucket is 3 to 55 lower-case letters, digits and hyphens: a copy adds `-replica`."
  }
}

variable "prefix" {
  description = "Folder of the zones in the bucket; empty for the bucket itself."
  type        = string
  default     = ""

  validation {
    condition     = !startswith(var.prefix, "/") && !endswith(var.prefix, "/")
    error_message = "prefix has no slash at its ends."
  }
}

variable "table_names" {
  description = "Source tables: each has a folder in landing and staging."
  type        = list(string)
}

variable "noncurrent_days" {
  description = "Days in which a deleted or replaced object can be brought back."
  type        = number
  default     = 30

  validation {
    condition     = var.noncurrent_days >= 7
    error_message = "noncurrent_days is at least 7: a mistake of Friday must be undone on Monday."
  }
}

variable "archive_after_days" {
  description = "Age at which data files of staging move to Glacier Instant Retrieval; null: never."
  type        = number
  default     = null

  validation {
    condition     = var.archive_after_days == null ? true : var.archive_after_days >= 30
    error_message = "archive_after_days is at least 30: younger files are read by builds."
  }
}

variable "replica_region" {
  description = "Region of a copy of the lake; null: none."
  type        = string
  default     = null

  validation {
    condition     = var.replica_region != var.context.region
    error_message = "replica_region is another region than the lake's."
  }
}

variable "replication_role_arn" {
  description = "Role that copies; null without a copy."
  type        = string
  default     = null
}

variable "force_destroy" {
  description = "Whether destroying the environment deletes the data with it."
  type        = bool
  default     = false
}
