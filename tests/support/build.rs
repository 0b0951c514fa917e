//! Builds the programs that run in the tests' containers: static, so that they need nothing there. It is done here, by
//! whoever builds, because the tests run as root, and the compiler must not.

use std::path::PathBuf;
use std::process::Command;

fn main() {
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let (rustc, target) = (std::env::var("RUSTC"), std::env::var("TARGET"));
    let (rustc, target) = (
        rustc.expect("cargo sets RUSTC"),
        target.expect("cargo sets TARGET"),
    );
    for name in ["writer", "service"] {
        let program = out.join(name);
        let status = Command::new(&rustc)
            .args(["--edition", "2024", "--crate-name", name, "--target", &target])
            .args([
                "-C",
                "opt-level=3",
                "-C",
                "target-feature=+crt-static",
                "-C",
                "strip=symbols",
            ])
            .arg(format!("programs/{name}.rs"))
            .arg("-o")
            .arg(&program)
            .status();
        assert!(
            status.as_ref().is_ok_and(std::process::ExitStatus::success),
            "building the static program programs/{name}.rs with {rustc}: {status:?}; it needs glibc's static library \
             (libc6-dev)"
        );
        println!(
            "cargo::rustc-env=RIG_{}={}",
            name.to_uppercase(),
            program.display()
        );
    }
    println!("cargo::rerun-if-changed=programs");
    println!("cargo::rerun-if-changed=build.rs");
}
