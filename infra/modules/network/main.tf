# Brokers, workers, connector and warehouse stand in private subnets; public ones hold NAT gateways and nothing else.

locals {
  zones        = { for index, zone in var.zones : zone => index }
  nat_zones    = slice(var.zones, 0, var.nat_gateways)
  private_ids  = [for zone in var.zones : aws_subnet.private[zone].id]
  service_path = "com.amazonaws.${var.context.region}"
}

resource "aws_vpc" "this" {
  cidr_block           = var.cidr
  enable_dns_support   = true
  enable_dns_hostnames = true
  tags                 = merge(var.context.tags, { Name = var.context.name })
}

# The group that AWS makes with a VPC admits its members to each other: without rules nobody can use it by mistake.
resource "aws_default_security_group" "this" {
  vpc_id = aws_vpc.this.id
  tags   = merge(var.context.tags, { Name = "${var.context.name}-unused" })
}

resource "aws_subnet" "public" {
  for_each = local.zones

  vpc_id                  = aws_vpc.this.id
  availability_zone       = each.key
  cidr_block              = cidrsubnet(var.cidr, 4, each.value)
  map_public_ip_on_launch = false
  tags                    = merge(var.context.tags, { Name = "${var.context.name}-public-${each.key}" })
}

resource "aws_subnet" "private" {
  for_each = local.zones

  vpc_id                  = aws_vpc.this.id
  availability_zone       = each.key
  cidr_block              = cidrsubnet(var.cidr, 4, each.value + 8)
  map_public_ip_on_launch = false
  tags                    = merge(var.context.tags, { Name = "${var.context.name}-private-${each.key}" })
}

# --- the way out ---------------------------------------------------------------------------------------------------

resource "aws_internet_gateway" "this" {
  vpc_id = aws_vpc.this.id
  tags   = merge(var.context.tags, { Name = var.context.name })
}

resource "aws_route_table" "public" {
  vpc_id = aws_vpc.this.id
  tags   = merge(var.context.tags, { Name = "${var.context.name}-public" })
}

resource "aws_route" "internet" {
  route_table_id         = aws_route_table.public.id
  destination_cidr_block = "0.0.0.0/0"
  gateway_id             = aws_internet_gateway.this.id
}

resource "aws_route_table_association" "public" {
  for_each = local.zones

  subnet_id      = aws_subnet.public[each.key].id
  route_table_id = aws_route_table.public.id
}

resource "aws_eip" "nat" {
  for_each = toset(local.nat_zones)

  domain = "vpc"
  tags   = merge(var.context.tags, { Name = "${var.context.name}-nat-${each.key}" })
}

resource "aws_nat_gateway" "this" {
  for_each = toset(local.nat_zones)

  subnet_id     = aws_subnet.public[each.key].id
  allocation_id = aws_eip.nat[each.key].id
  tags          = merge(var.context.tags, { Name = "${var.context.name}-${each.key}" })

  depends_on = [aws_internet_gateway.this]
}

resource "aws_route_table" "private" {
  for_each = local.zones

  vpc_id = aws_vpc.this.id
  tags   = merge(var.context.tags, { Name = "${var.context.name}-private-${each.key}" })
}

resource "aws_route_table_association" "private" {
  for_each = local.zones

  subnet_id      = aws_subnet.private[each.key].id
  route_table_id = aws_route_table.private[each.key].id
}

# A zone without a gateway of its own takes the last one.
resource "aws_route" "nat" {
  for_each = var.nat_gateways == 0 ? {} : local.zones

  route_table_id         = aws_route_table.private[each.key].id
  destination_cidr_block = "0.0.0.0/0"
  nat_gateway_id         = aws_nat_gateway.this[local.nat_zones[min(each.value, var.nat_gateways - 1)]].id
}

# --- the way to the source -----------------------------------------------------------------------------------------

resource "aws_ec2_transit_gateway_vpc_attachment" "source" {
  count = var.source_database.transit_gateway_id == null ? 0 : 1

  transit_gateway_id = var.source_database.transit_gateway_id
  vpc_id             = aws_vpc.this.id
  subnet_ids         = local.private_ids
  tags               = merge(var.context.tags, { Name = "${var.context.name}-source" })
}

resource "aws_route" "source" {
  for_each = var.source_database.transit_gateway_id == null ? {} : local.zones

  route_table_id         = aws_route_table.private[each.key].id
  destination_cidr_block = var.source_database.cidr
  transit_gateway_id     = aws_ec2_transit_gateway_vpc_attachment.source[0].transit_gateway_id
}

# --- endpoints: AWS is reached without the internet ----------------------------------------------------------------

resource "aws_vpc_endpoint" "s3" {
  vpc_id            = aws_vpc.this.id
  service_name      = "${local.service_path}.s3"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = [for zone in var.zones : aws_route_table.private[zone].id]
  tags              = merge(var.context.tags, { Name = "${var.context.name}-s3" })
}

resource "aws_vpc_endpoint" "interface" {
  for_each = var.endpoint_services

  vpc_id              = aws_vpc.this.id
  service_name        = "${local.service_path}.${each.key}"
  vpc_endpoint_type   = "Interface"
  private_dns_enabled = true
  subnet_ids          = local.private_ids
  security_group_ids  = [aws_security_group.this["endpoints"].id]
  tags                = merge(var.context.tags, { Name = "${var.context.name}-${each.key}" })
}

# --- flow log ------------------------------------------------------------------------------------------------------

resource "aws_cloudwatch_log_group" "flow" {
  name              = "/weir/${var.context.name}/flow"
  retention_in_days = var.flow_log_days
  kms_key_id        = var.kms_key_arn
  tags              = var.context.tags
}

resource "aws_flow_log" "this" {
  vpc_id               = aws_vpc.this.id
  traffic_type         = "REJECT"
  log_destination_type = "cloud-watch-logs"
  log_destination      = aws_cloudwatch_log_group.flow.arn
  iam_role_arn         = var.flow_log_role_arn
  tags                 = var.context.tags
}

# --- who may open a connection to whom: this table, and nothing else -------------------------------------------------

locals {
  parts = toset(["msk", "connect", "workers", "warehouse", "udf", "endpoints"])

  flows = {
    connect_to_msk       = { from = "connect", to = "msk", port = 9098 }
    workers_to_msk       = { from = "workers", to = "msk", port = 9098 }
    warehouse_to_msk     = { from = "warehouse", to = "msk", port = 9098 }
    workers_to_warehouse = { from = "workers", to = "warehouse", port = 5439 }

    connect_to_endpoints   = { from = "connect", to = "endpoints", port = 443 }
    workers_to_endpoints   = { from = "workers", to = "endpoints", port = 443 }
    warehouse_to_endpoints = { from = "warehouse", to = "endpoints", port = 443 }
    udf_to_endpoints       = { from = "udf", to = "endpoints", port = 443 }
  }

  outward = merge(
    { connect_to_source = { from = "connect", cidr = var.source_database.cidr, port = var.source_database.port } },
    # A Confluent registry stands outside; Glue's is behind an endpoint.
    { for pair in setproduct(["connect", "workers", "udf"], var.registry_cidrs) :
    "${pair[0]}_to_registry_${pair[1]}" => { from = pair[0], cidr = pair[1], port = 443 } },
  )
}

resource "aws_security_group" "this" {
  for_each = local.parts

  name        = "${var.context.name}-${each.key}"
  description = "${each.key} of ${var.context.name}"
  vpc_id      = aws_vpc.this.id
  tags        = merge(var.context.tags, { Name = "${var.context.name}-${each.key}" })
}

resource "aws_vpc_security_group_ingress_rule" "flow" {
  for_each = local.flows

  description                  = each.key
  security_group_id            = aws_security_group.this[each.value.to].id
  referenced_security_group_id = aws_security_group.this[each.value.from].id
  ip_protocol                  = "tcp"
  from_port                    = each.value.port
  to_port                      = each.value.port
  tags                         = var.context.tags
}

resource "aws_vpc_security_group_egress_rule" "flow" {
  for_each = local.flows

  description                  = each.key
  security_group_id            = aws_security_group.this[each.value.from].id
  referenced_security_group_id = aws_security_group.this[each.value.to].id
  ip_protocol                  = "tcp"
  from_port                    = each.value.port
  to_port                      = each.value.port
  tags                         = var.context.tags
}

resource "aws_vpc_security_group_egress_rule" "outward" {
  for_each = local.outward

  description       = each.key
  security_group_id = aws_security_group.this[each.value.from].id
  cidr_ipv4         = each.value.cidr
  ip_protocol       = "tcp"
  from_port         = each.value.port
  to_port           = each.value.port
  tags              = var.context.tags
}

resource "aws_vpc_security_group_egress_rule" "s3" {
  for_each = toset(["connect", "workers", "warehouse", "udf"])

  description       = "${each.key}_to_s3"
  security_group_id = aws_security_group.this[each.key].id
  prefix_list_id    = aws_vpc_endpoint.s3.prefix_list_id
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  tags              = var.context.tags
}
