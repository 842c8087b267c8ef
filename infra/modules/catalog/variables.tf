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

variable "lake_root" {
  description = "Root of the lake, s3://bucket/prefix."
  type        = string

  validation {
    condition     = can(regex("^s3://[^/]", var.lake_root)) && !endswith(var.lake_root, "/")
    error_message = "lake_root is s3://bucket or s3://bucket/prefix."
  }
}

variable "table_names" {
  description = "Source tables."
  type        = list(string)
}

variable "builder_role_arn" {
  description = "Role of the build, which makes tables."
  type        = string
}

variable "readers" {
  description = "Who may read the lake by the catalog: name => role ARN."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for arn in values(var.readers) : can(regex("^arn:aws:iam::[0-9]{12}:role/", arn))])
    error_message = "readers are roles: a grant to a user or to everybody is not given."
  }
}

variable "readable_zones" {
  description = "Zones that readers see; landing and dead letters hold what the source sent, unchecked."
  type        = set(string)
  default     = ["staging", "curated"]

  validation {
    condition     = length(setsubtract(var.readable_zones, ["landing", "staging", "curated", "quarantine", "deadletter"])) == 0
    error_message = "readable_zones are zones of the lake."
  }
}

variable "crawler" {
  description = "Glue crawlers over landing and staging: role and schedule; null: none."
  type = object({
    role_arn = string
    schedule = optional(string, "cron(0 3 * * ? *)")
  })
  default = null

  validation {
    condition     = var.crawler == null ? true : startswith(var.crawler.schedule, "cron(")
    error_message = "crawler.schedule is cron(..): a run is billed for ten minutes at least."
  }
}
