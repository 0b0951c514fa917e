# A launch template that carries the user data of ../../web.yaml. Two things can be checked:
#
#   monopod validate user-data.tftpl
#   terraform plan -out plan && terraform show -json plan > plan.json && monopod validate plan.json

terraform {
  required_providers {
    aws = {
      source = "hashicorp/aws"
    }
  }
}

variable "image_id" {
  type = string
}

variable "app_version" {
  description = "The image's tag, and the application's version"
  type        = string
}

resource "aws_s3_bucket" "sessions" {
  bucket_prefix = "shop-sessions-"
}

resource "aws_launch_template" "app" {
  name_prefix   = "shop-frontend-"
  image_id      = var.image_id
  instance_type = "t3.small"

  # The plan knows the text only if nothing in it is known after the apply: give such names yourself.
  user_data = base64encode(templatefile("${path.module}/user-data.tftpl", {
    app_version = var.app_version
    bucket      = aws_s3_bucket.sessions.bucket
  }))

  metadata_options {
    http_tokens = "required"
  }
}
