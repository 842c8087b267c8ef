# An example: replace every value.
account_id       = "111122223333"
region           = "eu-central-1"
owner            = "data-platform@example.com"
alarm_emails     = ["data-platform@example.com"]
image            = "111122223333.dkr.ecr.eu-central-1.amazonaws.com/retail@sha256:0000000000000000000000000000000000000000000000000000000000000000"
connector_plugin = "debezium-sqlserver-3.4.0.zip"
source_database  = { host = "sql.dev.example.com", cidr = "10.200.0.0/24" }
