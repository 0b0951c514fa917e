//! `monopod validate` on a file of 300 lines, against what people check their other files with: cfn-lint on a
//! CloudFormation template and docker-compose on a compose file.
//!
//! All three files have the same variables and the same number of lines. Each round runs all three once; a ratio is of
//! one round. Memory is the most a process had at once, as GNU time has it from the kernel, and is looked at in rounds of
//! its own, so that its starting of one more process is in no time.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::Figures;
use crate::stats::{described, median};

const LINES: usize = 300;
const ROUNDS: usize = 21;
const MEMORY_ROUNDS: usize = 5;

/// The names figures have, in the order of [`programs`].
const OTHERS: [&str; 2] = ["cfn_lint", "compose"];

pub(crate) fn run(root: &Path, binary: &Path, figures: &mut Figures) {
    let dir = root.join("target/bench-files");
    std::fs::create_dir_all(&dir).expect("bench: a folder under target");
    let programs = programs(root, binary, &dir);
    let again = |rounds: usize, measure: fn(&Program) -> f64| -> [Vec<f64>; 3] {
        let mut all = [vec![], vec![], vec![]];
        for round in 0..rounds {
            // The order turns, so that none always comes after the same.
            for step in 0..programs.len() {
                let which = (round + step) % programs.len();
                all[which].push(measure(&programs[which]));
            }
        }
        all
    };
    // Once, so that what Python compiles and the disk reads is there.
    again(1, Program::milliseconds);
    let times = again(ROUNDS, Program::milliseconds);
    let memory = again(MEMORY_ROUNDS, Program::megabytes);

    figures.tell("validate_ms", median(&times[0]), "ms");
    Figures::note(&format!("{LINES} lines of user data: {}", described(&times[0])));
    figures.tell("validate_peak_mb", median(&memory[0]), "MiB");
    for (name, which) in OTHERS.iter().zip(1..) {
        tell(
            figures,
            &format!("{name}_vs_validate"),
            &times[which],
            &times[0],
            "ms",
        );
        tell(
            figures,
            &format!("{name}_vs_validate_memory"),
            &memory[which],
            &memory[0],
            "MiB",
        );
    }
}

/// The other's figure divided by ours, round by round.
fn tell(figures: &mut Figures, name: &str, other: &[f64], ours: &[f64], unit: &str) {
    let ratios: Vec<f64> = other.iter().zip(ours).map(|(other, ours)| other / ours).collect();
    figures.tell(name, median(&ratios), "ratio");
    Figures::note(&described(&ratios));
    Figures::note(&format!(
        "medians: {:.1} {unit} against {:.1} {unit}",
        median(other),
        median(ours)
    ));
}

struct Program {
    program: PathBuf,
    args: Vec<String>,
}

/// Ours first.
fn programs(root: &Path, binary: &Path, dir: &Path) -> [Program; 3] {
    let [user_data, template, compose] = [
        ("user-data.yaml", user_data()),
        ("template.yaml", template()),
        ("docker-compose.yaml", compose()),
    ]
    .map(|(name, text)| {
        assert_eq!(text.lines().count(), LINES, "bench: {name}");
        let path = dir.join(name);
        std::fs::write(&path, text).expect("bench: a file");
        path.display().to_string()
    });
    [
        Program::new(binary, &["validate", "--strict", &user_data]),
        Program::new(&root.join("target/rig/bench/bin/cfn-lint"), &[&template]),
        Program::new(
            Path::new("/usr/bin/docker-compose"),
            &["--file", &compose, "config", "--quiet"],
        ),
    ]
}

impl Program {
    fn new(program: &Path, args: &[&str]) -> Self {
        assert!(
            program.exists(),
            "bench: {} is missing: run tests/setup.sh --bench",
            program.display()
        );
        Self {
            program: program.to_owned(),
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
        }
    }

    fn milliseconds(&self) -> f64 {
        let mut command = Command::new(&self.program);
        let began = Instant::now();
        run_clean(command.args(&self.args));
        began.elapsed().as_secs_f64() * 1e3
    }

    fn megabytes(&self) -> f64 {
        let told = std::env::temp_dir().join(format!("monopod-bench-{}", std::process::id()));
        let mut command = Command::new("/usr/bin/time");
        command.args(["--format=%M", "--output"]).arg(&told);
        run_clean(command.arg(&self.program).args(&self.args));
        let kilobytes = std::fs::read_to_string(&told).expect("bench: what GNU time says");
        drop(std::fs::remove_file(&told));
        kilobytes.trim().parse::<f64>().expect("bench: a number") / 1024.0
    }
}

/// A file that a program finds fault with is measured for nothing.
fn run_clean(command: &mut Command) {
    command
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", "/nonexistent")
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    let output = command
        .spawn()
        .and_then(std::process::Child::wait_with_output)
        .unwrap_or_else(|error| panic!("bench: {command:?}: {error}"));
    assert!(output.status.success(), "bench: {command:?}: {}", output.status);
}

/// Every file: some lines, then a variable a line up to the last.
fn filled(head: &str, line: fn(&str, &str) -> String) -> String {
    let mut text = head.to_owned();
    for number in head.lines().count()..LINES {
        let value = match number % 5 {
            0 => format!("\"{number}\""),
            1 => format!("\"https://service-{number}.team.example.org/path?a=b\""),
            2 => format!("plain-{number}"),
            3 => format!("'it is \"{number}\"'"),
            _ => "\"true\"".to_owned(),
        };
        text.push_str(&line(&format!("VARIABLE_{number}"), &value));
        text.push('\n');
    }
    text
}

fn user_data() -> String {
    let head = "#taupage-ami-config
application_id: bench
application_version: \"1.0\"
runtime: Docker
source: registry.example.org/team/bench:1.0
ports:
  8080: 8080
  9100: 9100/udp
health_check_path: /health
health_check_timeout_seconds: 120
capabilities_drop: [NET_RAW]
read_only: true
hostname: bench
environment:
";
    filled(head, |name, value| format!("  {name}: {value}"))
}

fn template() -> String {
    let head = "AWSTemplateFormatVersion: \"2010-09-09\"
Description: The same application as a task of ECS
Resources:
  Role:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument:
        Version: \"2012-10-17\"
        Statement:
          - Effect: Allow
            Principal: {Service: ecs-tasks.amazonaws.com}
            Action: sts:AssumeRole
  Task:
    Type: AWS::ECS::TaskDefinition
    Properties:
      TaskRoleArn: !GetAtt Role.Arn
      ContainerDefinitions:
        - Name: app
          Image: registry.example.org/team/bench:1.0
          Memory: 512
          ReadonlyRootFilesystem: true
          Environment:
";
    filled(head, |name, value| {
        format!("            - {{Name: {name}, Value: {value}}}")
    })
}

fn compose() -> String {
    let head = "version: \"3.7\"
services:
  app:
    image: registry.example.org/team/bench:1.0
    ports:
      - \"8080:8080\"
      - \"9100:9100/udp\"
    cap_drop: [NET_RAW]
    read_only: true
    hostname: bench
    environment:
";
    filled(head, |name, value| format!("      {name}: {value}"))
}
