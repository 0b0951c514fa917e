# The machine image: monopod, an engine and little else on a stock Debian or Ubuntu. See README.md.

locals {
  bases = {
    "debian-12" = {
      owner  = "136693071363"
      images = "debian-12-${var.architecture}-*"
      login  = "admin"
      root   = "/dev/xvda"
    }
    "ubuntu-24.04" = {
      owner  = "099720109477"
      images = "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-${var.architecture}-server-*"
      login  = "ubuntu"
      root   = "/dev/sda1"
    }
  }
  machines = {
    amd64 = "t3.small"
    arm64 = "t4g.small"
  }

  base          = local.bases[var.base]
  owners        = length(var.base_owners) > 0 ? var.base_owners : [local.base.owner]
  instance_type = var.instance_type != "" ? var.instance_type : local.machines[var.architecture]
  ssh_username  = var.ssh_username != "" ? var.ssh_username : local.base.login

  built = timestamp()
  name  = "${var.name_prefix}-${var.base}-${var.architecture}-${formatdate("YYYYMMDD-hhmmss", local.built)}"
  tags = merge({
    Name   = local.name
    base   = var.base
    commit = var.commit
  }, var.tags)
}

# The same image without AWS, from a root file system that tests/machine/image.sh makes: what the tests boot.
source "docker" "machine" {
  image       = "monopod-base:latest"
  pull        = false
  commit      = true
  changes     = ["ENTRYPOINT [\"\"]", "CMD [\"/sbin/init\"]"]
  run_command = ["-d", "-i", "-t", "--network=none", "--hostname=localhost", "--entrypoint=/bin/sh", "--", "{{ .Image }}"]
}

build {
  sources = ["source.amazon-ebs.machine", "source.docker.machine"]

  provisioner "shell" {
    inline = ["mkdir /tmp/monopod-image"]
  }
  provisioner "file" {
    source      = "${path.root}/provision/"
    destination = "/tmp/monopod-image"
  }
  provisioner "file" {
    source      = var.package
    destination = "/tmp/monopod-image/monopod.deb"
  }
  provisioner "shell" {
    execute_command = "sudo -n env {{ .Vars }} sh -eu {{ .Path }}"
    scripts = [
      "${path.root}/provision/packages.sh",
      "${path.root}/provision/harden.sh",
      "${path.root}/provision/facts.sh",
      "${path.root}/provision/clean.sh",
    ]
    environment_vars = [
      "UPGRADE=${var.upgrade}",
      "SERIAL_CONSOLE_ROOT=${var.serial_console_root}",
      "IMAGE_NAME=${local.name}",
      "IMAGE_BUILT=${local.built}",
      "IMAGE_COMMIT=${var.commit}",
      "IMAGE_VALID_DAYS=${var.valid_days}",
      "IMAGE_BASE=${try(build.SourceAMI, "")}",
      "IMAGE_BASE_NAME=${try(build.SourceAMIName, "monopod-base")}",
    ]
  }

  post-processor "docker-tag" {
    only       = ["docker.machine"]
    repository = "monopod-machine"
    tags       = ["latest"]
  }
}
