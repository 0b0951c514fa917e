# The same as ../cloudformation.yaml. Three things can be checked:
#
#   monopod validate user-data.tftpl
#   terraform fmt -check
#   terraform plan -out plan && terraform show -json plan > plan.json && monopod validate plan.json
#
# There is no CloudFormation to signal to: Terraform waits for targets that the load balancer calls healthy, and the
# launch hook gives a machine up that does not get there.

terraform {
  required_version = ">= 1.3"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
  }
}

variable "app_version" {
  description = "The image's tag, and the application's version"
  type        = string
}

variable "vpc_id" {
  type = string
}

variable "public_subnets" {
  description = "For the load balancer, in two zones at least"
  type        = list(string)
}

variable "private_subnets" {
  description = "For the machines, with a way to AWS and the registry"
  type        = list(string)
}

variable "certificate_arn" {
  description = "The certificate for HTTPS, in this region"
  type        = string
}

variable "instance_type" {
  type    = string
  default = "t3.small"
}

data "aws_region" "here" {}

data "aws_caller_identity" "here" {}

data "aws_ami" "monopod" {
  owners      = ["self"]
  most_recent = true
  filter {
    name   = "name"
    values = ["monopod-debian-12-amd64-*"]
  }
}

# The way in: the load balancer from everywhere, the machines from the load balancer alone.

resource "aws_security_group" "load_balancer" {
  name_prefix = "shop-frontend-lb-"
  vpc_id      = var.vpc_id

  ingress {
    description = "HTTPS"
    protocol    = "tcp"
    from_port   = 443
    to_port     = 443
    cidr_blocks = ["0.0.0.0/0"]
  }
  egress {
    protocol    = "-1"
    from_port   = 0
    to_port     = 0
    cidr_blocks = ["0.0.0.0/0"]
  }
}

resource "aws_security_group" "machines" {
  name_prefix = "shop-frontend-"
  vpc_id      = var.vpc_id

  ingress {
    description     = "The load balancer"
    protocol        = "tcp"
    from_port       = 8080
    to_port         = 8080
    security_groups = [aws_security_group.load_balancer.id]
  }
  egress {
    protocol    = "-1"
    from_port   = 0
    to_port     = 0
    cidr_blocks = ["0.0.0.0/0"]
  }
}

resource "aws_lb" "app" {
  name                       = "shop-frontend"
  subnets                    = var.public_subnets
  security_groups            = [aws_security_group.load_balancer.id]
  drop_invalid_header_fields = true
}

resource "aws_lb_listener" "https" {
  load_balancer_arn = aws_lb.app.arn
  port              = 443
  protocol          = "HTTPS"
  ssl_policy        = "ELBSecurityPolicy-TLS13-1-2-2021-06"
  certificate_arn   = var.certificate_arn

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.app.arn
  }
}

resource "aws_lb_target_group" "app" {
  name     = "shop-frontend"
  vpc_id   = var.vpc_id
  port     = 8080
  protocol = "HTTP"
  # monopod waits for it before it stops the container.
  deregistration_delay = 30

  health_check {
    path              = "/health"
    interval          = 10
    healthy_threshold = 2
  }
}

# What a machine may do: what `monopod plan --iam` prints for its user data, in this account and region.

resource "aws_cloudwatch_log_group" "app" {
  name              = "/shop/frontend"
  retention_in_days = 30
}

resource "aws_iam_role" "app" {
  name_prefix = "shop-frontend-"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "ec2.amazonaws.com" }
      Action    = "sts:AssumeRole"
    }]
  })
}

resource "aws_iam_role_policy" "monopod" {
  name = "monopod"
  role = aws_iam_role.app.id
  policy = templatefile("${path.module}/policy.json.tftpl", {
    region       = data.aws_region.here.name
    account      = data.aws_caller_identity.here.account_id
    target_group = aws_lb_target_group.app.arn
  })
}

resource "aws_iam_instance_profile" "app" {
  name_prefix = "shop-frontend-"
  role        = aws_iam_role.app.name
}

# The machines.

resource "aws_launch_template" "app" {
  name_prefix            = "shop-frontend-"
  image_id               = data.aws_ami.monopod.id
  instance_type          = var.instance_type
  vpc_security_group_ids = [aws_security_group.machines.id]
  update_default_version = true

  iam_instance_profile {
    arn = aws_iam_instance_profile.app.arn
  }

  # A hop limit of 1 keeps the container, one hop further away, from the role's credentials.
  metadata_options {
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  tag_specifications {
    resource_type = "instance"
    tags          = { Name = "shop-frontend" }
  }

  user_data = base64encode(templatefile("${path.module}/user-data.tftpl", {
    version      = var.app_version
    repository   = "${data.aws_caller_identity.here.account_id}.dkr.ecr.${data.aws_region.here.name}.amazonaws.com/shop/frontend"
    target_group = aws_lb_target_group.app.arn
  }))
}

resource "aws_autoscaling_group" "app" {
  # The policy knows it by this name.
  name                = "shop-frontend"
  min_size            = 2
  max_size            = 4
  vpc_zone_identifier = var.private_subnets
  target_group_arns   = [aws_lb_target_group.app.arn]

  health_check_type         = "ELB"
  health_check_grace_period = 900
  # Terraform is done when so many targets are healthy; longer than monopod's boot budget of 15 minutes.
  wait_for_elb_capacity     = 2
  wait_for_capacity_timeout = "20m"

  launch_template {
    id      = aws_launch_template.app.id
    version = aws_launch_template.app.latest_version
  }

  # A machine that says nothing for 20 minutes is given up.
  initial_lifecycle_hook {
    name                 = "ready"
    lifecycle_transition = "autoscaling:EC2_INSTANCE_LAUNCHING"
    heartbeat_timeout    = 1200
    default_result       = "ABANDON"
  }

  # Time to drain: out of the load balancer, the container stopped, the last lines out.
  initial_lifecycle_hook {
    name                 = "leave"
    lifecycle_transition = "autoscaling:EC2_INSTANCE_TERMINATING"
    heartbeat_timeout    = 300
    default_result       = "CONTINUE"
  }

  # A new launch template replaces the machines one by one, and goes back if they don't get healthy.
  instance_refresh {
    strategy = "Rolling"
    preferences {
      min_healthy_percentage = 100
      auto_rollback          = true
    }
  }

  tag {
    key                 = "Name"
    value               = "shop-frontend"
    propagate_at_launch = true
  }

  # Targets of a group that no listener uses never get healthy; without its policy a machine gets no secret; a machine
  # that is there before the log group makes it itself, and then Terraform can't.
  depends_on = [aws_lb_listener.https, aws_iam_role_policy.monopod, aws_cloudwatch_log_group.app]
}

output "address" {
  value = aws_lb.app.dns_name
}
