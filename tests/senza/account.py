"""Puts into an empty AWS account what `definition.yaml` names: security groups, roles, a domain. Usage: account.py REGION

The image of Taupage is there from the start: it is one of the stand-in's.
"""
import json
import sys

import boto3

region = sys.argv[1]
ec2 = boto3.client("ec2", region)
iam = boto3.client("iam", region)
route53 = boto3.client("route53", region)


def policy(**statement):
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **statement}]})


for name in ["app-hello", "app-hello-lb"]:
    ec2.create_security_group(GroupName=name, Description=name)
for name in ["app-hello", "app-common"]:
    trust = policy(Principal={"Service": "ec2.amazonaws.com"}, Action="sts:AssumeRole")
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)
    read = policy(Action="s3:GetObject", Resource=f"arn:aws:s3:::{name}/*")
    iam.put_role_policy(RoleName=name, PolicyName="read", PolicyDocument=read)
# One: where there are more, Senza asks which.
route53.create_hosted_zone(Name="team.example.org.", CallerReference="monopod")
