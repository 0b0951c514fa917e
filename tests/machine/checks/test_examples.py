"""The examples that launch the image: their user data is valid, and their policy is what `monopod plan --iam` prints for it.

A policy of theirs may say more exactly where (an account, a region) than monopod, which knows neither. It may not allow
another action, another place, or leave one out. `make packer-check` runs this.
"""

import json
import os
import re
import subprocess
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[3]
MONOPOD = os.environ.get("MONOPOD", str(ROOT / "target/debug/monopod"))
EXAMPLES = ROOT / "packer/examples"

# What AWS or Terraform would fill in.
ACCOUNT = "123456789012"
REGION = "eu-central-1"
TARGET_GROUP = f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:targetgroup/shop/0123456789abcdef"
CLOUDFORMATION = {
    "AWS::AccountId": ACCOUNT,
    "AWS::Partition": "aws",
    "AWS::Region": REGION,
    "AWS::StackName": "shop",
    "TargetGroup": TARGET_GROUP,
    "Version": "1.0",
}
TERRAFORM = {
    "account": ACCOUNT,
    "region": REGION,
    "repository": f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/shop/frontend",
    "target_group": TARGET_GROUP,
    "version": "1.0",
}


def fill(text, values):
    return re.sub(r"\$\{([A-Za-z:_]+)\}", lambda hole: values[hole[1]], text)


class Template(yaml.SafeLoader):
    """YAML with CloudFormation's short forms."""


def short_form(loader, tag, node):
    if tag == "GetAtt":
        return f"arn of {node.value}"
    value = loader.construct_scalar(node)
    return fill(value, CLOUDFORMATION) if tag == "Sub" else CLOUDFORMATION.get(value, value)


Template.add_multi_constructor("!", short_form)


def cloudformation():
    resources = yaml.load((EXAMPLES / "cloudformation.yaml").read_text(), Template)["Resources"]
    launch = resources["AppServerTemplate"]["Properties"]["LaunchTemplateData"]
    (policy,) = resources["Role"]["Properties"]["Policies"]
    return launch["UserData"]["Fn::Base64"], policy["PolicyDocument"]


def terraform():
    user_data, policy = (
        fill((EXAMPLES / "terraform" / name).read_text(), TERRAFORM) for name in ("user-data.tftpl", "policy.json.tftpl")
    )
    return user_data, json.loads(policy)


def permissions(policy):
    for statement in policy["Statement"]:
        assert statement["Effect"] == "Allow"
        assert set(statement) == {"Effect", "Action", "Resource"}
        actions = statement["Action"]
        for action in [actions] if isinstance(actions, str) else actions:
            yield action, statement["Resource"]


def monopod(*arguments, stdin=None):
    done = subprocess.run([MONOPOD, *arguments], input=stdin, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("example", [cloudformation, terraform], ids=["cloudformation", "terraform"])
def test_the_policy_is_the_least_that_the_user_data_needs(example):
    user_data, policy = example()
    asked = sorted(permissions(json.loads(monopod("plan", "--iam", "-", stdin=user_data))))
    allowed = sorted(permissions(policy))
    assert [action for action, _ in allowed] == [action for action, _ in asked]
    for (action, place), (_, pattern) in zip(allowed, asked):
        # `??????` are the characters that Secrets Manager adds, in both.
        assert fnmatchcase(place, pattern), f"{action} on {place}, but monopod asks for {pattern}"
        assert place != "*" or pattern == "*", action


@pytest.mark.parametrize("file", ["cloudformation.yaml", "terraform/user-data.tftpl"])
def test_the_user_data_has_no_mistake(file):
    monopod("validate", "--strict", str(EXAMPLES / file))


def test_both_examples_launch_the_same():
    def keys(text):
        values = yaml.safe_load(text)
        # Terraform has no stack to signal to.
        values.pop("notify_cfn", None)
        return values

    assert keys(cloudformation()[0]) == keys(terraform()[0])


def test_older_packers_get_the_same_builder_without_what_they_refuse():
    """older/amazon.pkr.hcl is a copy by hand: what it leaves out is named here."""
    new, old = (
        [line for line in (ROOT / "packer" / name / "amazon.pkr.hcl").read_text().splitlines() if not line.strip().startswith("#")]
        for name in (".", "older")
    )
    left_out = """
  ami_org_arns                = var.share_with_organizations
  temporary_key_pair_type = "ed25519"
  imds_support = "v2.0"
  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }
""".strip("\n").splitlines()
    rest = [line for line in new if line not in left_out or line == "  }"]
    assert [line for line in left_out if line not in new] == []
    assert [line for line in rest if line.strip() not in ("", "}")] == [line for line in old if line.strip() not in ("", "}")]
