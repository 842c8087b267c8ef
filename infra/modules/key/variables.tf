variable "context" {
  description = "Name that every resource begins with, account, region, tags of everything."
  type = object({
    name       = string
    account_id = string
    region     = string
    tags       = map(string)
  })
}

variable "deletion_window_days" {
  description = "Days in which a scheduled deletion of the key can be taken back."
  type        = number
  default     = 30

  validation {
    condition     = var.deletion_window_days >= 7 && var.deletion_window_days <= 30
    error_message = "AWS takes 7 to 30 days."
  }
}
