mock_provider "aws" {
  mock_resource "aws_cloudwatch_log_group" {
    defaults = { arn = "arn:aws:logs:eu-central-1:111122223333:log-group:flow" }
  }
}

variables {
  context = {
    name       = "shop-qa"
    account_id = "111122223333"
    region     = "eu-central-1"
    tags       = { project = "shop", environment = "qa", owner = "tests" }
  }
  kms_key_arn = "arn:aws:kms:eu-central-1:111122223333:key/11111111-2222-3333-4444-555555555555"

  cidr              = "10.20.0.0/16"
  zones             = ["eu-central-1a", "eu-central-1b", "eu-central-1c"]
  nat_gateways      = 2
  source_database   = { cidr = "10.200.0.0/24" }
  flow_log_role_arn = "arn:aws:iam::111122223333:role/shop-qa-flow"
}

run "every_private_subnet_reaches_every_endpoint" {
  assert {
    condition = alltrue([for endpoint in aws_vpc_endpoint.interface :
    toset(endpoint.subnet_ids) == toset([for subnet in aws_subnet.private : subnet.id])])
    error_message = "A private subnet has no way to an interface endpoint."
  }

  assert {
    condition     = toset(aws_vpc_endpoint.s3.route_table_ids) == toset([for table in aws_route_table.private : table.id])
    error_message = "A private subnet has no route to S3's endpoint."
  }

  assert {
    condition     = alltrue([for zone, association in aws_route_table_association.private : association.subnet_id == aws_subnet.private[zone].id])
    error_message = "A private subnet has no route table of its zone."
  }
}

run "a_zone_without_a_gateway_takes_the_last_one" {
  assert {
    condition     = length(aws_nat_gateway.this) == 2 && aws_route.nat["eu-central-1c"].nat_gateway_id == aws_nat_gateway.this["eu-central-1b"].id
    error_message = "Zone c has no way out."
  }
}

run "only_the_flows_of_the_table_are_open" {
  command = plan

  assert {
    condition     = toset([for rule in aws_vpc_security_group_ingress_rule.flow : rule.from_port]) == toset([443, 5439, 9098])
    error_message = "A port beside IAM Kafka, the warehouse and the endpoints is open."
  }

  assert {
    condition     = [for rule in aws_vpc_security_group_egress_rule.outward : rule.cidr_ipv4] == ["10.200.0.0/24"]
    error_message = "Something beside the source is reached outside."
  }
}

run "refuses_to_leave_out_an_endpoint_that_workers_need" {
  command = plan
  variables { endpoint_services = ["sts"] }
  expect_failures = [var.endpoint_services]
}

run "refuses_the_internet_as_source" {
  command = plan
  variables { source_database = { cidr = "0.0.0.0/0" } }
  expect_failures = [var.source_database]
}
