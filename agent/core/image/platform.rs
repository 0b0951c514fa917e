//! Whether an image is for this machine. Said before the container fails with `exec format error`.
//!
//! Names come in two spellings: the kernel's (`x86_64`, `aarch64`, what `docker info` shows) and Go's (`amd64`,
//! `arm64`, what images carry). A pair that may work (a 32-bit image, an unknown name) is not refused.

use std::fmt;

/// An operating system and a processor, as images name them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Platform {
    os: String,
    architecture: String,
    variant: Option<String>,
}

impl Platform {
    /// From whatever spelling; `None` where something is missing or said to be unknown (as of attestations).
    pub fn new(os: &str, architecture: &str, variant: Option<&str>) -> Option<Self> {
        let os = os.to_ascii_lowercase();
        let (architecture, implied) = match architecture.to_ascii_lowercase().as_str() {
            "x86_64" | "x86-64" | "amd64" => ("amd64".to_owned(), None),
            "i386" | "i486" | "i586" | "i686" | "386" => ("386".to_owned(), None),
            "aarch64" | "arm64" => ("arm64".to_owned(), None),
            "armhf" | "armv7l" => ("arm".to_owned(), Some("v7")),
            "armel" | "armv6l" => ("arm".to_owned(), Some("v6")),
            other => (other.to_owned(), None),
        };
        let unknown = |name: &str| name.is_empty() || name == "unknown";
        if unknown(&os) || unknown(&architecture) {
            return None;
        }
        let variant = variant.filter(|variant| !variant.is_empty()).or(implied);
        // All 64-bit ARM is v8 unless it says more.
        let variant = variant.filter(|variant| !(architecture == "arm64" && matches!(*variant, "v8" | "8")));
        Some(Self {
            os,
            architecture,
            variant: variant.map(str::to_owned),
        })
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) => write!(f, "/{variant}"),
            None => Ok(()),
        }
    }
}

/// The image's platforms, where the machine can run none of them; `None` where it can, or nobody knows.
pub fn mismatch(machine: Option<&Platform>, image: &[Platform]) -> Option<String> {
    let machine = machine?;
    if image.is_empty() || image.iter().any(|one| may_run(machine, one)) {
        return None;
    }
    let mut names: Vec<String> = image.iter().map(Platform::to_string).collect();
    names.sort_unstable();
    names.dedup();
    Some(names.join(", "))
}

fn may_run(machine: &Platform, image: &Platform) -> bool {
    if machine.os != image.os {
        return false;
    }
    match (machine.architecture.as_str(), image.architecture.as_str()) {
        // 64-bit processors of both families may run 32-bit programs; variants are the engine's to choose from.
        ("amd64", "386") | ("arm64", "arm") => true,
        (ours, theirs) => ours == theirs,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn platform(text: &str) -> Platform {
        let mut parts = text.split('/');
        let (os, architecture) = (parts.next().unwrap(), parts.next().unwrap());
        Platform::new(os, architecture, parts.next()).unwrap()
    }

    fn refused(machine: &str, image: &[&str]) -> Option<String> {
        let image: Vec<Platform> = image.iter().map(|one| platform(one)).collect();
        mismatch(Some(&platform(machine)), &image)
    }

    #[test]
    fn both_spellings_are_one_platform() {
        for (one, other) in [
            ("linux/x86_64", "linux/amd64"),
            ("Linux/aarch64", "linux/arm64"),
            ("linux/arm64/v8", "linux/arm64"),
            ("linux/armv7l", "linux/arm/v7"),
            ("linux/i686", "linux/386"),
        ] {
            assert_eq!(platform(one), platform(other), "{one}");
        }
        assert_eq!(platform("linux/arm/v7").to_string(), "linux/arm/v7");
        assert_eq!(platform("linux/aarch64").to_string(), "linux/arm64");
    }

    #[test]
    fn an_image_for_others_is_refused_with_its_platforms() {
        assert_eq!(
            refused("linux/x86_64", &["linux/arm64/v8"]).unwrap(),
            "linux/arm64"
        );
        assert_eq!(refused("linux/aarch64", &["linux/amd64"]).unwrap(), "linux/amd64");
        assert_eq!(
            refused("linux/amd64", &["windows/amd64", "linux/s390x", "linux/s390x"]).unwrap(),
            "linux/s390x, windows/amd64"
        );
    }

    #[test]
    fn what_may_run_is_not_refused() {
        for (machine, image) in [
            ("linux/x86_64", &["linux/amd64"][..]),
            ("linux/x86_64", &["linux/arm64", "linux/amd64"]),
            ("linux/x86_64", &["linux/386"]),
            ("linux/aarch64", &["linux/arm64/v8"]),
            ("linux/aarch64", &["linux/arm/v7"]),
            ("linux/armv7l", &["linux/arm/v6"]),
        ] {
            assert_eq!(refused(machine, image), None, "{machine} {image:?}");
        }
    }

    #[test]
    fn where_nobody_knows_nothing_is_refused() {
        assert_eq!(Platform::new("linux", "", None), None);
        assert_eq!(Platform::new("unknown", "unknown", None), None);
        assert_eq!(mismatch(None, &[platform("linux/arm64")]), None);
        assert_eq!(mismatch(Some(&platform("linux/amd64")), &[]), None);
    }
}
