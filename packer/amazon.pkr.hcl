# The builder for EC2, as a current Packer knows it. older/amazon.pkr.hcl is the same without what older ones refuse.

source "amazon-ebs" "machine" {
  ami_name                    = local.name
  ami_description             = "monopod on ${var.base}, one container a machine"
  region                      = var.region
  ami_regions                 = var.copy_to_regions
  ami_users                   = var.share_with_accounts
  ami_org_arns                = var.share_with_organizations
  instance_type               = local.instance_type
  subnet_id                   = var.subnet
  iam_instance_profile        = var.instance_profile
  associate_public_ip_address = var.subnet == "" ? true : null
  ssh_username                = local.ssh_username
  # OpenSSH takes no RSA key as older Packers sign with it.
  temporary_key_pair_type = "ed25519"

  source_ami_filter {
    owners      = local.owners
    most_recent = true
    filters = {
      name                = local.base.images
      root-device-type    = "ebs"
      virtualization-type = "hvm"
    }
  }

  launch_block_device_mappings {
    device_name           = local.base.root
    volume_size           = var.root_gib
    volume_type           = "gp3"
    iops                  = 3000
    throughput            = 125
    delete_on_termination = true
  }
  encrypt_boot       = var.encrypted
  kms_key_id         = var.kms_key
  region_kms_key_ids = var.kms_keys_of_regions

  # Every machine of this image speaks version 2 of the metadata service alone, unless its launch says otherwise.
  imds_support = "v2.0"
  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  tags          = local.tags
  snapshot_tags = local.tags
  run_tags      = local.tags
}
