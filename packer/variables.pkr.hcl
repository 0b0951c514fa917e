# Everything that may differ between two builds. Give them with -var name=value or in a file with -var-file.

variable "package" {
  description = "The Debian package of the agent, as `make deb` builds it."
  type        = string
}

variable "commit" {
  description = "The commit it was built from; for /etc/monopod/image.json."
  type        = string
  default     = ""
}

variable "valid_days" {
  description = "For how many days machines should be launched from it: image.json says when that ends. 0 is for ever."
  type        = number
  default     = 0
}

variable "upgrade" {
  description = "Bring the base's own packages up to date. Without it apt is asked only for what is missing."
  type        = bool
  default     = true
}

variable "serial_console_root" {
  description = "Root without a password on EC2's serial console, which IAM guards. See the README before you turn it on."
  type        = bool
  default     = false
}

# The rest is for EC2 alone.

variable "base" {
  description = "What the image is made of: debian-12 or ubuntu-24.04."
  type        = string
  default     = "debian-12"
  validation {
    condition     = var.base == "debian-12" || var.base == "ubuntu-24.04"
    error_message = "The variable base is debian-12 or ubuntu-24.04."
  }
}

variable "architecture" {
  description = "The processors it is for: amd64 or arm64. The package has to be for the same."
  type        = string
  default     = "amd64"
  validation {
    condition     = var.architecture == "amd64" || var.architecture == "arm64"
    error_message = "The variable architecture is amd64 or arm64."
  }
}

variable "base_owners" {
  description = "Whose images are taken as a base. Empty: Debian's and Canonical's own accounts."
  type        = list(string)
  default     = []
}

variable "name_prefix" {
  description = "How the image's name begins; base, architecture and time follow."
  type        = string
  default     = "monopod"
}

variable "region" {
  description = "Where it is built."
  type        = string
  default     = "eu-central-1"
}

variable "copy_to_regions" {
  description = "Where it is copied to."
  type        = list(string)
  default     = []
}

variable "share_with_accounts" {
  description = "Accounts that may launch it. An encrypted image needs a key of your own that they may use, too."
  type        = list(string)
  default     = []
}

variable "share_with_organizations" {
  description = "ARNs of organizations whose accounts may launch it (needs a current Packer)."
  type        = list(string)
  default     = []
}

variable "tags" {
  description = "Tags on image, snapshots and the machine that builds, beside our own."
  type        = map(string)
  default     = {}
}

variable "encrypted" {
  description = "Encrypt the root volume."
  type        = bool
  default     = true
}

variable "kms_key" {
  description = "The key for it in the region of the build; without it the account's own key for EBS."
  type        = string
  default     = ""
}

variable "kms_keys_of_regions" {
  description = "The keys in the regions it is copied to; an empty one is the account's own key for EBS there."
  type        = map(string)
  default     = {}
}

variable "root_gib" {
  description = "The root volume's size in GiB: images, logs and their budgets have to fit."
  type        = number
  default     = 16
}

variable "instance_type" {
  description = "The machine that builds. Empty: t3.small or t4g.small."
  type        = string
  default     = ""
}

variable "subnet" {
  description = "Its subnet, with a way to the packages. Empty: one of the default VPC."
  type        = string
  default     = ""
}

variable "ssh_username" {
  description = "Its login. Empty: the base's own."
  type        = string
  default     = ""
}

variable "instance_profile" {
  description = "Its instance profile, where you log in by SSM. The build itself needs none."
  type        = string
  default     = ""
}
