variable "name" {
  description = "Name of the pipeline, as in its weir.yaml."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,20}$", var.name))
    error_message = "name is 3 to 21 lower-case letters, digits and hyphens."
  }
}

variable "account_id" {
  description = "AWS account; it makes the buckets' names unique."
  type        = string

  validation {
    condition     = can(regex("^[0-9]{12}$", var.account_id))
    error_message = "account_id is 12 digits."
  }
}

variable "tags" {
  description = "Tags of everything."
  type        = map(string)
}
