#!/bin/bash
# Checks what packer/ has, without AWS and without a network: the template for each base, formatting, scripts, and the
# examples. `make packer-check` calls it.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
tools=$root/target/rig/tools/bin
cd "$root"

say() { printf 'packer-check: %s\n' "$*"; }

# Nothing here needs a login, and nothing may ask the metadata service for one.
export AWS_EC2_METADATA_DISABLED=true AWS_ACCESS_KEY_ID=none AWS_SECRET_ACCESS_KEY=none CHECKPOINT_DISABLE=1

# Packer before 1.7 has its builders built in, and reads older/. A later one without its plugins can check nothing but
# the form: `packer init packer` gets them.
template=packer/older
if ! packer version | grep -q '^Packer v1\.[0-6]\.'; then template=packer; fi
package=$(mktemp)
trap 'rm -f "$package"' EXIT
for base in debian-12 ubuntu-24.04; do
    for architecture in amd64 arm64; do
        packer validate -var "package=$package" -var "base=$base" -var "architecture=$architecture" \
            -var 'copy_to_regions=["eu-west-1"]' -var 'share_with_accounts=["123456789012"]' -var kms_key=alias/images \
            -var 'kms_keys_of_regions={"eu-west-1": "alias/images"}' "$template"
    done
done
packer validate -only=docker.machine -var "package=$package" "$template"
# One after the other: it takes a single folder or file.
for folder in packer packer/older; do packer fmt -check -diff "$folder"; done
say "Packer's template: valid, formatted"

shellcheck packer/provision/*.sh tests/machine/*.sh
say "scripts: nothing found"

"$tools/cfn-lint" packer/examples/cloudformation.yaml
if command -v terraform >/dev/null; then
    terraform fmt -check -recursive -diff packer/examples config-samples/templates
    say "examples: cfn-lint and terraform fmt find nothing"
else
    say "examples: cfn-lint finds nothing; there is no terraform here to look at the form of the other"
fi

PYTHONDONTWRITEBYTECODE=1 "$tools/python" -m pytest -q --tb=short -p no:cacheprovider tests/machine/checks/test_examples.py
