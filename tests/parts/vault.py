"""Secrets Manager and Systems Manager of AWS on loopback (moto, a double) until standard input ends. They hold the secret
`shop/registry`, whose text is the first argument, and the parameter `/shop/user`, the second. A line of standard input is the
secret's next text.

usage: vault.py SECRET PARAMETER
"""

import sys

from served import aws, served


def prepare(client) -> dict:
    client("secretsmanager").create_secret(Name="shop/registry", SecretString=sys.argv[1])
    client("ssm").put_parameter(Name="/shop/user", Value=sys.argv[2], Type="SecureString")
    return {}


def told(client, line: str) -> None:
    client("secretsmanager").put_secret_value(SecretId="shop/registry", SecretString=line)


served(aws(), True, prepare, told)
