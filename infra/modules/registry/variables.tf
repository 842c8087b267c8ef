variable "context" {
  description = "Name that every resource begins with, account, region, tags of everything."
  type = object({
    name       = string
    account_id = string
    region     = string
    tags       = map(string)
  })
}

variable "kind" {
  description = "glue, or confluent for any registry with Confluent's API."
  type        = string

  validation {
    condition     = contains(["glue", "confluent"], var.kind)
    error_message = "kind is glue or confluent."
  }
}

variable "confluent_url" {
  description = "URL of a Confluent registry, without user and password; null with Glue."
  type        = string
  default     = null

  validation {
    condition     = (var.kind == "confluent") == (var.confluent_url != null)
    error_message = "confluent_url is set with kind confluent, and only then."
  }

  validation {
    condition     = var.confluent_url == null || can(regex("^https://[^@]+$", var.confluent_url))
    error_message = "confluent_url begins with https:// and holds no user: that stands in the connector's secret."
  }
}

variable "secret_name" {
  description = "The connector's secret, whose key `registry` holds user:password of a Confluent registry."
  type        = string
}
