# An example: replace every value.
name       = "retail"
account_id = "111122223333"
region     = "eu-central-1"
repository = "example/weir"
owner      = "data-platform@example.com"
